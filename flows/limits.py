"""Prefect's global concurrency limits over what is scarce, where an operator has set some.

A limit is made by its name, `prefect gcl create diarynotes.writer.openai --limit 16`, and holds for all runs on all
machines from the next one on. What has no limit is not asked for, so none costs nothing. Slots are leases: those of a
run that died come back by themselves.

    diarynotes.writer.NAME    calls to a writer (openai, anthropic, mistral, server, llama_cpp) at once
    diarynotes.owner.NAME     calls for one owner's notes at once
    diarynotes.gpu.HOST       runs that listen on a machine at once; as many as it has GPUs
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from http import HTTPStatus
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse
from prefect.concurrency.sync import concurrency

PREFIX = "diarynotes."
_PAGE = 200
_PAUSES_S = (0.2, 5.0)
"""How long to wait until a slot is asked for anew, at first and at most: a hundred machines that wait are to leave
Prefect's server something to do beside saying no."""
_LOOK_S = 0.2
"""How soon who waits sees that it is to stop."""
_LEASE_S = 120.0
_MOST_CAUSES = 3

_log = logging.getLogger("diarynotes.flows")


class Slots:
    """The limits that there are, for the run that this was made in. Safe to use from any of its threads."""

    def __init__(self, names: frozenset[str] = frozenset(), stopping: Callable[[], bool] = lambda: False) -> None:
        self.names = names
        self._stopping = stopping
        # Prefect's settings lie in context variables, which threads of our own do not inherit.
        self._run = copy_context()
        self._asking = {name: threading.Lock() for name in names}

    @contextmanager
    def hold(self, *names: str) -> Iterator[None]:
        """A slot of each of these limits while the block runs, waited for as long as it takes.

        Who is told to stop while waiting, or cannot reach Prefect, goes on without: limits spare others, and a note
        that was begun is to be finished.
        """
        wanted = sorted(found for name in names if (found := PREFIX + name) in self.names)
        run = self._run.copy()
        slots = self._wait_for(wanted, run) if wanted else None
        try:
            yield
        finally:
            if slots is not None:
                _give_back(slots, run)

    def _wait_for(self, wanted: list[str], run: Context) -> Any:
        """Slots that are held, to be given back; None where it goes on without.

        One thread asks at a time for each limit. Nobody waits inside Prefect: it could not be told to stop there, and
        an answer that came too late would hold a slot for nobody.
        """
        asking = self._asking[wanted[0]]
        while not asking.acquire(timeout=_LOOK_S):
            if self._stopping():
                return None
        try:
            return self._ask_for(wanted, run)
        finally:
            asking.release()

    def _ask_for(self, wanted: list[str], run: Context) -> Any:
        pause_s, longest_s = _PAUSES_S
        while not self._stopping():
            try:
                slots = concurrency(wanted, max_retries=0, lease_duration=_LEASE_S)
                run.run(slots.__enter__)
                return slots
            except Exception as error:
                if not _is_taken(error):
                    _log.warning("no slot of %s could be had (%s)", ", ".join(wanted), _describe(error))
                    return None
            self._pause(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 (so that machines do not ask in step)
            pause_s = min(1.3 * pause_s, longest_s)
        return None

    def _pause(self, pause_s: float) -> None:
        ends = time.monotonic() + pause_s
        while (left_s := ends - time.monotonic()) > 0 and not self._stopping():
            time.sleep(min(left_s, _LOOK_S))


def read_limits(stopping: Callable[[], bool]) -> Slots:
    """The limits of ours that there are now; none where Prefect does not tell."""
    found: list[GlobalConcurrencyLimitResponse] = []
    try:
        with get_client(sync_client=True) as client:
            while page := client.read_global_concurrency_limits(limit=_PAGE, offset=len(found)):
                found += page
    except Exception as error:
        _log.warning("limits could not be read (%s)", _describe(error))
    names = (limit.name for limit in found if limit.active)
    return Slots(frozenset(name for name in names if name.startswith(PREFIX)), stopping)


def _is_taken(error: Exception) -> bool:
    """Whether this is Prefect's word that all slots are held."""
    return _find_status(error.__cause__) == HTTPStatus.LOCKED


def _find_status(error: BaseException | None) -> int | None:
    """With which status Prefect's server said no, where it said anything."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _describe(error: BaseException) -> str:
    """The kinds of the error and of what caused it, with a server's status; never its words, which name the address."""
    told: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(told) < _MOST_CAUSES:
        status = _find_status(cause)
        told.append(type(cause).__name__ if status is None else f"{type(cause).__name__}, status {status}")
        cause = cause.__cause__
    return ", by ".join(told)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether this is more than that all slots are held, which Prefect calls an error of its own each time."""
    return "ConcurrencySlotAcquisition" not in record.getMessage()


def _give_back(slots: Any, run: Context) -> None:
    try:
        run.run(slots.__exit__, None, None, None)
    except Exception as error:
        _log.warning("a slot comes back only with the end of its lease (%s)", _describe(error))


logging.getLogger("prefect._internal.concurrency").addFilter(_is_news)
