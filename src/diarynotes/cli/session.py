"""One run of the flow in this process: finds or starts Prefect's API, opens the workshop, shows progress, closes all.

What takes long starts side by side: Prefect's temporary server, the database, and the imports.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, TypeVar

from diarynotes.cli.console import progress_bars, tell_choices
from diarynotes.cli.signals import on_leaving
from diarynotes.errors import DiarynotesError
from diarynotes.prefect_api import TemporaryServer, configured_url, reporting_to
from diarynotes.settings import Settings, make_home

T = TypeVar("T")


def run_flow(
    settings: Settings,
    sources: Sequence[str],
    describe: Callable[[Any, Any], T],
    *,
    quiet: bool,
    prompt: str | None = None,
    **wishes: Any,
) -> T:
    """Runs the diary flow and returns `describe(store, report)`. Raises what the flow raises, KeyboardInterrupt too.

    The words of `prompt` stay in this process.
    """
    make_home(settings)
    with ExitStack() as opened:
        opened.enter_context(_leaving_in_order())
        server = None
        url = configured_url()
        if url is None:
            server = TemporaryServer(settings.home / "prefect")
            opened.callback(server.stop)
        from flows.workshop import open_workshop

        workshop = opened.enter_context(open_workshop(settings, prompt=prompt))
        opened.enter_context(tell_choices() if quiet else progress_bars())
        _ = workshop.sandbox  # its nursery warms up in a process of its own
        _warm_up_beside(workshop)
        from flows.diary import diary

        store = workshop.store
        if server is not None:
            server.wait()
        with reporting_to(url or server.url, tag="diarynotes"):  # type: ignore[union-attr]
            start: Callable[..., Any] = diary  # Prefect's own types know no keywords from a mapping
            report = start(list(sources), retry_waiting=True, **wishes)
        return describe(store, report)


@contextmanager
def reporting(settings: Settings) -> Iterator[None]:
    """Flows that start in the block report to Prefect's API, the user's or a temporary one; Ctrl-C leaves in order."""
    with ExitStack() as opened:
        opened.enter_context(_leaving_in_order())
        url = configured_url()
        if url is None:
            server = TemporaryServer(settings.home / "prefect")
            opened.callback(server.stop)
            server.wait()
            url = server.url
        opened.enter_context(reporting_to(url, tag="diarynotes"))
        yield


def _warm_up_beside(workshop: Any) -> None:
    """Opens the database, then imports what the gate before landing needs, while this thread imports the rest."""

    def warm_up() -> None:
        with suppress(DiarynotesError):  # who opens it next is told
            _ = workshop.store
        import data_checks

        data_checks.warm_up()

    threading.Thread(target=warm_up, name="warm-up", daemon=True).start()


@contextmanager
def _leaving_in_order() -> Iterator[None]:
    """Ctrl-C, a closed terminal and `kill` let tasks hand back their work; a second one leaves at once.

    Every stage survives that, too, but servers of ours would run on until the next run stops them.
    """
    count = 0

    def interrupt() -> None:
        nonlocal count
        count += 1
        if count > 1:
            os._exit(130)
        raise KeyboardInterrupt

    with on_leaving(interrupt):
        yield
