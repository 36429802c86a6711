"""Limits that an operator sets in Prefect: held, waited for, given back, and never in the way."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from diarynotes.prefect_api import reporting_to
from flows.limits import Slots, read_limits
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url(prefect_server: str) -> Iterator[str]:
    with reporting_to(prefect_server):
        yield prefect_server


@contextmanager
def limited(url: str, **sizes: int) -> Iterator[None]:
    """Limits of these sizes, by the ends of their names.

    The client asks a busy server again, which may have done the first time what it did not come to answer.
    """
    with SyncPrefectClient(url) as client:
        for name, size in sizes.items():
            wanted = GlobalConcurrencyLimitCreate(name=f"diarynotes.{name}", limit=size)
            with suppress(ObjectAlreadyExists):
                client.create_global_concurrency_limit(wanted)
        try:
            yield
        finally:
            for name in sizes:
                with suppress(ObjectNotFound):
                    client.delete_global_concurrency_limit_by_name(f"diarynotes.{name}")


@pytest.fixture
def nothing_wrong(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fails where Prefect could not be asked: work goes on without limits then, and only the log tells of it."""
    caplog.set_level(logging.WARNING, logger="diarynotes.flows")
    yield
    assert [record.message for record in caplog.get_records("call") if record.name == "diarynotes.flows"] == []


def used(url: str, name: str) -> int:
    with SyncPrefectClient(url) as client:
        return client.read_global_concurrency_limit_by_name(f"diarynotes.{name}").active_slots


@pytest.mark.usefixtures("nothing_wrong")
def test_no_more_than_the_limit_at_once_and_all_is_given_back(url: str) -> None:
    with limited(url, **{"writer.openai": 2, "owner.anna": 5}):
        limits = read_limits(lambda: False)
        assert limits.names == {"diarynotes.writer.openai", "diarynotes.owner.anna"}
        inside, most, lock = 0, 0, threading.Lock()

        def call(_number: int) -> None:
            nonlocal inside, most
            with limits.hold("writer.openai", "owner.anna"):
                with lock:
                    inside += 1
                    most = max(most, inside)
                assert used(url, "writer.openai") >= 1
                with lock:
                    inside -= 1

        with ThreadPoolExecutor(4) as pool:  # threads without a context of Prefect, as writers' are
            list(pool.map(call, range(6)))
        assert 1 <= most <= 2
        assert (used(url, "writer.openai"), used(url, "owner.anna")) == (0, 0)


@pytest.mark.usefixtures("nothing_wrong")
def test_who_waits_goes_on_when_a_slot_is_free_and_when_told_to_stop(url: str) -> None:
    stop, entered = threading.Event(), threading.Event()
    with limited(url, **{"gpu.here": 1}):
        limits = read_limits(stop.is_set)

        def enter() -> None:
            with limits.hold("gpu.here"):
                entered.set()

        with limits.hold("gpu.here"):
            waiting = threading.Thread(target=enter)
            waiting.start()
            assert not entered.wait(0.5), "the only slot is held"
        assert entered.wait(PATIENCE_S)
        waiting.join()
        entered.clear()
        with limits.hold("gpu.here"):
            waiting = threading.Thread(target=enter)
            waiting.start()
            stop.set()
            assert entered.wait(PATIENCE_S)
            waiting.join()
            assert used(url, "gpu.here") == 1, "it went on without one"


@pytest.mark.usefixtures("nothing_wrong")
def test_an_error_in_the_block_gives_the_slot_back(url: str) -> None:
    with limited(url, **{"writer.server": 1}):
        limits = read_limits(lambda: False)

        @limits.hold("writer.server")
        def fail() -> None:
            assert used(url, "writer.server") == 1
            raise KeyError

        with pytest.raises(KeyError):
            fail()
        assert used(url, "writer.server") == 0


def test_a_limit_that_is_off_or_gone_holds_nobody(url: str) -> None:
    with limited(url, **{"writer.openai": 1}):
        limits = read_limits(lambda: False)
        assert limits.names == {"diarynotes.writer.openai"}
        with SyncPrefectClient(url) as client:
            client.update_global_concurrency_limit(
                "diarynotes.writer.openai", GlobalConcurrencyLimitUpdate(active=False)
            )
        assert read_limits(lambda: False).names == set()
        with limits.hold("writer.openai"):
            assert used(url, "writer.openai") == 0
    with limits.hold("writer.openai"):
        pass  # one that waited would wait for ever


def test_without_a_server_work_goes_on(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with limited(url, **{"writer.openai": 1}):
        limits = read_limits(lambda: False)
    with reporting_to("http://127.0.0.1:9/api"):
        assert read_limits(lambda: False).names == set()
    assert "limits could not be read" in caplog.text
    assert limits.names == {"diarynotes.writer.openai"}
    assert Slots().names == set()
