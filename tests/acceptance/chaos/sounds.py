"""What is dropped: short clips of real speech, no two alike, and files that are no recordings."""

from __future__ import annotations

import io
import random
import wave
from typing import Any

import numpy as np

from diarynotes.models import SAMPLE_RATE, Audio, Media
from diarynotes.transcribe.vad import find_speech

CLIP_S = 1.5
_DAMAGED_EVERY = 15
Sound = np.ndarray[Any, np.dtype[np.int16]]


def is_damaged(content: int) -> bool:
    """Whether this one is no recording that can be heard."""
    return content % _DAMAGED_EVERY == 5


def make_contents(speech: Sound, count: int, seed: int) -> list[bytes]:
    """So many files, all different; those of `is_damaged` can only be set aside, in all others somebody speaks."""
    rng = random.Random(seed)
    starts: set[int] = set()
    files = [
        _damage(content, rng) if is_damaged(content) else _wav(_cut(speech, rng, starts)) for content in range(count)
    ]
    assert len(set(files)) == count
    return files


def _cut(speech: Sound, rng: random.Random, starts: set[int]) -> Sound:
    length = int(CLIP_S * SAMPLE_RATE)
    while True:
        start = rng.randrange(len(speech) - length)
        clip = speech[start : start + length]
        if start not in starts and _says_enough(clip):
            starts.add(start)
            return clip


def _says_enough(clip: Sound) -> bool:
    spans = find_speech(Audio(clip, Media("wav", "pcm_s16le", CLIP_S, SAMPLE_RATE, 1)))
    return sum(span.end_s - span.start_s for span in spans) > CLIP_S / 2


def _damage(content: int, rng: random.Random) -> bytes:
    kinds = (b"This is no sound.", b"RIFF\x00\x00\x00\x00WAVEfmt ", _wav(np.zeros(2 * SAMPLE_RATE, np.int16)))
    return kinds[content // _DAMAGED_EVERY % len(kinds)] + rng.randbytes(16)


def _wav(pcm: Sound) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(pcm.tobytes())
    return out.getvalue()
