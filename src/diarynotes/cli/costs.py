"""`diarynotes costs`: what calls to models cost, what the month will come to, and what would have cost less."""

from __future__ import annotations

import calendar
import json
from datetime import date, datetime
from typing import TYPE_CHECKING

import click

from diarynotes.errors import BadSettings
from diarynotes.settings import load_settings

if TYPE_CHECKING:
    from diarynotes.store.spending import Grouping

_DAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.option("--since", type=_DAY, metavar="DAY", help="From this day on, YYYY-MM-DD (default: the month's first).")
@click.option("--until", type=_DAY, metavar="DAY", help="Up to this day (default: today).")
@click.option("--month", type=click.DateTime(["%Y-%m"]), metavar="YYYY-MM", help="A whole month.")
@click.option("--owner", metavar="NAME", help="Only this owner's calls.")
@click.option("--by", "grouping", type=click.Choice(["day", "owner", "provider", "job"]), help="One table, in full.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def costs(
    home: str | None,
    since: datetime | None,
    until: datetime | None,
    month: datetime | None,
    owner: str | None,
    grouping: Grouping | None,
    as_json: bool,
) -> None:
    """Show what calls to models cost, by default in this month, with a forecast and what would have cost less."""
    from diarynotes.cli.spending_page import print_report
    from diarynotes.cli.spending_report import Period, gather, report_as_json
    from diarynotes.store import open_store
    from diarynotes.store.spending import Spending

    settings = load_settings(home=home)
    zone = settings.zone
    today = datetime.now(zone).date()
    period = Period(*_choose_days(since, until, month, today), zone.key)
    with open_store(settings.database_url, settings.home) as store:
        spending = Spending(store.engine, zone=zone, owner=owner)
        report = gather(spending, settings, period, owner=owner, today=today)
    if as_json:
        click.echo(json.dumps(report_as_json(report), ensure_ascii=False))
    else:
        print_report(report, grouping)


def _choose_days(
    since: datetime | None, until: datetime | None, month: datetime | None, today: date
) -> tuple[date, date]:
    """The first and the last day. Raises: BadSettings for days that end before they begin."""
    if month and (since or until):
        raise click.UsageError("Name a month, or days with --since and --until.")
    if month:
        first = month.date()
        last = first.replace(day=calendar.monthrange(first.year, first.month)[1])
        return first, min(last, today) if first <= today else last
    last = until.date() if until else today
    first = since.date() if since else last.replace(day=1)
    if first > last:
        raise BadSettings("--since", f"{first} is after {last}")
    return first, last


COMMANDS = (costs,)
