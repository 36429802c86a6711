"""`diarynotes upgrade`: degraded notes are written again by a better writer, once it is said what that costs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from diarynotes.cli.console import say
from diarynotes.settings import load_settings, make_home

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diarynotes.calls import Breaker
    from flows.upgrade_plan import Plan, Share
    from flows.upgrades import Unchanged, Upgraded

_DAY = click.DateTime(["%Y-%m-%d"])
_STAYED, _INTERRUPTED = 1, 130


@click.command()
@click.option("--owner", metavar="NAME", help="Whose notes (default: everybody's in this home).")
@click.option("--since", type=_DAY, help="The first day whose notes are looked at.")
@click.option("--until", type=_DAY, help="The last one.")
@click.option("--limit", type=click.IntRange(1), help="At most so many notes, those of the newest days first.")
@click.option("--writer", metavar="CHAIN", help="Who is asked, in this order (default: the settings' writers).")
@click.option("--dry-run", is_flag=True, help="Only say how many notes, about what cost, about how long.")
@click.option("--yes", is_flag=True, help="Do not ask before it begins.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def upgrade(
    home: str | None,
    owner: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int | None,
    writer: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Write degraded notes again where a better writer answers now.

    A note is degraded when no language model wrote it, or another than the first of the chain. Where none of the better
    ones answers, the note stays as it is. Earlier versions are kept (`diarynotes history`), and what you have edited
    yourself is never written over.

    Exit status: 0 all of them are better now, or there is nothing to do; 1 some stayed as they were.
    """
    if as_json and not (yes or dry_run):
        raise click.UsageError("With --json nothing is asked: add --yes, or --dry-run.")
    settings = load_settings(home=home)
    make_home(settings)
    days: dict[str, Any] = {"since": since.date() if since else None, "until": until.date() if until else None}
    from flows.workshop import open_workshop

    with open_workshop(settings) as shop:
        plan = _plan(shop, owner=owner, limit=limit, writer=writer, **days)
        done: Upgraded | None = None
        if not as_json:
            click.echo("\n".join([*_describe(plan), *_tell_resting(shop, plan)]))
        if not dry_run and (yes or not plan.notes or click.confirm("Write them now?")):
            try:
                done = _run(shop, plan, quiet=as_json, owner=owner, writer=writer, **days)
            except KeyboardInterrupt:
                say("Stopped. What was written stays; run the same command again to go on.")
                sys.exit(_INTERRUPTED)
        if as_json:
            click.echo(json.dumps(_plan_as_json(plan, _find_resting(shop, plan)) | _done_as_json(done)))
        elif done is not None and plan.notes:
            click.echo("\n".join([*_tell(plan, done), *_tell_resting(shop, plan)]))
    sys.exit(_STAYED if done is not None and len(done.ids) < plan.notes else 0)


def _plan(shop: Any, *, owner: str | None, limit: int | None, writer: str | None, **days: Any) -> Plan:
    from flows.upgrade_plan import find_upgrades, plan_upgrade

    wishes = shop.wish(engine=None, model=None, language=None, writers=writer)
    found = find_upgrades(shop, wishes, owner=owner, limit=limit, **days)
    return plan_upgrade(shop, found, poorly_heard=shop.store.count_poorly_heard(owner=owner, **days))


def _run(shop: Any, plan: Plan, *, quiet: bool, **wanted: Any) -> Upgraded | None:
    """What came of it, never more than was planned; None where there is nothing to do."""
    unlanded = shop.store.jobs.list(states=["written"], owner=wanted["owner"], limit=1)
    if not (plan.notes or unlanded):
        return None
    from diarynotes.cli.session import reporting

    with reporting(shop.settings), _progress(plan.notes, quiet=quiet):
        from flows.upgrades import upgrade as flow

        start: Callable[..., Any] = flow  # which gives back the result of its last state
        result: Upgraded = start(limit=plan.notes, **wanted)
    return result


