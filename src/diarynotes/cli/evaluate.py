"""`diarynotes evaluate`: how many words engines get wrong on clips of one's own, how fast, and in how much memory."""

from __future__ import annotations

import csv
import itertools
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from diarynotes.cli.console import say
from diarynotes.cli.scores import DEFAULT_WAY, Progress, advise, describe_problem, print_scores, score_trial
from diarynotes.errors import BadSettings, DiarynotesError, SourceUnavailable
from diarynotes.settings import Settings, load_settings

if TYPE_CHECKING:
    from diarynotes.cli.trial import Clip
    from diarynotes.models import Quality
    from diarynotes.transcribe import Opening

_LIST = "transcripts.csv"


@dataclass(frozen=True, slots=True)
class Said:
    """What is said in a clip, and in which language (ISO 639-1)."""

    text: str
    language: str


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--engine", "engines", metavar="NAME", multiple=True, help="An engine to score; may be given again.")
@click.option(
    "--model",
    "models",
    metavar="NAME",
    multiple=True,
    help="A Whisper model's name, or the path of a .pt file; may be given again.",
)
@click.option(
    "--preprocess",
    "preparations",
    metavar="STEPS",
    multiple=True,
    help="What is done to the sound first: auto (as the settings say; the default), none, or steps such as "
    "high_pass+loudness; may be given again.",
)
@click.option("--clips", "with_clips", is_flag=True, help="Show each clip too, with what was said and heard.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def evaluate(
    home: str | None,
    folder: Path,
    engines: tuple[str, ...],
    models: tuple[str, ...],
    preparations: tuple[str, ...],
    with_clips: bool,
    as_json: bool,
) -> None:
    """Score speech engines on the clips in DIR: word errors, pace, memory, and whether trust tells good from bad.

    DIR holds recordings and a transcripts.csv with the columns file and text, and language where it is not English.
    Every engine is tried with every model and all that --preprocess names. A clip that cannot be read is listed and
    left out. Exit status 1 if an engine fails or no clip can be read.
    """
    settings = load_settings(home=home)
    said = _read_transcripts(folder / _LIST)
    openings = _list_openings(settings, engines, models, said)
    ways = dict(map(_read_way, preparations or (DEFAULT_WAY,)))
    problems: list[dict[str, str]] = []
    scores: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="diarynotes-") as spool:
        clips = _hear_clips(settings, folder, list(said), Path(spool), problems)
        qualities = [_measure(clip) if None in ways.values() else None for clip in clips]
        with Progress(len(clips), quiet=as_json) as progress:
            for opening in openings if clips else ():
                for way, steps in ways.items():
                    chosen = [_choose(settings, quality, opening.name) for quality in qualities]
                    taken = chosen if steps is None else itertools.repeat(steps)
                    prepared = [replace(clip, steps=these) for clip, these in zip(clips, taken, strict=False)]
                    scores += _try(opening, way, prepared, said, Path(spool), progress, problems)
    outcome = {
        "clips": len(clips),
        "audio_s": round(sum(clip.decoded.media.duration_s for clip in clips), 3),
        "engines": scores,
        "advice": advise(scores),
        "problems": problems,
    }
    if not with_clips:
        outcome["engines"] = [{name: value for name, value in row.items() if name != "clips"} for row in scores]
    if as_json:
        click.echo(json.dumps(outcome, ensure_ascii=False))
    else:
        print_scores(outcome)
    sys.exit(0 if clips and len(scores) == len(openings) * len(ways) else 1)


