"""Work on claimed jobs: what goes wrong with one recording is written to its job and hurts no other.

Knows the queue and the error tree; knows no stage.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType

from diarynotes import observe
from diarynotes.errors import DiarynotesError, LeaseLost, RecordingRejected, StorageFailed, Unexpected
from diarynotes.models import Job, JobState, RecordingId
from flows.workshop import Workshop

_log = logging.getLogger("diarynotes.flows")


class Claims:
    """The free jobs among `ids` in `state`, held while the block runs; what is not settled in it is given back."""

    def __init__(self, shop: Workshop, state: JobState, ids: Sequence[RecordingId]) -> None:
        self._shop = shop
        self.jobs = shop.store.jobs.claim(state, ids=ids, limit=len(ids)) if ids else []
        self._open = {job.recording_id: job for job in self.jobs}

    def __enter__(self) -> Claims:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for job in self._open.values():
            with suppress(LeaseLost, StorageFailed):  # a claim that cannot be given back runs out by itself
                self._shop.store.jobs.release(job)

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
        except LeaseLost:
            _log.warning("recording %s was taken over by another worker", job.recording_id)
        except RecordingRejected as error:
            self._set_aside(job, error, self._shop.store.jobs.quarantine)
        except DiarynotesError as error:
            self._set_aside(job, error, self._postpone)
        except Exception as error:
            # Whatever it is must not take the neighbours down. Its words may quote a diary, so only its type is kept.
            self._set_aside(job, Unexpected(type(error).__name__), self._postpone)
        self._open.pop(job.recording_id, None)

    def fail(self, job: Job, error: Exception) -> None:
        """Settles a job with the error that ended it."""
        with self.settling(job):
            raise error

    def _postpone(self, job: Job, error: Exception) -> Job:
        return self._shop.store.jobs.postpone(job, error, self._shop.settings.retry_delays_s)

    def _set_aside(self, job: Job, error: DiarynotesError, move: Callable[[Job, Exception], Job]) -> None:
        try:
            moved = move(job, error)
        except LeaseLost:
            return
        if moved.state == "quarantined":
            observe.recording_quarantined(job.recording_id, error.code)
        else:
            observe.recording_postponed(job.recording_id, error.code, moved.state)
