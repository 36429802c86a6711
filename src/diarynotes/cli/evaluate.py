"""`diarynotes evaluate`: how many words engines get wrong on clips of one's own, how fast, and in how much memory."""

from __future__ import annotations

import csv
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from diarynotes.cli.console import print_table, say
from diarynotes.errors import BadSettings, DiarynotesError, NoSpeech, SourceUnavailable, Unexpected
from diarynotes.settings import Settings, load_settings
from diarynotes.word_errors import MIN_CLIPS, WordErrors, correlate_ranks, count_word_errors

if TYPE_CHECKING:
    from diarynotes.cli.trial import Clip, Opening, Trial

_LIST = "transcripts.csv"
_LEGEND = (
    "Words are compared after Whisper's normaliser for English; trust is the mean over clips. It should fall as\n"
    "errors rise: trust~error is the rank correlation of the two over clips, -1 at best."
)


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--engine", "engines", metavar="NAME", multiple=True, help="An engine to score; may be given again.")
@click.option("--model", metavar="NAME", help="A Whisper model's name, or the path of a .pt file.")
@click.option("--clips", "with_clips", is_flag=True, help="Show each clip too, with what was said and heard.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def evaluate(
    home: str | None, folder: Path, engines: tuple[str, ...], model: str | None, with_clips: bool, as_json: bool
) -> None:
    """Score speech engines on the clips in DIR: word errors, pace, memory, and whether trust tells good from bad.

    DIR holds recordings of English speech and a transcripts.csv with the columns file and text. A clip that cannot be
    read is listed and left out. Exit status 1 if an engine fails or no clip can be read.
    """
    settings = load_settings(home=home, model=model)
    said = _read_transcripts(folder / _LIST)
    openings = [_open(settings, name) for name in engines or (settings.engine,)]
    problems: list[dict[str, str]] = []
    scores: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="diarynotes-") as spool:
        clips = _hear_clips(settings, folder, said, Path(spool), problems)
        for opening in openings if clips else ():
            if not as_json:
                say(f"… {opening.name} listens to {len(clips)} clips")
            scores += _try(opening, clips, said, Path(spool), problems)
    if not with_clips:
        scores = [{name: value for name, value in score.items() if name != "clips"} for score in scores]
    audio_s = sum(clip.decoded.media.duration_s for clip in clips)
    outcome = {"clips": len(clips), "audio_s": round(audio_s, 3), "engines": scores, "problems": problems}
    if as_json:
        click.echo(json.dumps(outcome, ensure_ascii=False))
    else:
        _print(outcome)
    sys.exit(0 if clips and len(scores) == len(openings) else 1)


def _read_transcripts(path: Path) -> dict[str, str]:
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
    return {row["file"]: row["text"] or "" for row in rows if row["file"]}


def _open(settings: Settings, name: str) -> Opening:
    """How to open the engine of this name; `auto` is chosen here, and said. Raises: BadSettings."""
    from diarynotes.cli.trial import Opening
    from diarynotes.transcribe import check_engine, choose_engine

    check_engine(name)
    model = settings.model or None
    if name == "auto":
        choice = choose_engine(settings.models, model, fetch=settings.fetch_models)
        say(choice.reason)
        name, model = choice.name, choice.model
    return Opening(name, model, settings.models, settings.language or "en", settings.worker_count)


def _hear_clips(
    settings: Settings, folder: Path, said: Mapping[str, str], spool: Path, problems: list[dict[str, str]]
) -> list[Clip]:
    """The clips that can be decoded, in the sandbox; `problems` gets the others."""
    from diarynotes.cli.trial import Clip
    from diarynotes.sandbox import Sandbox, SandboxLimits
    from diarynotes.validate import Limits
    from flows.hearing import Errand, hear, warm_up

    there = [file for file in said if (folder / file).is_file()]
    problems += [_problem(file, SourceUnavailable(file, "is not there")) for file in said if file not in set(there)]
    limits = Limits(max_duration_s=settings.max_duration_s)
    errands = [Errand((folder / file).absolute(), spool, limits, settings.zone) for file in there]
    clips: list[Clip] = []
    sandbox_limits = SandboxLimits(memory_bytes=settings.decode_memory_bytes)
    with Sandbox(workers=settings.worker_count, limits=sandbox_limits, warm_up=warm_up) as sandbox:
        outcomes = sandbox.map(hear, errands, wall_s=settings.decode_timeout_s)
        for file, outcome in zip(there, outcomes, strict=True):
            if isinstance(outcome, Exception):
                problems.append(_problem(file, outcome))
            else:
                clips.append(Clip(file, *outcome))
    return clips


