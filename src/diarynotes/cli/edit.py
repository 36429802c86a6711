"""`diarynotes edit`: a note in a person's own editor, stored as a version that no writer goes over."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from diarynotes.cli.console import name_source, say
from diarynotes.errors import BadSettings, StorageFailed, UncheckedNote
from diarynotes.settings import load_settings, make_home

if TYPE_CHECKING:
    from diarynotes.models import DiaryNote
    from diarynotes.store import StoredNote
    from diarynotes.store.store import Store

_FOLDER, _NAME = "edits", "note.txt"


@click.command()
@click.argument("id", metavar="ID")
@click.option("--file", "source", metavar="FILE", help="Take the text from a file, or with - from stdin.")
@click.option("--print", "only_print", is_flag=True, help="Print the text that would be opened.")
@click.option("--drop", is_flag=True, help="Make the newest note that is not yours the current one again.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def edit(home: str | None, id: str, source: str | None, only_print: bool, drop: bool, as_json: bool) -> None:  # noqa: A002
    """Edit a note: it opens in VISUAL or EDITOR as a text, and what you save is the note from then on.

    No writer ever goes over it; earlier versions are kept (`diarynotes history`). ID is a note's or a recording's id,
    or its first characters, or a file's name.
    """
    if (source is not None) + only_print + drop > 1:
        raise click.UsageError("Choose one of --file, --print and --drop.")
    settings = load_settings(home=home)
    make_home(settings)
    from flows.workshop import open_workshop

    with open_workshop(settings) as shop:
        stored = find_note(shop.store, id)
        if only_print:
            click.echo(_show(stored), nl=False)
            return
        changed = _drop(shop, stored) if drop else _change(shop, stored, source)
        state = _land(shop, stored.note.recording_id) if changed else "landed"
    if as_json:
        told = {"recording_id": stored.note.recording_id, "changed": changed, "state": state}
        click.echo(json.dumps(told))
    elif state != "landed":
        say(f"It is stored but has not landed ({state}); `diarynotes jobs` tells why.")
    sys.exit(0 if state == "landed" else 1)


def find_note(store: Store, wanted: str) -> StoredNote:
    """The current note of which a note's or a recording's id begins like this, or whose file has this name.

    Raises: BadSettings where it is none, or not one alone.
    """
    found = store.notes(prefix=wanted, limit=2) or store.notes(file_name=wanted, limit=2)
    if not found:
        raise BadSettings("ID", f"no id of a note or recording begins with '{wanted}', and no file has that name.")
    if len(found) > 1:
        why = f"'{wanted}' is how more than one begins, or is called; `diarynotes notes --json` tells their ids."
        raise BadSettings("ID", why)
    return found[0]


def _show(stored: StoredNote) -> str:
    from diarynotes.diary.edited import note_as_text

    note, name = stored.note, Path(name_source(stored.recording.uri)).name
    return note_as_text(note, f"The note of {note.day.isoformat()} from {name}, version by {note.writer}.")


def _drop(shop: Any, stored: StoredNote) -> bool:
    if shop.store.jobs.drop_edits(stored.note.recording_id) is None:
        raise BadSettings("--drop", "this note is not one that you have edited, or there is no other.")
    newer = find_note(shop.store, stored.note.recording_id).note
    say(f"The note by {newer.writer} is the current one again; yours stays in `diarynotes history`.")
    return True


def _change(shop: Any, stored: StoredNote, source: str | None) -> bool:
    """Whether a new version was stored. Raises: BadSettings, with the line, for a text that cannot be read back."""
    from diarynotes.diary.edited import edit_note

    with _typing(shop.settings.home, stored, source) as typed:
        edited = edit_note(stored.note, _decode(typed.content))
        if edited is None:
            say("Nothing has changed.")
            return False
        _check(shop, stored, edited)
        before = find_note(shop.store, edited.recording_id).note
        if shop.store.jobs.store_edit(edited) is None:
            raise BadSettings("ID", "this recording is just being worked on; try again when that is done.")
        typed.is_stored = True
    say("Your version is the note now.")
    if before.id != stored.note.id:
        say(f"Meanwhile {before.writer} had written another one; it is in `diarynotes history`.")
    return True


def _check(shop: Any, stored: StoredNote, edited: DiaryNote) -> None:
    """Raises UncheckedNote for what would be set aside before it lands."""
    from diarynotes.store import Landing
    from flows.gate import check_landings, turned_away

    landing = Landing(stored.recording, stored.transcript, edited, (), 0)
    failed = turned_away(check_landings([landing], max_duration_s=shop.settings.max_duration_s))
    if failed:
        raise UncheckedNote(failed[edited.recording_id])


def _land(shop: Any, recording_id: str) -> str:
    """The state that the recording ends in; the entry of its day follows the note."""
    from flows.entries import write_entries
    from flows.stages import land_notes

    land_notes(shop, [recording_id])
    if shop.settings.daily_entries:
        wishes = shop.wish(engine=None, model=None, language=None, writers=None)
        write_entries(shop, [recording_id], wishes=wishes)
    shop.store.snapshot()
    (line,) = shop.store.jobs.list([recording_id])
    state: str = line.job.state
    return state


# -- the text, and what becomes of it ---------------------------------------------------------------------------------


@dataclass(slots=True)
class _Typed:
    """What came back from a person."""

    content: bytes
    is_stored: bool = False


@contextmanager
def _typing(home: Path, stored: StoredNote, source: str | None) -> Iterator[_Typed]:
    """The text from an editor, a file or stdin. Where it is not stored by the end of the block, it is kept."""
    if source not in (None, "-"):
        given = Path(str(source)).expanduser()
        typed = _Typed(_read(given))
        yield typed
        if typed.is_stored and given.resolve().parent.parent == (home / _FOLDER).resolve():
            shutil.rmtree(given.resolve().parent, ignore_errors=True)  # one that was kept here
        return
    shown = _show(stored).encode()
    folder = _make_folder(home)
    path = folder / _NAME
    typed = _Typed(shown)
    try:
        path.write_bytes(shown)
        if source == "-":
            path.write_bytes(sys.stdin.buffer.read())
        else:
            _warm_up()
            click.edit(filename=str(path))
        typed.content = path.read_bytes()
        yield typed
        typed.is_stored = True  # or there was nothing to store
    finally:
        if typed.is_stored or not path.exists() or path.read_bytes() == shown:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            _keep_only(path)
            say(f"What you typed is kept in {path}; mend it and store it with --file.")


def _make_folder(home: Path) -> Path:
    """A new folder that nobody else can look into. Raises: StorageFailed."""
    edits = home / _FOLDER
    try:
        edits.mkdir(mode=0o700, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=edits))
    except OSError as error:
        raise StorageFailed(str(edits), error.strerror or type(error).__name__) from error


def _keep_only(path: Path) -> None:
    """Editors leave copies of their own."""
    for other in path.parent.iterdir():
        if other != path:
            other.unlink()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSettings(str(path), error.strerror or type(error).__name__) from error


def _decode(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
    # outside of the handler: what Python raised holds the text
    raise BadSettings(f"line {line}", "it is not in UTF-8; save the text in UTF-8")


def _warm_up() -> None:
    """What the checks need is imported while the person types."""
    import data_checks

    threading.Thread(target=data_checks.warm_up, name="warm-up", daemon=True).start()


COMMANDS = (edit,)
