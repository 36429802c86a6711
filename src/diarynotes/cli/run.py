"""`diarynotes run`: recordings in, a landed diary out, through the Prefect flow."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import Any, get_args

import click

from diarynotes.cli.console import name_source, print_table, say
from diarynotes.errors import BadSettings
from diarynotes.models import Priority
from diarynotes.settings import Settings, load_settings

ALL_LANDED, FAILED, SET_ASIDE, INTERRUPTED = 0, 1, 3, 130
_READ_AT_ONCE = 500


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…")
@click.option("--owner", metavar="NAME", help="Whose recordings they are.")
@click.option("--engine", metavar="NAME", help="auto, whisper, ctranslate2 or pocketsphinx.")
@click.option(
    "--model", metavar="NAME", help="A Whisper model's name, or the path of its weights; else by priority and length."
)
@click.option(
    "--priority",
    type=click.Choice(get_args(Priority)),
    default="normal",
    show_default=True,
    help="Of recordings that are new: what is urgent goes first and gets the better model.",
)
@click.option("--language", metavar="CODE", help="Force a language, such as en or de.")
@click.option("--prompt", metavar="TERMS", help="Names and words that may come up, with commas between; at most ten.")
@click.option(
    "--writer",
    metavar="NAME",
    help="openai, anthropic, mistral, llama_cpp, server or extractive, with or without :MODEL; or a chain (a,b:m).",
)
@click.option(
    "--cloud/--no-cloud",
    default=True,
    help="Whether what is said may go, masked, to another's machine; once forbidden it stays so.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON object.")
@click.pass_obj
def run(home: str | None, /, sources: tuple[str, ...], as_json: bool, **wishes: Any) -> None:
    """Turn recordings into diary notes.

    SOURCE is a file, a folder or a bucket's URI. What has landed before is not done again.

    Exit status: 0 every recording has its note; 3 some were set aside as bad input and the rest landed; 1 something
    failed that a retry may mend; 2 wrong usage.
    """
    outcome = run_sources(load_settings(home=home), sources, quiet=as_json, **wishes)
    if as_json:
        click.echo(json.dumps(outcome, ensure_ascii=False))
    else:
        print_outcome(outcome)
    sys.exit(exit_status(outcome))


def run_sources(settings: Settings, sources: Sequence[str], *, quiet: bool, **wishes: Any) -> dict[str, Any]:
    """Runs the flow over the sources and says what came of it, in the shape that `run --json` prints."""
    from diarynotes.cli.session import run_flow

    located = [source if "://" in source else _locate(source) for source in sources]
    try:
        return run_flow(settings, located, describe_outcome, quiet=quiet, **wishes)
    except KeyboardInterrupt:
        say("Stopped. What had landed stays; run the same command again to go on.")
        sys.exit(INTERRUPTED)


def _locate(source: str) -> str:
    """The absolute path of a file or folder. Raises: BadSettings at once where there is none, before servers start."""
    path = Path(source).expanduser().absolute()
    if not path.exists():
        raise BadSettings(source, "there is no such file or folder.")
    return str(path)


def describe_outcome(store: Any, report: Any) -> dict[str, Any]:
    """Where the recordings of a run stand now: counts by state, the notes that landed in it, and the problems."""
    states: Counter[str] = Counter(store.jobs.count(report.ids))
    failed = store.jobs.list(report.ids, states=["quarantined", "waiting", "dead"])
    problems = [
        {"source": name_source(line.uri), "code": line.job.error_code, "message": line.job.error_message}
        for line in failed
    ]
    problems += [
        {"source": name_source(problem.uri), "code": problem.code, "message": str(problem)}
        for problem in report.problems
    ]
    new = [recording_id for recording_id in report.ids if recording_id not in report.landed_before]
    described, messages = _describe_notes(store, new)
    return {
        "recordings": len(report.ids),
        "landed": len(described),
        "skipped": states["discarded"] + states["erased"] + states["landed"] - len(described),
        "quarantined": states["quarantined"],
        "waiting": states["waiting"],
        "dead": states["dead"],
        "notes": described,
        "problems": problems,
        "writers_failed": [{"message": message, "notes": count} for message, count in messages.most_common()],
    }


def _describe_notes(store: Any, ids: Sequence[str]) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Those that have landed as they are listed, oldest first; why others should have written them, and how many.

    Only so many are in memory at once with all that was said in them.
    """
    described: list[tuple[datetime, str, dict[str, Any]]] = []
    messages = Counter[str]()
    for start in range(0, len(ids), _READ_AT_ONCE):
        lines = store.jobs.list(ids[start : start + _READ_AT_ONCE], states=["landed"])
        for stored in store.notes(recording_ids=[line.job.recording_id for line in lines]):
            described.append((stored.recording.recorded_at, stored.recording.id, describe_note(stored)))
            messages.update(each.message for each in stored.note.findings if each.code == "writer_failed")
    return [note for *_, note in sorted(described, key=itemgetter(0, 1))], messages


