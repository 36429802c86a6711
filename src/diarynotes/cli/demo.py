"""`diarynotes demo`: the main job over the spoken examples, in a home of its own, with the pages shown."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import Any

import click

from diarynotes.cli.console import print_markdown
from diarynotes.cli.examples import examples_folder
from diarynotes.cli.run import ALL_LANDED, FAILED, exit_status, print_outcome, run_sources
from diarynotes.settings import Settings, load_settings

_QUERY = "select day, title, mood, trust from notes order by day"


@click.command()
@click.option("--engine", metavar="NAME", help="auto, whisper or pocketsphinx.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON object.")
@click.pass_obj
def demo(home: str | None, engine: str | None, as_json: bool) -> None:
    """Turn the spoken examples into a diary, in a home of its own (the folder `demo` in yours).

    Two of the examples are bad on purpose, to show what happens to those; they do not change the exit status.
    """
    settings = load_settings(home=home)
    # Weights are shared with the real home; the demo itself downloads nothing.
    settings = replace(settings, home=settings.home / "demo", models_folder=str(settings.models), fetch_models=False)
    outcome = run_sources(settings, [str(examples_folder())], quiet=as_json, engine=engine)
    if as_json:
        click.echo(json.dumps(outcome, ensure_ascii=False))
    else:
        _show(settings, outcome)
    raise SystemExit(FAILED if exit_status(outcome) == FAILED else ALL_LANDED)


def _show(settings: Settings, outcome: dict[str, Any]) -> None:
    for page in _pages(settings, [note["recording_id"] for note in outcome["notes"]]):
        print_markdown(page)
    print_outcome(outcome)
    command = f"diarynotes --home {shlex.quote(str(settings.home))}"
    click.echo(
        f"""
Where it lies   {settings.home}
                postgres/ is the truth, warehouse/ the same as Parquet (Delta tables), diarynotes.duckdb to query
Ask it          .venv/bin/{command} query "{_QUERY}"
Your own voice  .venv/bin/diarynotes run ~/voice-notes
Better ears     put OpenAI's Whisper weights (for example small.pt) into {settings.models / "whisper"}
Is all well?    .venv/bin/diarynotes doctor"""
    )


def _pages(settings: Settings, ids: list[str]) -> list[str]:
    """The diary pages of these recordings, in the order in which they were spoken."""
    if not ids:
        return []
    from diarynotes.diary import note_as_markdown
    from diarynotes.store import open_store

    with open_store(settings.database_url, settings.home) as store:
        found = store.notes(recording_ids=ids)
    found.sort(key=lambda entry: entry.recording.recorded_at)
    return [note_as_markdown(entry.note, entry.recording) for entry in found]


COMMANDS = (demo,)
