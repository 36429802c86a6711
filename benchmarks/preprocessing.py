"""What each step of preprocessing does to word errors, on clips as they are and spoilt; prints a table, writes JSON.

Clips are spoilt in known ways (hum, rumble, noise, too quiet, clipped; the noise is seeded), speech is looked for in
what comes of it, and the windows go through an engine after nothing or after steps. A row that the JSON file already
holds is not measured again, so a long measurement can be done in parts. The rank correlation tells whether the
engine's own confidence falls as errors rise.

    python benchmarks/preprocessing.py [--engine pocketsphinx] [--model NAME] [--clips FOLDER] [--json FILE]
        [--spoil clean,hum] [--steps none,high_pass]
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diarynotes.audio import decode
from diarynotes.models import SAMPLE_RATE, Audio, Span, Window, WindowText
from diarynotes.transcribe import ENGINES, Engine, open_engine
from diarynotes.transcribe.preprocess import STEPS, apply_steps
from diarynotes.transcribe.vad import find_speech
from diarynotes.transcribe.windows import group_spans
from diarynotes.validate import measure_quality
from diarynotes.word_errors import WordErrors, correlate_ranks, count_as_fewer, count_word_errors

Samples = NDArray[Any]

ROOM = 10 ** (-1 / 20)
"""Noise that is added does not clip: the sum is turned down to this peak where it must be."""


@dataclass(frozen=True, slots=True)
class Row:
    """One clip, spoilt and preprocessed; `suggested` is what validation says would help."""

    seed: int
    spoil: str
    steps: str
    file: str
    wrong: int
    words: int
    avg_logprob: float | None
    suggested: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clip:
    """A spoilt clip, what is said in it, and where somebody seems to speak in it."""

    file: str
    said: str
    audio: Audio
    groups: tuple[tuple[Span, ...], ...]


def main() -> None:
    arguments = _read_arguments()
    rows = _read_rows(arguments.json)
    seed = arguments.seed
    known = {(row.seed, row.spoil, row.steps) for row in rows}
    engine = open_engine(
        arguments.engine, model=arguments.model, models=arguments.models, language="en", workers=arguments.workers
    )
    try:
        for spoil in arguments.spoil.split(","):
            wanted = [steps for steps in arguments.steps.split(",") if (seed, spoil, steps) not in known]
            clips = list(_spoil_clips(arguments.clips, spoil, seed)) if wanted else []
            for steps in wanted:
                rows += _measure(engine, seed, spoil, steps, clips)
                _write_rows(rows, engine, arguments.json)
    finally:
        engine.close()
    _print(rows)


def _spoil_clips(folder: Path, spoil: str, seed: int) -> Iterator[Clip]:
    with (folder / "transcripts.csv").open(encoding="utf-8", newline="") as file:
        said = {row["file"]: row["text"] for row in csv.DictReader(file)}
    with tempfile.TemporaryDirectory() as spool:
        for name, text in said.items():
            clip = decode(folder / name, spool=Path(spool)).open()
            spoilt = SPOILS[spoil](clip.pcm / 32768, np.random.default_rng(seed))
            spoilt = spoilt * min(1.0, ROOM / np.abs(spoilt).max()) * 32768
            audio = replace(clip, pcm=np.round(spoilt).astype(np.int16))
            yield Clip(name, text, audio, tuple(group_spans(find_speech(audio))))


def _measure(engine: Engine, seed: int, spoil: str, steps: str, clips: list[Clip]) -> Iterator[Row]:
    taken = () if steps == "none" else tuple(steps.split("+"))
    windows = [
        Window(clip.file, number, spans[0].start_s, _prepare(clip.audio, spans, taken), spans)
        for clip in clips
        for number, spans in enumerate(clip.groups)
    ]
    texts = list(zip(windows, engine.decode(windows), strict=True))
    for clip in clips:
        heard = [text for window, text in texts if window.recording_id == clip.file and text.text]
        errors = count_word_errors(clip.said, " ".join(text.text for text in heard))
        suggested = measure_quality(clip.audio).preprocessing
        yield Row(seed, spoil, steps, clip.file, errors.wrong, errors.words, _confidence(heard), suggested)


def _prepare(audio: Audio, spans: tuple[Span, ...], steps: tuple[str, ...]) -> NDArray[np.float32]:
    return apply_steps(audio.samples(spans[0].start_s, spans[-1].end_s), steps)


def _confidence(heard: list[WindowText]) -> float | None:
    """The engine's own over all words; None where it has none."""
    known = [(math.exp(text.avg_logprob), len(text.text.split())) for text in heard if text.avg_logprob is not None]
    words = sum(count for _, count in known)
    return math.log(sum(sure * count for sure, count in known) / words) if words else None


