"""Windows to train on: clips of the corpus in a row, with pauses, pace, noise and a dull microphone, and their tokens.

Knows nothing of models. Tokens are OpenAI's own, English only; a window reads as Whisper's do (its paper, section 2.3):
<|startoftranscript|> <|0.00|> words <|2.40|><|3.00|> words <|5.10|> <|endoftext|>.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from speak import Clip, Samples

RATE = 16_000
FRAME_S = 0.02
"""What a time mark counts, and a frame of the encoder lasts."""
UNTIMED = 0.05
"""The share of windows whose text has no time marks."""
PROMPTED = 0.05
"""The share of windows with words before them, as a glossary or an earlier window gives them."""
NO_SPEECH = 0.06
"""The share of windows in which nobody speaks."""
IGNORED = -100
"""The label of a token that is given, not learned (torch's cross_entropy)."""

Sound = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Example:
    """A window: its sound, the tokens that the decoder reads, the one to follow each, and the letters said.

    `places` are about when each label is said, in frames of 0.02 s, or negative where it is not.
    """

    sound: Sound
    tokens: list[int]
    labels: list[int]
    letters: str
    places: list[float]


@functools.cache
def tokenizer() -> Any:
    """OpenAI's tokenizer for English-only models."""
    from whisper.tokenizer import get_tokenizer

    return get_tokenizer(multilingual=False)


class Mixer:
    """Draws windows of `seconds` from a corpus; the same generator draws the same ones."""

    def __init__(self, samples: Samples, clips: Sequence[Clip]) -> None:
        self.samples, self.clips = samples, clips
        self.noises = [_color(np.random.default_rng(n), 120 * RATE, n / 2) for n in range(5)]

    def draw(self, rng: np.random.Generator, seconds: float) -> Example:
        length = round(seconds * RATE)
        sound, said = self._speech(rng, length)
        if not said or rng.random() < NO_SPEECH:
            marks = tokenizer()
            tokens, labels = [marks.sot, marks.timestamp_begin], [marks.no_speech, marks.eot]
            return Example(self._noise_alone(rng, length), tokens, labels, "", [-1.0, -1.0])
        tokens, labels, places = self._write(rng, said)
        return Example(sound, tokens, labels, " ".join(text for *_, text in said).lower(), places)

    def _speech(self, rng: np.random.Generator, length: int) -> tuple[Sound, list[tuple[float, float, str]]]:
        """Clips in a row, as many as are wanted and fit, and who said what from when to when, s."""
        sound, said, at = np.zeros(length, np.float32), [], _pause(rng, 0.5)
        for _ in range(rng.integers(1, length // RATE // 2 + 1)):
            clip = self.clips[rng.integers(len(self.clips))]
            spoken = _change_pace(self.samples[clip.start : clip.stop], rng.uniform(0.9, 1.1))
            if at + len(spoken) > length:
                break
            sound[at : at + len(spoken)] += spoken * 10 ** (rng.uniform(-4, 0) / 20)
            said.append((at / RATE, (at + len(spoken)) / RATE, clip.text))
            at += len(spoken) + _pause(rng, 1.8)
        end = min(length, at) if rng.random() < 0.8 else length
        sound[:end] = self._spoil(rng, sound[:end])
        return sound, said

    def _spoil(self, rng: np.random.Generator, sound: Sound) -> Sound:
        """As a cheap microphone in a room would hear it: noise at 10 to 40 dB, duller, louder or softer."""
        if rng.random() < 0.3:
            sound = _dull(sound, rng.uniform(2500, 7000))
        if rng.random() < 0.7:
            noise = self._noise(rng, len(sound))
            level = np.sqrt(np.mean(sound**2) / (np.mean(noise**2) + 1e-12)) * 10 ** (-rng.uniform(10, 40) / 20)
            sound = sound + noise * level
        return np.clip(sound * 10 ** (rng.uniform(-25, 6) / 20), -1, 1).astype(np.float32)

    def _noise(self, rng: np.random.Generator, length: int) -> Sound:
        """White to brown, or the hum of the mains."""
        if rng.random() < 0.15:
            t = np.arange(length, dtype=np.float32) / RATE
            hum = sum(np.sin(2 * np.pi * 50 * n * t + rng.uniform(0, 6)) / n for n in (1, 2, 3, 5))
            return np.asarray(hum, np.float32)
        noise = self.noises[rng.integers(len(self.noises))]
        start = rng.integers(len(noise) - length)
        return noise[start : start + length]

    def _noise_alone(self, rng: np.random.Generator, length: int) -> Sound:
        """Silence, noise, or bursts and tones that nobody speaks."""
        sound = np.zeros(length, np.float32)
        end = rng.integers(RATE // 2, length + 1)
        if rng.random() < 0.2:
            return sound
        sound[:end] = self._noise(rng, end)
        if rng.random() < 0.5:
            for _ in range(rng.integers(1, 8)):
                start, size = rng.integers(end), rng.integers(RATE // 50, RATE)
                sound[start : start + size] += 4 * _tone(rng, size)[: length - start]
        return sound * np.float32(10 ** (rng.uniform(-60, -10) / 20) / (np.abs(sound).max() + 1e-6))

    def _write(
        self, rng: np.random.Generator, said: list[tuple[float, float, str]]
    ) -> tuple[list[int], list[int], list[float]]:
        """Tokens to read, tokens to say after them, and about where those are said."""
        marks = tokenizer()
        timed = rng.random() >= UNTIMED
        written, places = [marks.sot, *([] if timed else [marks.no_timestamps])], [-1.0] * (1 if timed else 2)
        for start_s, end_s, text in said:
            words = marks.encode(" " + text)
            about = [
                place / FRAME_S for place in _spread(start_s, end_s, [len(marks.decode([word])) for word in words])
            ]
            written += [_mark(start_s), *words, _mark(end_s)] if timed else words
            places += [start_s / FRAME_S, *about, end_s / FRAME_S] if timed else about
        before = self._prompt(rng, said) if rng.random() < PROMPTED else []
        given = len(before) + (1 if timed else 2)
        written = [*before, *written, marks.eot]
        places = [*[-1.0] * len(before), *places, -1.0]
        return written[:-1], [IGNORED] * (given - 1) + written[given:], places[1:]

    def _prompt(self, rng: np.random.Generator, said: list[tuple[float, float, str]]) -> list[int]:
        """Words that may come up, half of the time some that do."""
        texts = [text for *_, text in said] if rng.random() < 0.5 else []
        texts += [self.clips[rng.integers(len(self.clips))].text for _ in range(2)]
        if rng.random() < 0.3:
            return [tokenizer().sot_prev, *tokenizer().encode(" " + texts[-1])]
        words = [word.strip(".,?") for text in texts for word in text.split()]
        chosen = rng.choice(words, size=min(len(words), int(rng.integers(1, 11))), replace=False)
        return [tokenizer().sot_prev, *tokenizer().encode(" " + ", ".join(chosen.tolist()))]


def _mark(time_s: float) -> int:
    return int(tokenizer().timestamp_begin) + round(time_s / FRAME_S)


def _spread(start_s: float, end_s: float, sizes: Sequence[int]) -> list[float]:
    """The middle of each word, if all letters take the same time."""
    ends = np.cumsum(sizes)
    return [float(place) for place in start_s + (end_s - start_s) * (ends - np.array(sizes) / 2) / ends[-1]]


def _pause(rng: np.random.Generator, longest_s: float) -> int:
    """Samples of silence; short ones are more frequent."""
    return int(rng.random() ** 2 * longest_s * RATE)


def _change_pace(samples: Samples, pace: float) -> Sound:
    """Faster and higher, or slower and deeper, as a tape would play it."""
    places = np.arange(0, len(samples) - 1, pace)
    return np.interp(places, np.arange(len(samples)), samples).astype(np.float32) / 32768


def _dull(sound: Sound, cutoff_hz: float) -> Sound:
    """Without what lies above a frequency, softly."""
    spectrum = np.fft.rfft(sound)
    hz = np.fft.rfftfreq(len(sound), 1 / RATE)
    return np.fft.irfft(spectrum / (1 + (hz / cutoff_hz) ** 6), len(sound)).astype(np.float32)


def _color(rng: np.random.Generator, length: int, exponent: float) -> Sound:
    """Noise whose power falls with frequency to this exponent: 0 is white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    hz = np.maximum(np.fft.rfftfreq(length, 1 / RATE), 20)
    noise = np.fft.irfft(spectrum / hz ** (exponent / 2), length)
    return (noise / np.abs(noise).max()).astype(np.float32)


def _tone(rng: np.random.Generator, length: int) -> Sound:
    """A note that glides and dies away."""
    hz = np.linspace(rng.uniform(80, 4000), rng.uniform(80, 4000), length)
    fade = np.exp(-np.linspace(0, rng.uniform(1, 8), length))
    return (np.sin(2 * np.pi * np.cumsum(hz) / RATE) * fade).astype(np.float32)