def describe_note(stored: Any) -> dict[str, Any]:
    """A landed note as `run` and `notes` list it."""
    note, transcript = stored.note, stored.transcript
    return {
        "recording_id": note.recording_id,
        "source": name_source(stored.recording.uri),
        "day": note.day.isoformat(),
        "title": note.draft.title,
        "mood": note.draft.mood.label,
        "engine": transcript.engine,
        "model": transcript.model,
        "writer": note.writer,
        "trust": round(transcript.trust, 2),
        "degraded": note.degraded or transcript.degraded,
        "cost_usd": None if stored.usd is None else float(stored.usd),
    }


def exit_status(outcome: dict[str, Any]) -> int:
    """A failure that a retry may mend outweighs bad input, which outweighs success."""
    set_aside = outcome["quarantined"]
    if outcome["waiting"] or outcome["dead"] or len(outcome["problems"]) > set_aside:
        return FAILED
    return SET_ASIDE if set_aside else ALL_LANDED


def print_outcome(outcome: dict[str, Any]) -> None:
    """The outcome as tables and a sentence."""
    if outcome["notes"]:
        print_notes(outcome["notes"])
    if outcome["problems"]:
        rows = [(Path(problem["source"]).name, problem["code"], problem["message"]) for problem in outcome["problems"]]
        print_table("Not in the diary", ("file", "reason", "what it means"), rows)
    for failed in outcome["writers_failed"]:
        click.echo(f"{_count_notes(failed['notes'])}: {failed['message']} `diarynotes upgrade` tries again.")
    click.echo(_summarise(outcome))


def print_notes(notes: Sequence[dict[str, Any]]) -> None:
    """Notes as a table, one a line; who heard and wrote them has a column only where that differs."""
    told = {title: [note[key] for note in notes] for title, key in (("heard by", "engine"), ("written by", "writer"))}
    columns = {
        "file": [Path(note["source"]).name for note in notes],
        "day": [note["day"] for note in notes],
        "title": [note["title"] for note in notes],
        "mood": [note["mood"] for note in notes],
        "trust": [f"{note['trust']:.2f}" for note in notes],
        **{title: names for title, names in told.items() if len(set(names)) > 1},
    }
    print_table("", list(columns), list(zip(*columns.values(), strict=True)), whole=set(columns) - {"file", "title"})
    alike = [f"{title} {names[0]}" for title, names in told.items() if len(set(names)) == 1]
    if alike:
        click.echo(f"{', '.join(alike).capitalize()}.")


def _count_notes(count: int) -> str:
    return "1 note" if count == 1 else f"{count} notes"


def _summarise(outcome: dict[str, Any]) -> str:
    if not outcome["recordings"] and not outcome["problems"]:
        return "There is no file to be seen there."
    parts = [f"{outcome['landed']} landed"] if outcome["landed"] else ["Nothing is new"]
    names = {
        "skipped": "already in the diary",
        "quarantined": "set aside",
        "waiting": "to be tried again",
        "dead": "given up",
    }
    parts += [f"{outcome[key]} {words}" for key, words in names.items() if outcome[key]]
    return f"{', '.join(parts)}."


COMMANDS = (run,)
