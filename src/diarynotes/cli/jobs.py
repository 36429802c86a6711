"""`diarynotes jobs` and `retry`: where recordings stand, and another try for those that were set aside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import click

from diarynotes.cli.console import name_source, print_table
from diarynotes.errors import BadSettings
from diarynotes.models import JobState
from diarynotes.settings import load_settings

_RETRIABLE: tuple[JobState, ...] = ("waiting", "dead", "quarantined")


@click.command()
@click.option("--state", "states", type=click.Choice(get_args(JobState)), multiple=True, help="Only these states.")
@click.option("--owner", metavar="NAME", help="Only this owner's.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.pass_obj
def jobs(home: str | None, states: tuple[JobState, ...], owner: str | None, limit: int, as_json: bool) -> None:
    """List where recordings stand, those that were set aside with the reason."""
    from diarynotes.store import open_store

    settings = load_settings(home=home)
    with open_store(settings.database_url, settings.home) as store:
        lines = store.jobs.list(states=states or None, owner=owner, limit=limit)
    if as_json:
        found = [
            {
                "recording_id": line.job.recording_id,
                "source": name_source(line.uri),
                "owner": line.owner,
                "state": line.job.state,
                "code": line.job.error_code,
                "message": line.job.error_message,
                "next_attempt_at": line.job.next_attempt_at.isoformat() if line.job.next_attempt_at else None,
            }
            for line in lines
        ]
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    if not lines:
        click.echo("There are no such recordings.")
        return
    rows = [
        (line.job.recording_id[:8], Path(name_source(line.uri)).name, line.job.state, line.job.error_message)
        for line in lines
    ]
    print_table("", ("recording", "file", "state", "what it means"), rows)


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID…]")
@click.option("--state", "states", type=click.Choice(_RETRIABLE), multiple=True, help="All recordings in this state.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def retry(home: str | None, ids: tuple[str, ...], states: tuple[JobState, ...], as_json: bool) -> None:
    """Let recordings be tried again by the next `run`: those whose IDs begin like this, or by state."""
    if not ids and not states:
        raise click.UsageError("Name recordings, or a state with --state.")
    from diarynotes.store import open_store

    settings = load_settings(home=home)
    with open_store(settings.database_url, settings.home) as store:
        chosen = None if not ids else _find(ids, [line.job.recording_id for line in store.jobs.list(states=_RETRIABLE)])
        moved = store.jobs.retry(chosen, states=states or None)
    if as_json:
        click.echo(json.dumps({"retried": [job.recording_id for job in moved]}))
    else:
        click.echo(f"{len(moved)} will be tried again by the next `diarynotes run` over them.")


def _find(prefixes: tuple[str, ...], known: list[str]) -> list[str]:
    """The ids that begin with any of the prefixes. Raises: BadSettings for a prefix that begins none."""
    for prefix in prefixes:
        if not any(found.startswith(prefix) for found in known):
            raise BadSettings("ID", f"'{prefix}' begins no recording that waits, is dead or quarantined.")
    return [found for found in known if found.startswith(prefixes)]


COMMANDS = (jobs, retry)