# -- how clips are spoilt: float64 (samples,) and a source of chance in, the same shape out ---------------------------


def _power(samples: Samples) -> float:
    """Mean square of the louder frames of 32 ms: those within 10 dB of the mean."""
    power = np.square(samples[: len(samples) // 512 * 512].reshape(-1, 512)).mean(axis=1)
    return float(power[power > 0.1 * power.mean()].mean())


def _add(samples: Samples, noise: Samples, snr_db: float) -> Samples:
    return samples + noise * math.sqrt(_power(samples) / np.square(noise).mean() * 10 ** (-snr_db / 10))


def _shape(chance: np.random.Generator, size: int, gain: Callable[[Samples], Samples]) -> Samples:
    """Noise whose spectrum has this gain at each frequency in Hz."""
    spectrum = np.fft.rfft(chance.standard_normal(size)) * gain(np.fft.rfftfreq(size, 1 / SAMPLE_RATE))
    return np.fft.irfft(spectrum, size)


def _hum(size: int) -> Samples:
    """The mains at 50 Hz with its harmonics."""
    time_s = np.arange(size) / SAMPLE_RATE
    tones = [level * np.sin(2 * np.pi * 50 * k * time_s + k) for k, level in ((1, 1.0), (2, 0.3), (3, 0.3), (5, 0.1))]
    return np.asarray(np.sum(tones, axis=0))


def _rumble(frequency_hz: Samples) -> Samples:
    return (frequency_hz > 10) & (frequency_hz < 60)


def _pink(frequency_hz: Samples) -> Samples:
    return 1 / np.sqrt(np.maximum(frequency_hz, 20))


def _at_level(samples: Samples, level_dbfs: float) -> Samples:
    return samples * 10 ** (level_dbfs / 20) / math.sqrt(_power(samples))


def _white_noise(snr_db: float) -> Callable[[Samples, np.random.Generator], Samples]:
    return lambda samples, chance: _add(samples, chance.standard_normal(len(samples)), snr_db)


def _pink_noise(snr_db: float) -> Callable[[Samples, np.random.Generator], Samples]:
    return lambda samples, chance: _add(samples, _shape(chance, len(samples), _pink), snr_db)


SPOILS: dict[str, Callable[[Samples, np.random.Generator], Samples]] = {
    "clean": lambda samples, _: samples,
    "hum": lambda samples, _: _add(samples, _hum(len(samples)), 0.0),
    "rumble": lambda samples, chance: _add(samples, _shape(chance, len(samples), _rumble), -6.0),
    "loud rumble": lambda samples, chance: _add(samples, _shape(chance, len(samples), _rumble), -16.0),
    "quiet": lambda samples, _: _at_level(samples, -50.0),
    "very quiet": lambda samples, _: _at_level(samples, -60.0),
    "clipped": lambda samples, _: 0.5 * np.clip(_at_level(samples, -6.0), -1.0, 1.0),
    **{f"white {snr_db}": _white_noise(snr_db) for snr_db in (20, 10, 5)},
    **{f"pink {snr_db}": _pink_noise(snr_db) for snr_db in (20, 10, 5)},
}


# -- rows in and out --------------------------------------------------------------------------------------------------


def _read_rows(path: Path) -> list[Row]:
    if not path.exists():
        return []
    found = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return [Row(**{**row, "suggested": tuple(row["suggested"])}) for row in found]


def _write_rows(rows: list[Row], engine: Engine, path: Path) -> None:
    report: dict[str, Any] = {"engine": engine.name, "model": engine.model, "rows": [asdict(row) for row in rows]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _print(rows: list[Row]) -> None:
    """A line for each way of spoiling: word errors after nothing and after steps; * is surely a difference."""
    ways = list(dict.fromkeys(row.steps for row in rows))
    print(f"{'':12}" + "".join(f"{way:>18}" for way in ways) + "   suggested for")
    for spoil in dict.fromkeys(row.spoil for row in rows):
        these = [row for row in rows if row.spoil == spoil]
        plain = _errors(these, "none")
        cells = [_cell(plain, _errors(these, way)) for way in ways]
        suggested = [step for row in these if row.steps == "none" for step in row.suggested if step in STEPS]
        counts = ", ".join(f"{step} {suggested.count(step)}" for step in dict.fromkeys(suggested))
        print(f"{spoil:12}" + "".join(f"{cell:>18}" for cell in cells) + f"   {counts}")
    judged = [(row.avg_logprob, row.wrong / row.words) for row in rows if row.avg_logprob is not None]
    correlation = correlate_ranks([sure for sure, _ in judged], [rate for _, rate in judged])
    for way in ways:
        _print_where_suggested(rows, way)
    print(f"confidence against errors, rank correlation over {len(judged)} clips: {correlation or 0:+.2f}")


def _print_where_suggested(rows: list[Row], way: str) -> None:
    without, with_it = [], []
    for before, after in _pair(rows, way):
        without.append(before)
        with_it.append(after)
    if without:
        wrong = " -> ".join(str(sum(errors.wrong for errors in side)) for side in (without, with_it))
        sure = count_as_fewer(with_it, without)
        print(f"{way}, where it was suggested ({len(without)} clips): {wrong} wrong words, fewer at {sure:.0%}")


def _pair(rows: list[Row], steps: str) -> list[tuple[WordErrors, WordErrors]]:
    """Without and with steps, each clip for which validation suggests one of them."""
    plain = {(row.seed, row.spoil, row.file): WordErrors(row.wrong, row.words) for row in rows if row.steps == "none"}
    return [
        (plain[key], WordErrors(row.wrong, row.words))
        for row in rows
        if row.steps == steps and set(row.suggested) & set(steps.split("+"))
        if (key := (row.seed, row.spoil, row.file)) in plain
    ]


def _errors(rows: list[Row], steps: str) -> dict[tuple[str, int], WordErrors]:
    """By clip and seed."""
    return {(row.file, row.seed): WordErrors(row.wrong, row.words) for row in rows if row.steps == steps}


def _cell(plain: dict[tuple[str, int], WordErrors], treated: dict[tuple[str, int], WordErrors]) -> str:
    if not treated:
        return ""
    total = sum(treated.values(), WordErrors(0, 0))
    both = [file for file in treated if file in plain]
    fewer = count_as_fewer([treated[file] for file in both], [plain[file] for file in both])
    mark = "*" if both and max(fewer, 1 - fewer) >= 0.95 else " "
    return f"{total.wrong / total.words:.0%}{mark}"


def _read_arguments() -> argparse.Namespace:
    root = Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="pocketsphinx", choices=ENGINES)
    parser.add_argument("--model", help="a Whisper model's name or a .pt file")
    parser.add_argument("--models", type=Path, default=Path("models"), help="the folder that holds whisper/NAME.pt")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clips", type=Path, default=root.parent / "shared" / "audio" / "human")
    parser.add_argument("--spoil", default=",".join(SPOILS), help="which of them, with commas")
    parser.add_argument("--steps", default=",".join(("none", *STEPS)), help="ways with commas, such as none,high_pass")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=Path("bench-results/preprocessing.json"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