@contextmanager
def _progress(total: int, *, quiet: bool) -> Iterator[None]:
    """A bar on stderr that moves with every note, whether it became better or not; gone when the block ends."""
    if quiet:
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from diarynotes.observe import Event, listening

    columns = (TextColumn("Writing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=total)

        def follow(event: Event) -> None:
            if event.name in ("written", "upgrade_failed"):
                progress.advance(bar)

        with listening(follow):
            yield


# -- in words ---------------------------------------------------------------------------------------------------------


def _describe(plan: Plan) -> list[str]:
    lines = []
    if plan.notes:
        lines.append(f"{_count(plan.notes)} can be written better: {_list_writers(plan.shares)}.")
        lines.append(f"That costs {_say_usd(plan)} and takes {_say_time(plan.seconds)} ({_say_grounds(plan.shares)}).")
        if plan.clouds:
            lines.append(f"What was said goes, masked, to {', else '.join(plan.clouds)}.")
        if plan.left_usd is not None:
            lines.append(f"The budget leaves ${plan.left_usd:.2f}; notes that do not fit into it stay as they are.")
    else:
        lines.append("No note can be written better by the writers at hand.")
    if plan.poorly_heard:
        rest = "rests" if plan.poorly_heard == 1 else "rest"
        lines.append(
            f"{_count(plan.poorly_heard)} {rest} on what a second-best speech engine heard; that is not heard again."
        )
    return lines


def _find_resting(shop: Any, plan: Plan) -> list[tuple[Breaker, datetime]]:
    from flows.upgrade_plan import find_resting

    return find_resting(shop, plan)


def _tell_resting(shop: Any, plan: Plan) -> list[str]:
    return [
        f"{breaker.key} is left alone until {until.astimezone(shop.settings.zone):%H:%M:%S} ({breaker.reason})."
        for breaker, until in _find_resting(shop, plan)
    ]


def _count(notes: int) -> str:
    return "1 note" if notes == 1 else f"{notes} notes"


def _list_writers(shares: Sequence[Share]) -> str:
    return ", ".join(f"{share.notes} by {share.writer} ({share.model})" for share in shares)


def _say_usd(plan: Plan) -> str:
    if plan.usd is None:
        return "an unknown amount"
    low, high = plan.usd
    if not high:
        return "nothing"
    digits = 2 if high >= 1 else 4
    return f"about ${low:.{digits}f} to ${high:.{digits}f}"


def _say_time(seconds: float) -> str:
    if seconds < 60:
        return f"about {max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < 90 else f"about {minutes / 60:.1f} h"


def _say_grounds(shares: Sequence[Share]) -> str:
    guessed = list(dict.fromkeys(share.writer for share in shares if not share.measured))
    if not guessed:
        return "by its latest answers"
    return f"assumed for {' and '.join(guessed)}: 10 s an answer, 60 s on this machine"


def _tell(plan: Plan, done: Upgraded) -> list[str]:
    lines = [f"{_count(len(done.ids))} {'is' if len(done.ids) == 1 else 'are'} better now."]
    if done.unchanged:
        lines.append(f"{_count(len(done.unchanged))} stayed as they were:")
        lines += [f"  {count} × {message}" for message, count in _count_reasons(done.unchanged)]
    held = plan.notes - len(done.ids) - len(done.unchanged)
    if held > 0:
        lines.append(f"{_count(held)} left out: in other hands by now, or stopped before their turn.")
    return lines


def _count_reasons(unchanged: Sequence[Unchanged]) -> list[tuple[str, int]]:
    from collections import Counter

    return Counter(each.message for each in unchanged).most_common()


# -- as JSON ----------------------------------------------------------------------------------------------------------


def _plan_as_json(plan: Plan, resting: Sequence[tuple[Breaker, datetime]]) -> dict[str, Any]:
    usd = plan.usd
    return {
        "notes": plan.notes,
        "usd_from": float(usd[0]) if usd else None,
        "usd_to": float(usd[1]) if usd else None,
        "seconds": round(plan.seconds, 1),
        "budget_left_usd": None if plan.left_usd is None else float(plan.left_usd),
        "poorly_heard": plan.poorly_heard,
        "sent_to": list(plan.clouds),
        "writers": [
            {
                "writer": share.writer,
                "model": share.model,
                "notes": share.notes,
                "usd_from": float(share.usd[0]) if share.usd else None,
                "usd_to": float(share.usd[1]) if share.usd else None,
                "seconds": round(share.seconds, 1),
                "measured": share.measured,
            }
            for share in plan.shares
        ],
        "resting": [
            {"writer": breaker.key, "until": until.isoformat(), "reason": breaker.reason} for breaker, until in resting
        ],
    }


def _done_as_json(done: Upgraded | None) -> dict[str, Any]:
    return {
        "upgraded": list(done.ids) if done else [],
        "unchanged": [
            {"recording_id": each.recording_id, "code": each.code, "message": each.message} for each in done.unchanged
        ]
        if done
        else [],
    }


COMMANDS = (upgrade,)
