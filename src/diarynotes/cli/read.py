"""`diarynotes notes` and `show`: reading the diary."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

import click

from diarynotes.cli.console import print_markdown, print_table
from diarynotes.cli.day import pages_as_json, print_pages, read_pages
from diarynotes.cli.edit import find_note
from diarynotes.cli.run import describe_note, print_notes
from diarynotes.settings import load_settings

if TYPE_CHECKING:
    from diarynotes.models import DiaryNote


@click.command()
@click.option("--owner", metavar="NAME", help="Whose notes (default: everybody's in this home).")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="The entry of this day, and its notes.")
@click.option("--history", is_flag=True, help="With --day: the entry's earlier versions, too.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, or one object for a day.")
@click.pass_obj
def notes(home: str | None, owner: str | None, day: datetime | None, history: bool, limit: int, as_json: bool) -> None:
    """List notes, the newest day first; or read one day."""
    from diarynotes.store import open_store

    if history and not day:
        raise click.UsageError("Name the day whose earlier entries are wanted: --day YYYY-MM-DD.")
    settings = load_settings(home=home)
    with open_store(settings.database_url, settings.home) as store:
        if day:
            pages = read_pages(store, day.date(), owner)
        else:
            found = [describe_note(entry) for entry in store.notes(owner=owner, limit=limit)]
    if day and as_json:
        click.echo(pages_as_json(pages, day.date(), owner, history=history))
    elif day:
        print_pages(pages, settings.zone, history=history)
    elif as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    elif found:
        print_notes(found)
    else:
        click.echo("There are no notes yet. Make some with: diarynotes run FOLDER")


def print_findings(note: DiaryNote) -> None:
    """How much of a note stands as it was said, and what a person should look at; nothing where all is well."""
    if note.findings:
        found = [(finding.where, finding.message) for finding in note.findings]
        print_table("To look at", ("where", "what was seen"), found)
    if note.findings and note.grounded_share is not None:
        click.echo(f"{note.grounded_share:.0%} of what {note.writer} wrote stands as it was said.")


@click.command()
@click.argument("id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print the note as one JSON object.")
@click.pass_obj
def show(home: str | None, id: str, as_json: bool) -> None:  # noqa: A002
    """Show one note in full. ID is a note's or a recording's id, or its first characters, or a file's name."""
    from diarynotes.diary import note_as_json, note_as_markdown
    from diarynotes.store import open_store

    settings = load_settings(home=home)
    with open_store(settings.database_url, settings.home) as store:
        found = find_note(store, id)
    if as_json:
        click.echo(json.dumps({**describe_note(found), **note_as_json(found.note)}, ensure_ascii=False))
    else:
        print_markdown(note_as_markdown(found.note, found.recording))
        print_findings(found.note)


COMMANDS = (notes, show)
