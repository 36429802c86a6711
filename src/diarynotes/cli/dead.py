"""`diarynotes dead` and `discard`: why recordings were given up, and giving them up for good."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

import click

from diarynotes.cli.choice import Choice, choose, choosing
from diarynotes.cli.console import name_source
from diarynotes.errors import Reason
from diarynotes.models import JobState
from diarynotes.settings import load_settings

if TYPE_CHECKING:
    from diarynotes.store.dead import Cause

_FAILED: tuple[JobState, ...] = ("waiting", "dead", "quarantined")
_OPEN: tuple[JobState, ...] = ("received", "validated", "transcribed", "written", *_FAILED)

_WHAT_TO_DO: Mapping[Reason, str] = MappingProxyType(
    {
        "timeout": "Raise the limit (decode_timeout_s, engine_timeout_s), or cut the recordings up.",
        "model_error": "See with `diarynotes doctor` whether engine and models work, or take another.",
        "resource_exhaustion": "Free memory or disk, or give the workers more.",
        "validation_error": "Mend the recordings, or discard them.",
        "external_api_error": "See that the bucket or the service answers, and that its key is still good.",
        "unknown_error": "Read the log around that time; if it comes again, it is a bug to report.",
    }
)


@click.command()
@click.option("--reason", type=click.Choice(get_args(Reason)), help="Only those that failed for this reason.")
@click.option("--owner", metavar="NAME", help="Only this owner's.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.pass_obj
def dead(home: str | None, reason: Reason | None, owner: str | None, as_json: bool) -> None:
    """List what was given up, by cause, with an example each and what to do."""
    from diarynotes.store import open_store
    from diarynotes.store.dead import group_causes

    settings = load_settings(home=home)
    with open_store(settings.database_url, settings.home) as store:
        causes = group_causes(store.jobs.list(states=["dead"], owner=owner), store.drops.list(dead=True, owner=owner))
    wanted = [cause for cause in causes if reason in (None, cause.reason)]
    if as_json:
        click.echo(json.dumps([_as_json(cause) for cause in wanted], ensure_ascii=False))
    elif not wanted:
        click.echo("Nothing was given up.")
    for cause in () if as_json else wanted:
        _tell(cause)


def _as_json(cause: Cause) -> dict[str, Any]:
    return {
        "reason": cause.reason,
        "code": cause.code,
        "kind": "drop" if cause.are_drops else "recording",
        "count": cause.count,
        "since": cause.since.isoformat() if cause.since else None,
        "example": {"source": name_source(cause.source), "message": cause.message},
        "what_to_do": _WHAT_TO_DO[cause.reason],
        "retry": f"diarynotes retry --code {cause.code}",
    }


def _tell(cause: Cause) -> None:
    what = "drop" if cause.are_drops else "recording"
    since = f", since {cause.since.astimezone():%Y-%m-%d %H:%M}" if cause.since else ""
    click.secho(
        f"{cause.count} {what}{'s' if cause.count != 1 else ''}: {cause.code} ({cause.reason}){since}", bold=True
    )
    click.echo(f"  such as {name_source(cause.source)}")
    click.echo(f"  {cause.message}")
    click.echo(f"  {_WHAT_TO_DO[cause.reason]} Then: diarynotes retry --code {cause.code}\n")


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID…]")
@choosing
@click.pass_obj
def discard(home: str | None, /, ids: tuple[str, ...], dry_run: bool, as_json: bool, **cause: Any) -> None:
    """Give recordings up: those whose IDs begin like this, or all that failed for a cause.

    They are marked and never deleted; `retry ID` brings them back. What has landed is refused.
    """
    if not (ids or cause["code"] or cause["reason"]):
        raise click.UsageError("Name recordings, or a cause with --code or --reason.")
    from diarynotes.store import open_store

    settings = load_settings(home=home)
    with open_store(settings.database_url, settings.home) as store:
        choice = Choice(ids, _OPEN if ids else _FAILED, **cause)
        chosen = choose(store, choice, what="is on its way or was set aside; what has landed is not discarded")
        if not ids:
            chosen = replace(chosen, drops=())  # there is no recording yet that could be marked
        if not dry_run:
            chosen = chosen.only({job.recording_id for job in store.jobs.discard(chosen.ids)})
            store.drops.forget([line.drop.id for line in chosen.drops])
    if as_json:
        key = "would_discard" if dry_run else "discarded"
        click.echo(json.dumps({key: chosen.ids, "drops": chosen.drop_ids}, ensure_ascii=False))
    elif dry_run:
        chosen.show(f"{chosen.count} would be given up")
    else:
        click.echo(f"{chosen.count} given up. `diarynotes retry ID` brings a recording back.")
