"""`diarynotes export`: the diary as a folder of Markdown files that a notes app opens."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, tzinfo
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args
from urllib.parse import quote

import click

from diarynotes.cli.console import name_source, say
from diarynotes.errors import BadSettings
from diarynotes.models import RecordingId
from diarynotes.settings import load_settings
from diarynotes.store import StoredNote, in_order

if TYPE_CHECKING:
    from diarynotes.export.folder import File, Synced
    from diarynotes.export.pages import Day
    from diarynotes.store.store import Store

Audio: TypeAlias = Literal["link", "copy", "none"]


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--format", "form", default="markdown", show_default=True, metavar="NAME", help="markdown.")
@click.option("--owner", metavar="NAME", help="Whose diary (default: everybody's, in a folder each).")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="From this day on.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Until this day.")
@click.option(
    "--audio",
    type=click.Choice(get_args(Audio)),
    default="link",
    show_default=True,
    help="Link to the recordings where they are, copy them into the folder, or leave them out.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON object.")
@click.pass_obj
def export(
    home: str | None,
    folder: Path,
    form: str,
    owner: str | None,
    since: datetime | None,
    until: datetime | None,
    audio: Audio,
    as_json: bool,
) -> None:
    """Write the diary into DIR as Markdown, a file a day, for Obsidian or any other notes app.

    Call it again to bring DIR up to date. What you changed there stays: new text is put beside it.
    """
    if form != "markdown":
        raise BadSettings("--format", f"'{form}' cannot be written; known is markdown")
    folder = folder.expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise BadSettings(str(folder), "is a file; name a folder.")
    from diarynotes.export.folder import Scope, sync_folder
    from diarynotes.export.names import name_folders
    from diarynotes.store import open_store

    settings = load_settings(home=home)
    scope = Scope(owner, since.date() if since else None, until.date() if until else None)
    with open_store(settings.database_url, settings.home) as store:
        days = _read_days(store, scope.owner, scope.since, scope.until)
        owners = store.owners()
    tops = name_folders(owners) if owner is None and len(owners) > 1 else {}
    files = [
        file for day in days for file in _lay_out(day, folder, tops.get(day.owner, ""), zone=settings.zone, audio=audio)
    ]
    synced = sync_folder(folder, files, scope)
    if as_json:
        click.echo(json.dumps(_describe(folder, days, synced), ensure_ascii=False))
    else:
        _tell(folder, days, synced)


def _read_days(store: Store, owner: str | None, since: date | None, until: date | None) -> list[Day]:
    """Every day with notes, oldest first. One whose entry is not written yet gets the one that needs no model."""
    from diarynotes.diary.day import write_entry
    from diarynotes.export.pages import Day

    entries = {
        (stored.entry.owner, stored.entry.day): stored.entry
        for stored in store.entries(owner=owner, since=since, until=until)
    }
    notes: defaultdict[tuple[str, date], list[StoredNote]] = defaultdict(list)
    for stored in store.notes(owner=owner, since=since, until=until):
        notes[stored.recording.owner, stored.note.day].append(stored)
    days = []
    for (whose, day), found in sorted(notes.items(), key=lambda item: (item[0][1], item[0][0])):
        found.sort(key=in_order)
        entry = entries.get((whose, day)) or write_entry(
            [stored.note for stored in found], owner=whose, day=day, notes_version="", language="", writers=()
        )
        days.append(Day(whose, day, entry, tuple(found)))
    return days


def _lay_out(day: Day, folder: Path, top: str, *, zone: tzinfo, audio: Audio) -> list[File]:
    """The files of a day, in the folder `top` of its owner where there is one."""
    from diarynotes.export.folder import File, Sound
    from diarynotes.export.pages import make_pages, name_sound, year_folder

    sounds: list[File] = []
    links: dict[RecordingId, str] = {}
    for stored in day.notes if audio != "none" else ():
        recording = stored.recording
        path = PurePosixPath(top, year_folder(day.day), name_sound(stored, zone))
        if audio == "link":
            links[recording.id] = _as_uri(recording.uri)
            continue
        sound = Sound(recording.uri, recording.sha256, recording.size_bytes)
        sounds.append(File(str(path), day.owner, day.day, sound))
        if _may_be_read(recording.uri) or (folder / path).is_file():  # else it is going to be told as missing
            links[recording.id] = name_sound(stored, zone)
    pages = make_pages(day, zone=zone, sounds=links)
    texts = [File(str(PurePosixPath(top, page.path)), day.owner, day.day, page.text.encode()) for page in pages]
    return texts + sounds


def _may_be_read(uri: str) -> bool:
    return "://" in uri or Path(uri).is_file()


def _as_uri(uri: str) -> str:
    if uri.startswith("file://"):
        return uri
    return quote(uri, safe=":/") if "://" in uri else Path(uri).as_uri()


def _describe(folder: Path, days: Sequence[Day], synced: Synced) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "days": len(days),
        "notes": sum(len(day.notes) for day in days),
        "written": len(synced.written),
        "unchanged": len(synced.unchanged),
        "removed": len(synced.removed),
        "kept": synced.kept,
        "beside": synced.beside,
        "missing_audio": [name_source(uri) for uri in synced.missing],
    }


def _tell(folder: Path, days: Sequence[Day], synced: Synced) -> None:
    for path in synced.kept:
        say(f"{path} was changed by hand, so it stays as it is.")
    for path in synced.beside:
        say(f"Its new text is in {path}.")
    for uri in synced.missing:
        say(f"{name_source(uri)} could not be copied: it is not there any more, or another one is in its place.")
    counts = f"{len(synced.written)} files written, {len(synced.unchanged)} unchanged"
    removed = f", {len(synced.removed)} removed" if synced.removed else ""
    notes = sum(len(day.notes) for day in days)
    click.echo(f"{notes} notes of {len(days)} days are in {folder}: {counts}{removed}.")


COMMANDS = (export,)