def _read_transcripts(path: Path) -> dict[str, Said]:
    """What is said in each clip, by file. Raises: BadSettings, saying what the file must hold."""
    what = 'the columns file and text, such as:\nfile,text\nmonday.m4a,"I walked to the river."'
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets begin theirs with a byte order mark
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise BadSettings(str(path), f"cannot be read. It must be there and hold {what}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadSettings(str(path), f"is not CSV in UTF-8. It must hold {what}") from error
    if not rows or not {"file", "text"} <= rows[0].keys():
        raise BadSettings(str(path), f"names no clips. It must hold {what}")
    return {
        row["file"]: Said(row["text"] or "", (row.get("language") or "en").strip().lower())
        for row in rows
        if row["file"]
    }


def _list_openings(
    settings: Settings, engines: Sequence[str], models: Sequence[str], said: Mapping[str, Said]
) -> list[Opening]:
    """How to open each engine with each model; `auto` is chosen here, and said. Raises: BadSettings.

    The engines are told the language if it is the same in all clips, or forced by the settings.
    """
    from diarynotes.transcribe import WHISPERS, Opening, check_engine, choose_engine, find_gpu, list_devices

    spoken = {clip.language for clip in said.values()}
    language = settings.language or (spoken.pop() if len(spoken) == 1 else None)
    device = list_devices(settings.device, gpu=find_gpu())[0]
    openings: dict[Opening, None] = {}
    for name in engines or (settings.engine,):
        check_engine(name)
        for model in models or (settings.model or None,):
            engine, weights = name, model if name in ("auto", *WHISPERS) else None
            if name == "auto":
                choice = choose_engine(settings.models, model, fetch=settings.fetch_models, gpu=device != "cpu")
                say(choice.reason)
                engine, weights = choice.name, choice.model
            openings[Opening(engine, weights, settings.models, language, settings.worker_count, device)] = None
    return list(openings)


def _read_way(named: str) -> tuple[str, tuple[str, ...] | None]:
    """What is done to the sound first: its name, and its steps (None: as the settings say). Raises: BadSettings."""
    from diarynotes.transcribe.preprocess import STEPS

    words = set(named.split("+"))
    if named in ("auto", "none"):
        return named, None if named == "auto" else ()
    if not words <= set(STEPS):
        raise BadSettings("preprocess", f"'{named}' is not known; name none, auto, or some of {'+'.join(STEPS)}.")
    steps = tuple(step for step in STEPS if step in words)
    return "+".join(steps), steps


def _measure(clip: Clip) -> Quality:
    from diarynotes.validate import measure_quality

    return measure_quality(clip.decoded.open(keep=True), clipping_ratio=clip.decoded.clipping_ratio)


def _choose(settings: Settings, quality: Quality | None, engine: str) -> tuple[str, ...]:
    from diarynotes.transcribe import choose_steps

    return choose_steps(quality, settings.preprocess_modes, engine=engine)


def _hear_clips(
    settings: Settings, folder: Path, files: Sequence[str], spool: Path, problems: list[dict[str, str]]
) -> list[Clip]:
    """The clips that can be decoded, in the sandbox; `problems` gets the others."""
    from diarynotes.cli.trial import Clip
    from diarynotes.sandbox import Sandbox, SandboxLimits
    from diarynotes.validate import Limits
    from flows.hearing import Errand, hear, warm_up

    there = [file for file in files if (folder / file).is_file()]
    gone = [file for file in files if file not in set(there)]
    problems += [describe_problem(file, SourceUnavailable(file, "is not there")) for file in gone]
    limits = Limits(max_duration_s=settings.max_duration_s)
    errands = [Errand((folder / file).absolute(), spool, limits, settings.zone) for file in there]
    clips: list[Clip] = []
    sandbox_limits = SandboxLimits(memory_bytes=settings.decode_memory_bytes)
    with Sandbox(workers=settings.worker_count, limits=sandbox_limits, warm_up=warm_up) as sandbox:
        outcomes = sandbox.map(hear, errands, wall_s=settings.decode_timeout_s)
        for file, outcome in zip(there, outcomes, strict=True):
            if isinstance(outcome, Exception):
                problems.append(describe_problem(file, outcome))
            else:
                clips.append(Clip(file, *outcome))
    return clips


def _try(
    opening: Opening,
    way: str,
    clips: Sequence[Clip],
    said: Mapping[str, Said],
    spool: Path,
    progress: Progress,
    problems: list[dict[str, str]],
) -> list[dict[str, Any]]:
    """The score of one engine; none where it fails, which `problems` then tells."""
    from diarynotes.cli.trial import try_engine

    with progress.follow(_name(opening, way)) as advance:
        try:
            trial, peak_bytes = try_engine(opening, clips, spool=spool, progress=advance)
        except DiarynotesError as error:
            problems.append(describe_problem(opening.name, error))
            return []
    audio_s = sum(clip.decoded.media.duration_s for clip in clips)
    texts = {file: (clip.text, clip.language) for file, clip in said.items()}
    return [score_trial(trial, texts, problems, way=way, audio_s=audio_s, peak_bytes=peak_bytes)]


def _name(opening: Opening, way: str) -> str:
    model = Path(opening.model).stem if opening.model else ""
    return " ".join(filter(None, (opening.name, model, "" if way == DEFAULT_WAY else f"with {way}")))


COMMANDS = (evaluate,)
