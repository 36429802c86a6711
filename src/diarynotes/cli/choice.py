"""Which recordings and drops a command is about: by the beginning of an id, by state, by cause, by owner.

Knows how to find and to show them; changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from diarynotes.cli.console import name_source, print_table
from diarynotes.errors import BadSettings, Reason, reason_of
from diarynotes.models import JobState, RecordingId

if TYPE_CHECKING:
    from diarynotes.store.facts import DropLine, JobLine
    from diarynotes.store.store import Store

_DROP = "drop-"
_MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person asks for; what is not given does not restrict."""

    ids: tuple[str, ...] = ()
    states: tuple[JobState, ...] = ()
    code: str | None = None
    reason: Reason | None = None
    owner: str | None = None

    def covers(self, code: str | None) -> bool:
        """Whether what failed with this code is meant."""
        if self.code is not None and self.code != code:
            return False
        return self.reason is None or (code is not None and reason_of(code) == self.reason)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The jobs and the drops that were found."""

    lines: tuple[JobLine, ...]
    drops: tuple[DropLine, ...]

    @property
    def ids(self) -> list[RecordingId]:
        return [line.job.recording_id for line in self.lines]

    @property
    def drop_ids(self) -> list[str]:
        return [name_drop(line.drop.id) for line in self.drops]

    @property
    def count(self) -> int:
        return len(self.lines) + len(self.drops)

    def only(self, ids: Collection[RecordingId]) -> Chosen:
        """Those whose jobs are among `ids`, with all drops."""
        return replace(self, lines=tuple(line for line in self.lines if line.job.recording_id in ids))

    def show(self, title: str) -> None:
        """The first of them as a table, and how many they are."""
        rows: list[tuple[str | None, ...]] = [
            (line.job.recording_id[:8], Path(name_source(line.uri)).name, line.job.state, line.job.error_code)
            for line in self.lines
        ]
        rows += [
            (name_drop(line.drop.id), Path(name_source(line.drop.uri)).name, "drop", line.error_code)
            for line in self.drops
        ]
        if rows:
            print_table("", ("recording", "file", "state", "code"), rows[:_MOST_SHOWN])
        more = f", {len(rows) - _MOST_SHOWN} of them not shown" if len(rows) > _MOST_SHOWN else ""
        click.echo(f"{title}{more}.")


def choosing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options by which a cause is chosen, and those for a trial and for JSON."""
    for option in reversed(
        (
            click.option("--code", metavar="CODE", help="Those that failed with this code, as `dead` lists them."),
            click.option("--reason", type=click.Choice(get_args(Reason)), help="Those that failed for this reason."),
            click.option("--owner", metavar="NAME", help="Only this owner's."),
            click.option("--dry-run", is_flag=True, help="Only say which ones they are."),
            click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        )
    ):
        command = option(command)
    return command


def choose(store: Store, choice: Choice, *, what: str) -> Chosen:
    """The jobs and drops that are meant. Raises: BadSettings for an id that begins none; `what` says what was sought.

    Drops have no state of a job: they are found by their id, or where the dead or the waiting are wanted.
    """
    lines = store.jobs.list(states=choice.states, owner=choice.owner)
    drops = _failed_drops(store, choice)
    prefixes = tuple(choice.ids)
    known = [line.job.recording_id for line in lines] + [name_drop(line.drop.id) for line in drops]
    for prefix in prefixes:
        if not any(found.startswith(prefix) for found in known):
            raise BadSettings("ID", f"'{prefix}' begins no recording that {what}.")
    return Chosen(
        tuple(
            line for line in lines if choice.covers(line.job.error_code) and _begins(line.job.recording_id, prefixes)
        ),
        tuple(
            line
            for line in drops
            if choice.covers(line.error_code) and (not prefixes or name_drop(line.drop.id) in prefixes)
        ),
    )


def _begins(recording_id: RecordingId, prefixes: tuple[str, ...]) -> bool:
    return not prefixes or recording_id.startswith(prefixes)


def _failed_drops(store: Store, choice: Choice) -> Sequence[DropLine]:
    found = store.drops.list(owner=choice.owner)
    return [
        line
        for line in found
        if (line.is_dead and "dead" in choice.states)
        or (not line.is_dead and line.next_try_at and "waiting" in choice.states)
    ]


def name_drop(number: int) -> str:
    """What a person calls a drop by."""
    return f"{_DROP}{number}"
