"""Sentences spoken by flite, and a corpus of them on disk: one file of samples, one list of what is said where.

Needs the program `flite` (Debian's package of that name). Knows nothing of models.
"""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
import wave
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sentences import cut_phrase, make_sentences

PITCH_HZ = {"slt": (150, 215), "rms": (80, 120), "awb": (105, 155), "kal16": (85, 125)}
"""flite's voices at 16 kHz, and between which mean pitches they still sound like somebody."""
STRETCH = (0.85, 1.2)
"""Between which lengths of sounds, 1 being the voice's own."""
PHRASES = 0.1
"""The share of the corpus that is cut out of sentences."""
HELD_OUT = 7
"""The seed of the sentences that are never trained on."""

Samples = NDArray[np.int16]
"""Sound at 16 kHz, mono."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Something said: where its samples lie in the corpus, which speech fills from end to end."""

    text: str
    voice: str
    start: int
    stop: int


def speak(text: str, voice: str, *, pitch_hz: float | None = None, stretch: float = 1.0) -> Samples:
    """The text in one of flite's voices, without the silence around it."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        pitch = ["--setf", f"int_f0_target_mean={pitch_hz}"] if pitch_hz else []
        knobs = [*pitch, "--setf", f"duration_stretch={stretch}"]
        subprocess.run(["flite", "-voice", voice, *knobs, "-t", text, "-o", file.name], check=True)
        with wave.open(file.name) as sound:
            return trim(np.frombuffer(sound.readframes(sound.getnframes()), np.int16))


def trim(samples: Samples, *, floor: int = 200, margin: int = 320) -> Samples:
    """What lies between the first and the last sample louder than `floor`, and `margin` samples more on both sides."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > floor)
    return samples[max(0, int(loud[0]) - margin) : int(loud[-1]) + margin] if len(loud) else samples[:0]


def held_out(a_voice: int = 25) -> list[tuple[str, str]]:
    """Sentences that no corpus holds, with the voices to speak them."""
    wanted = a_voice * len(PITCH_HZ)
    texts: dict[str, None] = {}
    for text in make_sentences(HELD_OUT):
        texts.setdefault(text)
        if len(texts) == wanted:
            break
    return [(text, voice) for text, voice in zip(texts, list(PITCH_HZ) * a_voice, strict=True)]


def make_corpus(folder: Path, size: int, *, seed: int = 1, processes: int = 2) -> None:
    """Speak `size` texts with changing voice, pitch and pace into `folder` (0.1 MB each); done once."""
    draw = random.Random(seed)
    orders = [_order(text, draw) for text, _ in zip(_texts(draw, seed), range(size), strict=False)]
    clips, stop = [], 0
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(processes) as pool, (folder / "samples").open("wb") as file:
        for (text, voice, *_), samples in zip(orders, pool.map(lambda order: speak_order(*order), orders), strict=True):
            file.write(samples.tobytes())
            clips.append((text, voice, stop, stop := stop + len(samples)))
    (folder / "clips.json").write_text(json.dumps(clips))


def read_corpus(folder: Path) -> tuple[Samples, Sequence[Clip]]:
    """The samples, memory-mapped, and the clips that they are made of."""
    clips = [Clip(*clip) for clip in json.loads((folder / "clips.json").read_text())]
    return np.memmap(folder / "samples", np.int16, "r"), clips


def speak_order(text: str, voice: str, pitch_hz: float, stretch: float) -> Samples:
    return speak(text, voice, pitch_hz=pitch_hz, stretch=stretch)


def _texts(draw: random.Random, seed: int) -> Iterator[str]:
    never = {text for text, _ in held_out()}
    seen: set[str] = set()
    for text in make_sentences(seed):
        if text in never or text in seen:
            continue
        seen.add(text)
        yield cut_phrase(text, draw) if draw.random() < PHRASES else text


def _order(text: str, draw: random.Random) -> tuple[str, str, float, float]:
    voice = draw.choice(list(PITCH_HZ))
    return text, voice, round(draw.uniform(*PITCH_HZ[voice])), round(draw.uniform(*STRETCH), 2)
