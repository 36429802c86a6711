"""`diarynotes write`: a note from a transcript, shown and not landed; the way to try writers out."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import click

from diarynotes.settings import load_settings


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--writer", metavar="NAME", help="openai, mistral, anthropic, server, extractive, or a chain of them (a,b)."
)
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="The day it was said (default: today).")
@click.option("--json", "as_json", is_flag=True, help="Print the note as one JSON object.")
@click.pass_obj
def write(home: str | None, file: Path, writer: str | None, day: datetime | None, as_json: bool) -> None:
    """Write a note from a transcript FILE without landing it.

    FILE is text with one segment a line, or JSON: {"segments": ["…"]} or {"segments": [{"start_s", "end_s", "text"}]}.
    """
    from diarynotes.diary import Private, note_as_json, note_as_markdown, open_writers, read_transcript, write_note

    settings = load_settings(home=home, writers=writer)
    transcript = read_transcript(file)
    with ExitStack() as opened:
        writers = open_writers(settings.writers, settings.writer_options, cloud=settings.cloud)
        for writer_ in writers:
            opened.callback(writer_.close)
        note = write_note(
            transcript,
            day=(day or datetime.now(settings.zone)).date(),
            writers=writers,
            private=Private(settings.private_names, settings.phone_region or None),
        )
    if as_json:
        click.echo(json.dumps(note_as_json(note), ensure_ascii=False))
        return
    from diarynotes.cli.console import print_markdown

    print_markdown(note_as_markdown(note))


COMMANDS = (write,)
