"""What `diarynotes notes --day` shows: the entry as a page, the notes that it was made of, its earlier versions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from diarynotes.cli.console import print_markdown, print_table
from diarynotes.cli.run import describe_note
from diarynotes.store import StoredEntry, StoredNote, in_order

if TYPE_CHECKING:
    from diarynotes.store.store import Store


@dataclass(frozen=True, slots=True)
class DayPage:
    """What an owner's day holds: its current entry, its notes in the order of the day, superseded entries."""

    owner: str
    entry: StoredEntry | None
    notes: tuple[StoredNote, ...]
    history: tuple[StoredEntry, ...] = ()

    @property
    def in_entry(self) -> frozenset[str]:
        """The ids of the notes that the entry was made of."""
        return frozenset(note_id for note_id, _ in self.entry.entry.sources) if self.entry else frozenset()


def read_pages(store: Store, day: date, owner: str | None = None) -> list[DayPage]:
    """A page for each owner with notes or an entry on that day."""
    notes = sorted(store.notes(owner=owner, since=day, until=day), key=in_order)
    entries = store.entries(owner=owner, since=day, until=day, history=True)
    owners = sorted({stored.recording.owner for stored in notes} | {stored.entry.owner for stored in entries})
    return [_make_page(each, notes, entries) for each in owners]


def print_pages(pages: Sequence[DayPage], zone: tzinfo, *, history: bool) -> None:
    """The pages one below the other."""
    from diarynotes.diary.render import entry_as_markdown

    if not pages:
        click.echo("There are no notes of this day.")
    for page in pages:
        if len(pages) > 1:
            click.echo(f"{page.owner}:")
        if page.entry:
            print_markdown(entry_as_markdown(page.entry.entry))
        if page.notes:
            _print_notes(page, zone)
        if history and page.history:
            columns = ("written", "by", "title")
            rows = [(f"{stored.written_at.astimezone(zone):%Y-%m-%d %H:%M}", *_tell(stored)) for stored in page.history]
            print_table("Earlier versions", columns, rows)


def pages_as_json(pages: Sequence[DayPage], day: date, owner: str | None, *, history: bool) -> str:
    """One object; where several owners have that day, its `pages` are one such object for each of them."""
    objects = [_page_as_json(page, day, history=history) for page in pages]
    if len(objects) == 1:
        return json.dumps(objects[0], ensure_ascii=False)
    whole: dict[str, Any] = {"day": day.isoformat(), "owner": owner, "entry": None, "notes": []}
    return json.dumps(whole | ({"pages": objects} if objects else {}), ensure_ascii=False)


def _make_page(owner: str, notes: Sequence[StoredNote], entries: Sequence[StoredEntry]) -> DayPage:
    mine = [stored for stored in entries if stored.entry.owner == owner]
    return DayPage(
        owner,
        next((stored for stored in mine if stored.is_current), None),
        tuple(stored for stored in notes if stored.recording.owner == owner),
        tuple(stored for stored in mine if not stored.is_current),
    )


def _print_notes(page: DayPage, zone: tzinfo) -> None:
    rows = []
    for stored in page.notes:
        known = describe_note(stored)
        late = "" if not page.entry or stored.note.id in page.in_entry else "not yet"
        at = f"{stored.recording.recorded_at.astimezone(zone):%H:%M}"
        rows.append((at, known["title"], known["mood"], known["writer"], Path(known["source"]).name, late))
    columns = ("at", "note", "mood", "writer", "file", "in the entry")
    late_ones = any(row[-1] for row in rows)
    print_table("", columns if late_ones else columns[:-1], rows if late_ones else [row[:-1] for row in rows])


def _page_as_json(page: DayPage, day: date, *, history: bool) -> dict[str, Any]:
    from diarynotes.diary.render import entry_as_json

    notes = [
        {
            "note_id": stored.note.id,
            "recorded_at": stored.recording.recorded_at.isoformat(),
            "in_entry": stored.note.id in page.in_entry,
            **describe_note(stored),
        }
        for stored in page.notes
    ]
    entry = {"written_at": page.entry.written_at.isoformat(), **entry_as_json(page.entry.entry)} if page.entry else None
    told: dict[str, Any] = {"day": day.isoformat(), "owner": page.owner, "entry": entry, "notes": notes}
    if history:
        told["history"] = [
            {"written_at": stored.written_at.isoformat(), **entry_as_json(stored.entry)} for stored in page.history
        ]
    return told


def _tell(stored: StoredEntry) -> tuple[str, str]:
    entry = stored.entry
    return f"{entry.writer} ({entry.model})", entry.draft.title