def _try(
    opening: Opening, clips: Sequence[Clip], said: Mapping[str, str], spool: Path, problems: list[dict[str, str]]
) -> list[dict[str, Any]]:
    """The score of one engine; none where it fails, which `problems` then tells."""
    from diarynotes.cli.trial import try_engine

    try:
        trial, peak_bytes = try_engine(opening, clips, spool=spool)
    except DiarynotesError as error:
        problems.append(_problem(opening.name, error))
        return []
    rows = [row for file, result in trial.results if (row := _compare(file, said[file], result, problems))]
    audio_s = sum(clip.decoded.media.duration_s for clip in clips)
    return [_score(trial, rows, audio_s=audio_s, peak_bytes=peak_bytes)]


def _compare(file: str, said: str, result: Any, problems: list[dict[str, str]]) -> dict[str, Any] | None:
    """One clip's line. Where no speech was found every word counts as missed; a failure is a problem, and no line."""
    if isinstance(result, DiarynotesError) and not isinstance(result, NoSpeech):
        problems.append(_problem(file, result))
        return None
    heard, trust = ("", None) if isinstance(result, NoSpeech) else (result.text, result.trust)
    errors = count_word_errors(said, heard)
    return {"file": file, "wrong": errors.wrong, "words": errors.words, "trust": trust, "said": said, "heard": heard}


def _score(trial: Trial, rows: Sequence[dict[str, Any]], *, audio_s: float, peak_bytes: int) -> dict[str, Any]:
    errors = [WordErrors(row["wrong"], row["words"]) for row in rows]
    total = sum(errors, WordErrors(0, 0))
    trusts = [row["trust"] for row in rows if row["trust"] is not None]
    judged = [
        (row["trust"], error.rate)
        for row, error in zip(rows, errors, strict=True)
        if row["trust"] is not None and error.rate is not None
    ]
    correlation = correlate_ranks([trust for trust, _ in judged], [rate for _, rate in judged])
    return {
        "engine": trial.engine,
        "model": trial.model,
        "words": total.words,
        "wrong": total.wrong,
        "word_error_rate": total.rate,
        "real_time_factor": audio_s / trial.seconds,
        "peak_memory_mb": round(peak_bytes / 1e6),
        "mean_trust": statistics.mean(trusts) if trusts else None,
        "trust_error_correlation": correlation,
        "trust_error_clips": len(judged),
        "clips": rows,
    }


def _problem(source: str, error: Exception) -> dict[str, str]:
    known = error if isinstance(error, DiarynotesError) else Unexpected(type(error).__name__)
    return {"source": source, "code": known.code, "message": str(known)}


def _print(outcome: dict[str, Any]) -> None:
    columns = ("engine", "model", "wrong words", "× real time", "peak MB", "trust", "trust~error")
    for score in outcome["engines"]:
        for_people = [
            (row["file"], f"{row['wrong']} of {row['words']}", _number(row["trust"]), row["said"], row["heard"])
            for row in score.get("clips", ())
        ]
        if for_people:
            print_table(score["engine"], ("clip", "wrong", "trust", "said", "heard"), for_people)
    if outcome["engines"]:
        print_table("", columns, [_row(score) for score in outcome["engines"]])
        click.echo(_LEGEND)
    for score in outcome["engines"]:
        if score["trust_error_correlation"] is None:
            click.echo(f"{score['engine']}: {_tell_why(score['trust_error_clips'])}")
    for problem in outcome["problems"]:
        source, message = problem["source"], problem["message"]
        click.echo(f"Left out: {message}" if message.startswith(source) else f"Left out: {source}: {message}")


def _row(score: dict[str, Any]) -> tuple[Any, ...]:
    rate, correlation = score["word_error_rate"], score["trust_error_correlation"]
    return (
        score["engine"],
        score["model"],
        "–" if rate is None else f"{rate:.1%}",
        f"{score['real_time_factor']:.1f}",
        score["peak_memory_mb"],
        _number(score["mean_trust"]),
        "–" if correlation is None else f"{correlation:+.2f}",
    )


def _tell_why(clips: int) -> str:
    """Why there is no rank correlation."""
    if clips < MIN_CLIPS:
        return f"too few clips to hold trust against error ({clips} with words in them, of at least {MIN_CLIPS})."
    return "trust cannot be held against error, because one of them is the same in every clip."


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


COMMANDS = (evaluate,)
