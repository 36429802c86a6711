"""Make the clips beside this file: held-out sentences, and notes of several, so that tests need no flite.

Run once: `python make_clips.py`. Knows nothing of models.
"""

from __future__ import annotations

import csv
from pathlib import Path

import av
import numpy as np
from speak import PITCH_HZ, Samples, held_out, speak

FOLDER = Path(__file__).with_name("clips")
SENTENCES, NOTE = 20, 7
"""How many sentences get a clip of their own, and how many more make each voice's note."""
RATE = 16_000


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    said = held_out()
    rows = []
    for number, (text, voice) in enumerate(said[:SENTENCES]):
        rows.append((f"{number:02}-{voice}.opus", text))
        write(FOLDER / rows[-1][0], [speak(text, voice)], rng)
    for number, voice in enumerate(PITCH_HZ):
        texts = [text for text, _ in said[SENTENCES + NOTE * number :][:NOTE]]
        rows.append((f"note-{voice}.opus", " ".join(texts)))
        write(FOLDER / rows[-1][0], [speak(text, voice) for text in texts], rng)
    with (FOLDER / "transcripts.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("file", "text"), *rows])


def write(path: Path, spoken: list[Samples], rng: np.random.Generator) -> None:
    """Sentences with half a second to two between them, and a room's faint noise under all."""
    pauses = [np.zeros(round(RATE * rng.uniform(0.5, 2)), np.int16) for _ in range(len(spoken) + 1)]
    parts = [part for pair in zip(pauses, spoken, strict=False) for part in pair]
    sound = np.concatenate([*parts, pauses[-1]]) / 32768
    encode(path, ((sound + rng.normal(0, 0.001, len(sound))) * 32768).clip(-32768, 32767).astype(np.int16))


def encode(path: Path, samples: Samples) -> None:
    """Ogg with Opus at 24 kbit/s, as messengers send it."""
    with av.open(path, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        stream.bit_rate = 24_000
        resampler = av.AudioResampler(stream.format.name, "mono", 48_000, stream.frame_size)
        frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
        frame.sample_rate = RATE
        for block in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(block))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    main()
