"""`diarynotes jobs` and `retry`: where recordings stand, and another try for those that were set aside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import click

from diarynotes.cli.choice import Choice, choose, choosing
from diarynotes.cli.console import name_source, print_table
from diarynotes.cli.dead import dead, discard
from diarynotes.errors import Reason, reason_of
from diarynotes.models import JobState
from diarynotes.settings import load_settings

_FAILED: tuple[JobState, ...] = ("waiting", "dead", "quarantined")
_RETRIABLE: tuple[JobState, ...] = (*_FAILED, "discarded")


@click.command()
@click.option("--state", "states", type=click.Choice(get_args(JobState)), multiple=True, help="Only these states.")
@click.option("--reason", type=click.Choice(get_args(Reason)), help="Only those that failed for this reason.")
@click.option("--owner", metavar="NAME", help="Only this owner's.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.pass_obj
def jobs(
    home: str | None,
    states: tuple[JobState, ...],
    reason: Reason | None,
    owner: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List where recordings stand, those that were set aside with the reason."""
    from diarynotes.store import open_store

    settings = load_settings(home=home)
    with open_store(settings.database_url, settings.home) as store:
        lines = store.jobs.list(states=states or None, owner=owner, limit=None if reason else limit)
    wanted = [line for line in lines if reason is None or reason == _reason(line)][:limit]
    if as_json:
        click.echo(json.dumps([_describe(line) for line in wanted], ensure_ascii=False))
        return
    if not wanted:
        click.echo("There are no such recordings.")
        return
    rows = [
        (
            line.job.recording_id[:8],
            Path(name_source(line.uri)).name,
            line.job.state,
            _reason(line),
            line.job.error_message,
        )
        for line in wanted
    ]
    print_table("", ("recording", "file", "state", "reason", "what it means"), rows)


def _reason(line: Any) -> Reason | None:
    return reason_of(line.job.error_code) if line.job.error_code else None


def _describe(line: Any) -> dict[str, Any]:
    return {
        "recording_id": line.job.recording_id,
        "source": name_source(line.uri),
        "owner": line.owner,
        "state": line.job.state,
        "reason": _reason(line),
        "code": line.job.error_code,
        "message": line.job.error_message,
        "next_attempt_at": line.job.next_attempt_at.isoformat() if line.job.next_attempt_at else None,
        "failures": line.job.failures,
        "crashes": line.job.crashes,
    }


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID…]")
@click.option("--state", "states", type=click.Choice(_RETRIABLE), multiple=True, help="All recordings in this state.")
@click.option("--all", "everything", is_flag=True, help="All that are dead or wait for their next try.")
@choosing
@click.pass_obj
def retry(
    home: str | None,
    /,
    ids: tuple[str, ...],
    states: tuple[JobState, ...],
    everything: bool,
    dry_run: bool,
    as_json: bool,
    **cause: Any,
) -> None:
    """Let recordings be tried again by the next `run`: those whose IDs begin like this, by state, or by cause.

    What a person has discarded comes back where its ID is named, or with --state discarded.
    """
    if not (ids or states or everything or cause["code"] or cause["reason"]):
        raise click.UsageError("Name recordings, a state with --state, a cause with --code or --reason, or --all.")
    from diarynotes.store import open_store

    if not states:
        states = _RETRIABLE if ids else ("waiting", "dead") if everything else _FAILED
    settings = load_settings(home=home)
    with open_store(settings.database_url, settings.home) as store:
        chosen = choose(store, Choice(ids, states, **cause), what="waits, is dead, quarantined or discarded")
        if not dry_run:
            moved = {job.recording_id for job in store.jobs.retry(chosen.ids, states=states)} if chosen.lines else set()
            chosen = chosen.only(moved)
            if chosen.drops:
                store.drops.retry([line.drop.id for line in chosen.drops])
    if as_json:
        key = "would_retry" if dry_run else "retried"
        click.echo(json.dumps({key: chosen.ids, "drops": chosen.drop_ids}, ensure_ascii=False))
    elif dry_run:
        chosen.show(f"{chosen.count} would be tried again")
    else:
        click.echo(f"{chosen.count} will be tried again by the next `diarynotes run` over them.")


COMMANDS = (jobs, retry, dead, discard)
