"""`diarynotes history`: every version of a note, and what an earlier one said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from diarynotes.cli.console import print_markdown, print_table
from diarynotes.cli.edit import find_note
from diarynotes.errors import BadSettings
from diarynotes.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from diarynotes.store import NoteVersion


@click.command()
@click.argument("id", metavar="ID")
@click.option("--version", "number", type=click.IntRange(1), metavar="N", help="Show this version in full.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, or one object with --version.")
@click.pass_obj
def history(home: str | None, id: str, number: int | None, as_json: bool) -> None:  # noqa: A002
    """List the versions of a note, the first one first. ID is as for `show`."""
    from diarynotes.diary import note_as_json, note_as_markdown
    from diarynotes.store import open_store

    settings = load_settings(home=home)
    with open_store(settings.database_url, settings.home) as store:
        stored = find_note(store, id)
        versions = store.versions(stored.note.recording_id)
    if number is None:
        told = [_describe(version, place) for place, version in enumerate(versions, 1)]
        click.echo(json.dumps(told)) if as_json else _print(versions, settings.zone)
        return
    if number > len(versions):
        raise BadSettings("--version", f"there are {len(versions)} versions of this note.")
    version = versions[number - 1]
    if as_json:
        click.echo(json.dumps(_describe(version, number) | note_as_json(version.note), ensure_ascii=False))
    else:
        print_markdown(note_as_markdown(version.note, stored.recording))


def _describe(version: NoteVersion, number: int) -> dict[str, Any]:
    note = version.note
    return {
        "version": number,
        "note_id": note.id,
        "written_at": version.written_at.isoformat(),
        "writer": note.writer,
        "model": note.model,
        "degraded": note.degraded,
        "current": version.is_current,
    }


def _print(versions: Sequence[NoteVersion], zone: tzinfo) -> None:
    rows = []
    for number, version in enumerate(versions, 1):
        note = version.note
        stand = ["current"] * version.is_current + ["degraded"] * note.degraded
        written = version.written_at.astimezone(zone).strftime("%Y-%m-%d %H:%M")
        writer = f"{note.writer} ({note.model})" if note.model else note.writer
        rows.append((number, written, writer, ", ".join(stand), note.draft.title))
    print_table("", ("version", "written", "writer", "", "title"), rows)


COMMANDS = (history,)
