"""`diarynotes sent`: what has left this machine for a model elsewhere, when, how much of it, and what was masked."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from diarynotes.cli.console import print_table
from diarynotes.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import tzinfo

    from diarynotes.calls import LedgerLine
    from diarynotes.models import Recording


@click.command()
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), metavar="DAY", help="From this day on (default: ever).")
@click.option("--owner", metavar="NAME", help="Only what was said by this owner.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many, newest first.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list; `sha256` is that of the words that left.")
@click.pass_obj
def sent(home: str | None, since: datetime | None, owner: str | None, limit: int, as_json: bool) -> None:
    """List what has left this machine: to whom, when, how much, and how many things of each kind were masked in it.

    The words themselves are not kept. Models of your own, in this process or on your network, are not listed.
    """
    from diarynotes.store import open_store

    settings = load_settings(home=home)
    with open_store(settings.database_url, settings.home, zone=settings.zone) as store:
        lines = store.ledger(since=since.date() if since else None, owner=owner, elsewhere=True, limit=limit)
        ids = [line.call.recording_id for line in lines if line.call.recording_id]
        recordings = store.recordings(ids) if ids else {}
    if as_json:
        click.echo(json.dumps([_describe(line, recordings) for line in lines], ensure_ascii=False))
    elif lines:
        _print(lines, recordings, settings.zone)
    else:
        click.echo("Nothing has left this machine.")


def _describe(line: LedgerLine, recordings: Mapping[str, Recording]) -> dict[str, Any]:
    call = line.call
    return {
        "at": line.begun_at.isoformat(),
        "to": call.writer,
        "model": call.model,
        "owner": call.owner,
        "recording_id": call.recording_id,
        "source": _name(line, recordings),
        "bytes": call.sent_bytes,
        "sha256": call.sent_sha256,
        "masked": dict(call.masked),
        "outcome": line.outcome,
    }


def _print(lines: Sequence[LedgerLine], recordings: Mapping[str, Recording], zone: tzinfo) -> None:
    rows = [
        (
            line.begun_at.astimezone(zone).strftime("%Y-%m-%d %H:%M"),
            f"{line.call.writer} ({line.call.model})",
            (_name(line, recordings) or "a day, or several notes").rpartition("/")[2],
            f"{line.call.sent_bytes:,}",
            ", ".join(f"{count} {kind}" for kind, count in line.call.masked.items()) or "nothing",
            line.outcome or "not known",
        )
        for line in lines
    ]
    columns = ("sent", "to", "recording", "bytes", "masked", "outcome")
    print_table("", columns, rows, numbers=("bytes",), whole=("sent",))


def _name(line: LedgerLine, recordings: Mapping[str, Recording]) -> str | None:
    recording = recordings.get(line.call.recording_id or "")
    return recording.uri if recording else None


COMMANDS = (sent,)
