"""Speaks `transcripts.csv` with Debian's flite and stores it in the formats that phones and messengers use.

    apt-get install flite
    python examples/make_examples.py

The files in `voice-notes/` were made once with this and are committed, so nobody needs flite to run the demo. The same
flite and PyAV give the same bytes. Two files show what happens to bad input: one is silent, one is cut off.
"""

from __future__ import annotations

import csv
import re
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
NOTES = HERE / "voice-notes"
SAMPLE_RATE = 16_000
PAUSE_S = 0.7
"""Silence around and between sentences: speech recognition tells them apart by it."""
CUT_AT = 0.6
"""The share of the damaged file that is kept; an M4A keeps its index at its end, so nothing can be played."""


@dataclass(frozen=True, slots=True)
class Take:
    """How one note is spoken and stored; `created_at` is written into the container."""

    file: str
    voice: str
    codec: str
    bit_rate: int | None = None
    created_at: str | None = None


TAKES = (
    Take("Recording 22 May 2026 at 17.20.flac", "awb", "flac"),
    Take("Voice 260522_203012.mp3", "rms", "libmp3lame", 32_000),
    Take("2026-05-23T09-15-00.wav", "slt", "pcm_s16le"),
    Take("New Recording 12.m4a", "rms", "aac", 48_000, "2026-05-23T15:40:00Z"),
    Take("Recording 2026-05-24 01-20-33.webm", "rms", "libopus", 24_000),
    Take("audio_2026-05-24_18-05-41.ogg", "rms", "libopus", 24_000),
    Take("PTT-20260524-WA0001.opus", "awb", "libopus", 16_000),
)
SILENT = Take("REC20260524210000.mp3", "", "libmp3lame", 32_000)
DAMAGED = Take("20260524 213000-9D3E1F7A.m4a", "rms", "aac", 48_000)
DAMAGED_TEXT = "This one was cut off when the battery of my phone died."


def main() -> None:
    with (HERE / "transcripts.csv").open(newline="") as file:
        texts = {row["file"]: row["text"] for row in csv.DictReader(file)}
    NOTES.mkdir(exist_ok=True)
    for take in TAKES:
        store(speak(texts[take.file], take.voice), take)
    store(np.zeros(5 * SAMPLE_RATE, np.int16), SILENT)
    store(speak(DAMAGED_TEXT, DAMAGED.voice), DAMAGED)
    cut_off(NOTES / DAMAGED.file)
    for path in sorted(NOTES.iterdir()):
        print(f"{path.stat().st_size:>8} {path.name}")


def speak(text: str, voice: str) -> NDArray[np.int16]:
    """The text as mono samples at 16 kHz, shape (samples,), each sentence with a pause around it."""
    pause = np.zeros(round(PAUSE_S * SAMPLE_RATE), np.int16)
    sentences = [speak_sentence(sentence, voice) for sentence in re.split(r"(?<=[.?!]) ", text)]
    return np.concatenate([pause, *(part for sentence in sentences for part in (sentence, pause))])


def speak_sentence(sentence: str, voice: str) -> NDArray[np.int16]:
    """One sentence from flite."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as spoken:
        subprocess.run(["flite", "-voice", voice, "-t", sentence, "-o", spoken.name], check=True)
        with wave.open(spoken.name) as file:
            if file.getframerate() != SAMPLE_RATE or file.getnchannels() != 1:
                raise ValueError(f"the voice {voice} does not speak at {SAMPLE_RATE} Hz")
            return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def store(samples: NDArray[np.int16], take: Take) -> None:
    """Encode the samples into the take's file; `bitexact` keeps random ids and versions out of it."""
    import av

    path = NOTES / take.file
    muxer: dict[str, Any] = {"format": "ogg"} if path.suffix == ".opus" else {}
    with av.open(str(path), "w", options={"fflags": "+bitexact"}, **muxer) as container:
        if take.created_at:
            container.metadata["creation_time"] = take.created_at
        stream = container.add_stream(take.codec, rate=SAMPLE_RATE, layout="mono")
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        if take.bit_rate:
            stream.bit_rate = take.bit_rate
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


def cut_off(path: Path) -> None:
    """Keep only the beginning of a file, as a phone does whose battery died."""
    whole = path.read_bytes()
    path.write_bytes(whole[: round(len(whole) * CUT_AT)])


if __name__ == "__main__":
    main()
