"""What a warm process does: imports and opens what flows need, then runs one flow after another as it is told to.

A run goes as in a process of its own (`prefect.engine`): Prefect sees the same states, logs and crashes. Orders come in
as lines on standard input, answers go out on the pipe whose number is the argument.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import signal
import sys
import threading
from contextlib import suppress
from functools import lru_cache
from types import FrameType
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect._internal import control_listener
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.engine import handle_engine_signals
from prefect.exceptions import TerminationSignal
from prefect.flow_engine import load_flow_run, run_flow
from prefect.logging.loggers import flow_run_logger
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from diarynotes.errors import DiarynotesError
from flows.workshop import current_workshop

_LEAVE_S = 4.0
"""How long a run may take to hand back its work when we are to end."""


class Leave(BaseException):
    """Somebody wants this process to end."""


def find_flow(entrypoint: str) -> Flow[..., Any]:
    """The flow of our own package that a deployment names, such as flows/pick_up.py:pick_up.

    Raises: ValueError for any other; those are for an ordinary process worker.
    """
    path, _, name = entrypoint.rpartition(":")
    folder, _, file = path.rpartition("/")
    module, dot, _ = file.rpartition(".py")
    if folder != "flows" or not dot or not module.isidentifier():
        raise ValueError(f"{entrypoint} is no flow of diarynotes; use a work pool of type process for it")
    found = getattr(importlib.import_module(f"flows.{module}"), name, None)
    if not isinstance(found, Flow):
        raise ValueError(f"{entrypoint} is no flow")
    return found


@lru_cache(maxsize=100)
def _flow_of(deployment_id: UUID) -> Flow[..., Any]:
    with get_client(sync_client=True) as client:
        return find_flow(client.read_deployment(deployment_id).entrypoint or "")


def run(order: dict[str, Any]) -> int:
    """Runs a flow as Prefect's own engine would. The exit code that a process of its own would have had."""
    control_listener.stop()
    os.environ |= {name: str(value) for name, value in order["environment"].items()}
    control_listener.configure_from_env()
    flow_run_id = UUID(order["id"])
    try:
        with handle_engine_signals(flow_run_id):
            flow_run: FlowRun = load_flow_run(flow_run_id)
            logger: Any = flow_run_logger(flow_run)
            if flow_run.deployment_id is None:
                raise ValueError("A run without a deployment is for an ordinary process worker")
            run_flow(_flow_of(flow_run.deployment_id), flow_run=flow_run, error_logger=logger)
    except SystemExit as leaving:
        return int(leaving.code or 0)
    except TerminationSignal:
        return 128 + signal.SIGTERM
    return 0


def warm_up() -> None:
    """Imports the flows, opens the workshop and what the gate needs, so that the first run finds all there."""
    import data_checks
    from flows import diary, pick_up, transcribe, write  # noqa: F401

    shop = current_workshop()
    _ = shop.sandbox
    with suppress(DiarynotesError):  # a run that needs it is told, and tries again
        _ = shop.store
    data_checks.warm_up()


def main() -> None:
    """Until the pipe to our parent closes, or somebody ends us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for our parent, who tells us
    signal.signal(signal.SIGTERM, _leave)
    answers = os.fdopen(int(sys.argv[1]), "w")
    orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_take_orders, args=(orders,), name="orders", daemon=True).start()
    status = 0
    try:
        warm_up()
        _tell(answers, ready=True)
        # Prefect's heartbeat costs a second at the end of each run; whoever starts us sees us end.
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            while True:
                order = orders.get()
                _tell(answers, begun=True)
                code = run(order)
                if _is_leaving.is_set():
                    raise Leave
                _tell(answers, code=code, memory_bytes=_memory_bytes())
    except Leave:
        status = 128 + signal.SIGTERM
    finally:
        _end(status)


_is_leaving = threading.Event()


def _leave(_number: int, _frame: FrameType | None) -> None:
    _is_leaving.set()
    # during a run the signal is Prefect's, which ends the run and then sends it on to us
    if not isinstance(sys.exc_info()[1], TerminationSignal):
        raise Leave


def _take_orders(orders: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin.buffer:
        orders.put(json.loads(line))
    os.kill(os.getpid(), signal.SIGTERM)  # our parent has ended
    threading.Event().wait(_LEAVE_S)
    os._exit(1)


def _tell(answers: Any, **answer: Any) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def _memory_bytes() -> int:
    import psutil  # type: ignore[import-untyped]

    return int(psutil.Process().memory_info().rss)


def _end(status: int) -> None:
    """Gives back database and children, within limits, and ends; an ordinary exit could wait for a stuck thread."""
    closing = threading.Thread(target=current_workshop().close, daemon=True)
    closing.start()
    closing.join(_LEAVE_S)
    os._exit(status)


if __name__ == "__main__":
    main()
