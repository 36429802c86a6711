"""Work on claimed jobs: what goes wrong with one recording is written to its job and hurts no other.

Knows the queue and the error tree; knows no stage.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import update_wrapper
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar

from diarynotes import observe
from diarynotes.errors import DiarynotesError, LeaseLost, RecordingRejected, StorageFailed, Unexpected, WorkerDied
from diarynotes.models import Job, JobState, RecordingId
from flows.retries import retry_delays
from flows.workshop import Workshop

_log = logging.getLogger("diarynotes.flows")


class _Sum(Protocol):
    """What a stage has done; that of two turns together is their sum."""

    def __add__(self, other: Self, /) -> Self: ...


P = ParamSpec("P")
T = TypeVar("T", bound=_Sum)


_FEW = 10
"""So many recordings that one worker died on are tried together once more; what another dies on is tried alone."""
_LEAST_CRASHES = 2
"""By then a recording has been tried among few; any further crash is one that it alone can have caused."""


class Claims:
    """The free jobs among `ids` in `state`, held while the block runs; what is not settled in it is given back.

    Where nothing is free but what workers died on, some of that, while nobody else in this process holds anything.
    What too many have died on is not handed out: it ends as dead, or stays landed.
    """

    def __init__(self, shop: Workshop, state: JobState, ids: Sequence[RecordingId]) -> None:
        self._shop = shop
        self.jobs: list[Job] = []
        self._claimed: Sequence[Job] = ()
        self._open: dict[RecordingId, Job] = {}
        self._holds_turn = False
        try:
            self._claim(state, ids)
        except BaseException:
            self._shop.store.jobs.let_go(self._claimed)
            self._end_turn()
            raise

    def _claim(self, state: JobState, ids: Sequence[RecordingId]) -> None:
        queue = self._shop.store.jobs
        if ids and self._begin_turn(alone=False):
            self._take(queue.claim(state, ids=ids, limit=len(ids)))
            if self.jobs:
                return
            self._end_turn()
            groups = group_suspects(queue.suspects(state, ids))
            if groups and self._begin_turn(alone=True):
                self._take(queue.claim_suspects(state, ids=groups[0], limit=len(groups[0])))

    def _take(self, claimed: Sequence[Job]) -> None:
        self._claimed = claimed
        self._open = {job.recording_id: job for job in claimed}
        most = max(self._shop.settings.most_crashes, _LEAST_CRASHES)
        self.jobs = [job for job in claimed if job.crashes <= most]
        for job in claimed:
            if job.crashes > most and job.state != "landed":
                self.fail(job, WorkerDied(job.crashes))

    def _begin_turn(self, *, alone: bool) -> bool:
        self._holds_turn = self._shop.turns.begin(alone=alone, stopping=self._shop.stopping.is_set)
        return self._holds_turn

    def _end_turn(self) -> None:
        if self._holds_turn:
            self._holds_turn = False
            self._shop.turns.end()

    def __enter__(self) -> Claims:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for job in self._open.values():
                with suppress(LeaseLost, StorageFailed):  # a claim that cannot be given back runs out by itself
                    self._shop.store.jobs.release(job)
        finally:
            self._shop.store.jobs.let_go(self._claimed)
            self._end_turn()

    @property
    def ids(self) -> list[RecordingId]:
        return [job.recording_id for job in self.jobs]

    def remaining(self) -> Iterator[Job]:
        """The jobs one by one, until they are done or the person at the keyboard wants out."""
        for job in self.jobs:
            if self._shop.stopping.is_set():
                return
            yield job

    @contextmanager
    def settling(self, job: Job) -> Iterator[None]:
        """The block works on one job and moves it on; an error in it becomes the job's own. StorageFailed is raised."""
        try:
            yield
        except StorageFailed:
            raise
        except Exception as error:
            self.fail(job, error)
        self._open.pop(job.recording_id, None)

    def fail(self, job: Job, error: Exception) -> None:
        """Settles a job with the error that ended it: a StorageFailed, too, where the disk has no room for its file."""
        match error:
            case LeaseLost():
                _log.warning("recording %s was taken over by another worker", job.recording_id)
            case RecordingRejected():
                self._set_aside(job, error, self._shop.store.jobs.quarantine)
            case DiarynotesError():
                self._set_aside(job, error, self._postpone)
            case _:
                # It must not take the neighbours down. Its words may quote a diary, so only its type is kept.
                self._set_aside(job, Unexpected(type(error).__name__), self._postpone)
        self._open.pop(job.recording_id, None)

    def _postpone(self, job: Job, error: DiarynotesError) -> Job:
        return self._shop.store.jobs.postpone(job, error, retry_delays(error, self._shop.settings.retry_delays_s))

    def _set_aside(self, job: Job, error: DiarynotesError, move: Callable[[Job, Any], Job]) -> None:
        try:
            moved = move(job, error)
        except LeaseLost:
            return
        if moved.state == "quarantined":
            observe.recording_quarantined(job.recording_id, error.code, error.reason)
        else:
            observe.recording_postponed(job.recording_id, error.code, moved.state, error.reason)


def group_suspects(crashes: Mapping[RecordingId, int]) -> list[list[RecordingId]]:
    """Recordings that workers died on, in groups that are tried one after the other.

    Most of what a worker held when it died had no part in it. So what one has died on is tried again among a few, and
    only what two have died on by itself: first those on which the fewest have died, so that workers which are killed
    as soon as they have started do not count against the same recording each time.
    """
    once = [key for key, count in crashes.items() if count == 1]
    few = [once[start : start + _FEW] for start in range(0, len(once), _FEW)]
    alone = sorted((key for key, count in crashes.items() if count > 1), key=lambda key: crashes[key])
    return [*few, *([key] for key in alone)]


def in_turns(
    state: JobState, *, warm_up: Callable[[], object] = lambda: None
) -> Callable[
    [Callable[Concatenate[Workshop, Sequence[RecordingId], P], T]],
    Callable[Concatenate[Workshop, Sequence[RecordingId], P], T],
]:
    """Makes a stage that claims jobs in `state` go on, after all others, with those that workers died on.

    `warm_up` is called before the first of these is held: a worker that is killed while it imports must not count
    against a recording.
    """

    def decorate(
        stage: Callable[Concatenate[Workshop, Sequence[RecordingId], P], T],
    ) -> Callable[Concatenate[Workshop, Sequence[RecordingId], P], T]:
        def work(shop: Workshop, ids: Sequence[RecordingId], /, *args: P.args, **kwargs: P.kwargs) -> T:
            done = stage(shop, ids, *args, **kwargs)
            groups = group_suspects(shop.store.jobs.suspects(state, ids) if ids else {})
            if groups:
                warm_up()
            for group in groups:
                if shop.stopping.is_set():
                    break
                done = done + stage(shop, group, *args, **kwargs)
            return done

        update_wrapper(work, stage)
        return work

    return decorate
