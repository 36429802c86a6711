"""What is done once a night: everything left undone, a look over everything that landed, tidying up, and a report.

Each step is a task by itself. One that fails is told of, and the others are done all the same. Every step takes up what
it finds, so a night that was killed is completed by the next one, and a second run finds next to nothing to do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from prefect import flow, get_run_logger, tags, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from diarynotes.errors import DiarynotesError, Unexpected
from diarynotes.store.land import TABLES as WAREHOUSE_TABLES
from diarynotes.store.pruning import prune_answers, prune_heard
from diarynotes.store.statistics import Statistics
from flows.artifacts import plural, publish_night, publish_table_checks, tell_fault
from flows.discretion import describe_error
from flows.entries import reopen_degraded, write_entries
from flows.pick_up import pick_up
from flows.report import DAYS, build_report
from flows.report_page import write_page
from flows.running import working
from flows.table_checks import check_postgres, check_warehouse, compare_warehouse, count_faults, mend_warehouse
from flows.tasks import RUNNER
from flows.upgrades import upgrade
from flows.workshop import Workshop, current_workshop

_log = logging.getLogger("diarynotes.flows")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What this night may do: the most notes to write anew (None: all), whether to mend, days of the report."""

    upgrades: int | None
    mend: bool
    days: int


class StepFailed(DiarynotesError):
    """A step of the night did its work and found something that a person should see to."""

    code = "step_failed"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


def sweep(shop: Workshop, _wanted: Wanted) -> str:
    """New recordings in the buckets, what was left lying, and those whose time for another try has come."""
    due = Statistics(shop.store.engine, zone=shop.settings.zone).due()
    done: Any = pick_up(sweep=True)
    told = f"{plural(done.recordings, 'recording')} taken on, {due} of them for another try"
    told += f", {plural(len(done.runs), 'run')} asked for" if done.runs else ""
    return told + (f"; {plural(len(done.problems), 'object')} could not be read" if done.problems else "")


def upgrades(_shop: Workshop, wanted: Wanted) -> str:
    """Degraded notes that a better writer writes anew, as far as budgets go."""
    done: Any = upgrade(limit=wanted.upgrades)
    told: str = done.describe()
    return told


def entries(shop: Workshop, _wanted: Wanted) -> str:
    """Entries of days that do not show their notes, or that a better writer may join."""
    if not shop.settings.daily_entries:
        return "switched off"
    wishes = shop.wish(engine=None, model=None, language=None, writers=None)
    with working(shop):
        reopen_degraded(shop, wishes)
        return f"{plural(write_entries(shop, None, wishes=wishes), 'entry', 'entries')} written"


def check_tables(shop: Workshop, _wanted: Wanted) -> str:
    """The suites over everything that has landed, in Postgres and in the warehouse."""
    looked = (check_postgres(shop), check_warehouse(shop))
    faults = [fault for each in looked for fault in each.faults]
    publish_table_checks([check for each in looked for check in each.checks], faults, key="nightly-tables")
    for fault in faults:
        tell_fault(fault)
    told = f"{plural(looked[0].recordings, 'recording')} in Postgres and {looked[1].recordings:,} in the warehouse"
    if faults:
        raise StepFailed(
            f"{plural(len(faults), 'rule')} broken by what has landed ({told}): the artifact nightly-tables names them"
        )
    return f"{told} keep every rule"


def compare(shop: Workshop, wanted: Wanted) -> str:
    """The warehouse against Postgres; what differs lands once more."""
    found = compare_warehouse(shop)
    for fault in count_faults(found):
        tell_fault(fault)
    if not found:
        return "the warehouse holds what Postgres does"
    told = f"the warehouse differed from Postgres in {plural(len(found), 'place')}"
    remedy = "`diarynotes mend` makes it anew from Postgres, best while nothing else runs"
    if not wanted.mend:
        raise StepFailed(f"{told}; {remedy}")
    left = mend_warehouse(shop, found)
    if left:
        raise StepFailed(f"{told}, and still does in {len(left):,}; {remedy}")
    return f"{told}, which landed once more"


def tidy(shop: Workshop, _wanted: Wanted) -> str:
    """Small files of the warehouse together, the snapshot anew."""
    before = sum(len(shop.store.warehouse.files(table)) for table in WAREHOUSE_TABLES)
    shop.store.warehouse.tidy()
    after = sum(len(shop.store.warehouse.files(table)) for table in WAREHOUSE_TABLES)
    shop.store.snapshot()
    return f"{plural(after, 'file')} in the warehouse, {before} before; the snapshot shows how things stand"


def prune(shop: Workshop, _wanted: Wanted) -> str:
    """What is kept for a while only."""
    answers, windows = prune_answers(shop.store.engine), prune_heard(shop.store.engine)
    return f"{plural(answers, 'old answer')} and {plural(windows, 'old window')} forgotten"


def report(shop: Workshop, wanted: Wanted) -> str:
    """The report as artifacts, and as a page below the home."""
    made = build_report(shop, now=datetime.now(UTC), days=wanted.days)
    page = write_page(made, shop.settings.home / "reports")
    publish_night(made, page)
    return f"the report of {made.day} is at {page.name}"


Work = Callable[[Workshop, Wanted], str]
STEPS: Sequence[tuple[str, Work]] = (
    ("sweep", sweep),
    ("upgrades", upgrades),
    ("entries", entries),
    ("check tables", check_tables),
    ("compare warehouse", compare),
    ("tidy", tidy),
    ("prune", prune),
    ("report", report),
)


def _name_run() -> str:
    return f"night of {datetime.now(UTC):%Y-%m-%d}"


@flow(name="nightly", flow_run_name=_name_run, task_runner=RUNNER, persist_result=False)
def nightly(upgrades: int | None = None, mend: bool = True, days: int = DAYS) -> State[dict[str, str]]:
    """Do what is left undone, look over everything that has landed, tidy up, and report.

    Args:
        upgrades: At most so many degraded notes are written anew; empty is all that budgets allow.
        mend: Bring what the warehouse lacks into it once more, beside whoever else lands.
        days: How many days the report shows.
    """
    wanted = Wanted(upgrades, mend, days)
    done: dict[str, str] = {}
    failed: dict[str, str] = {}
    with tags("diarynotes", "nightly"):  # the runs that steps begin, too
        for name, work in STEPS:
            state = _as_task(name, work)(wanted, return_state=True)
            (done if state.is_completed() else failed)[name] = state.message or ""
    if failed:
        told = " ".join(f"{name}: {message.rstrip('.')}." for name, message in failed.items())
        count = f"{len(failed)} of {len(STEPS)} steps failed, the others are done" if done else "Every step failed"
        return Failed(message=f"{count}. {told}")
    return Completed(message="; ".join(done.values()), data=done)


def _as_task(name: str, work: Work) -> Any:
    def step(wanted: Wanted) -> State[str]:
        try:
            shop = current_workshop()
            shop.stopping.clear()  # which the step before may have set when it broke off
            told = work(shop, wanted)
        except Exception as error:  # any: the steps after it are done; a foreign error's own words may quote a diary
            known = error if isinstance(error, DiarynotesError) else Unexpected(describe_error(error))
            _log.error("step %s failed (%s): %s", name, known.code, known)
            return Failed(message=str(known))
        get_run_logger().info("%s: %s", name, told)
        return Completed(message=told, data=told)

    return task(name=name, task_run_name=name, cache_policy=NO_CACHE, persist_result=False)(step)
