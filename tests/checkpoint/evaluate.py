"""Word errors of trained weights on the held-out sentences, by engine and voice: `python evaluate.py [WEIGHTS]`.

Goes the way of every recording: VAD, windows, engine. Needs flite. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from expand import NAME, WEIGHTS, expand
from speak import PITCH_HZ, held_out, speak

from diarynotes.models import SAMPLE_RATE, Audio, Media, Transcript
from diarynotes.transcribe import Engine, Heard, transcribe_recordings
from diarynotes.transcribe.vad import find_speech
from diarynotes.word_errors import WordErrors, count_word_errors

SILENCE = np.zeros(SAMPLE_RATE // 2, np.int16)
"""What is before and after each sentence."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, nargs="?", default=WEIGHTS)
    said = held_out()
    heard = [hear(str(number), text, voice) for number, (text, voice) in enumerate(said)]
    print(f"| engine | all | {' | '.join(PITCH_HZ)} |\n|---|---|{'---|' * len(PITCH_HZ)}")
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / NAME
        torch.save(expand(torch.load(parser.parse_args().weights, weights_only=True)), checkpoint)
        for name, engine in open_engines(checkpoint):
            with closing(engine):
                errors = score(engine, heard, said)
            rates = [f"{errors[voice].rate:.1%}" for voice in PITCH_HZ]
            print(f"| {name} | {sum(errors.values(), WordErrors(0, 0)).rate:.1%} | {' | '.join(rates)} |", flush=True)


def open_engines(checkpoint: Path) -> Iterator[tuple[str, Engine]]:
    """The two Whisper engines, CTranslate2 in full precision and in int8."""
    from diarynotes.transcribe import ctranslate2, whisper

    backend: Engine
    for precision in ("fp32", None):
        backend = whisper.Backend(checkpoint, device="cpu", precision=precision)
        yield f"`whisper` {precision or 'as it chooses'}", backend
    for quantization in ("float32", "int8"):
        backend = ctranslate2.Backend(checkpoint, checkpoint.parent, device="cpu", quantization=quantization)
        yield f"`ctranslate2` {quantization}", backend


def hear(id_: str, text: str, voice: str) -> Heard:
    samples = np.concatenate([SILENCE, speak(text, voice), SILENCE])
    audio = Audio(samples, Media("wav", "pcm_s16le", len(samples) / SAMPLE_RATE, SAMPLE_RATE, 1))
    return Heard(id_, audio, find_speech(audio))


def score(engine: Engine, heard: list[Heard], said: list[tuple[str, str]]) -> dict[str, WordErrors]:
    """Word errors by voice; what comes back as no transcript has all its words wrong."""
    errors = dict.fromkeys(PITCH_HZ, WordErrors(0, 0))
    for id_, result in transcribe_recordings(engine, heard):
        text, voice = said[int(id_)]
        errors[voice] += count_word_errors(text, result.text if isinstance(result, Transcript) else "")
    return errors


if __name__ == "__main__":
    main()
