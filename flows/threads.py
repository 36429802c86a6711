"""Threads of our own report to Prefect as part of the run that they work for.

Prefect's settings and its run lie in context variables, which such threads do not inherit: what they report would go to
a server that Prefect starts for them alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import TypeVar

from prefect.context import FlowRunContext, TaskRunContext

T = TypeVar("T")


def in_run(act: Callable[[T], None]) -> Callable[[T], None]:
    """`act` for any thread: in one that belongs to no run, it acts as part of the run that this is called in."""
    run = copy_context()

    def act_in_run(what: T) -> None:
        if FlowRunContext.get() is None and TaskRunContext.get() is None:
            run.copy().run(act, what)  # a copy, since two threads cannot be in one context
        else:
            act(what)

    return act_in_run
