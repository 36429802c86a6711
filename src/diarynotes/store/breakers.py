"""The rules of circuit breakers: which ones a call goes through, and when one opens for how long.

A writer has one, and each of its models has one. Closed, it lets calls pass. Open, it refuses them until its time is
over. Then it is half-open: one call among all workers goes through as the probe, whose outcome closes it or opens it
again (M. Nygard, Release It!, 2007, ch. 5). After a pause that the service asked for, all go through. Pure: knows no
database and no clock.
"""

from __future__ import annotations

from datetime import datetime

from diarynotes.calls import Fault, FaultScope

FAILURES_TO_OPEN = 3
"""So many in a row open a breaker."""

SHORTEST_OPEN_S = 30.0
"""The shortest time for which a breaker opens that was opened by their count."""

PROBE_S = 120.0
"""A probe that has not come back for so long is given up: its process may be dead. The next call is a probe then."""

HALF_OPEN_WAIT_S = 1.0
"""What those are told to wait who come while a probe is under way; it may come back at any moment."""

_PASSING = frozenset({"rate_limit", "overload", "timeout", "unavailable", "broken_off"})
"""Failures that pass by themselves: before the third in a row, they open a breaker only where the service asks."""


def name_breaker(writer: str, model: str, scope: FaultScope) -> str:
    """The key of a writer's breaker, or of that of one of its models."""
    return writer if scope == "writer" else f"{writer}:{model}"


def name_breakers(writer: str, model: str) -> tuple[str, str]:
    """The keys of both breakers that a call goes through."""
    return name_breaker(writer, model, "writer"), name_breaker(writer, model, "model")


def tell_wait_s(now: datetime, open_until: datetime | None, probe_until: datetime | None) -> float:
    """How long (s) a breaker refuses calls from `now` on at least; 0 where it lets one pass, be it as a probe."""
    if open_until is None:
        return 0.0
    if open_until > now:
        return (open_until - now).total_seconds()
    return HALF_OPEN_WAIT_S if probe_until is not None and probe_until > now else 0.0


def wants_probe(failures: int, reason: str) -> bool:
    """Whether a breaker that was open lets one call pass first; where it only kept a pause, all may come back."""
    return failures >= FAILURES_TO_OPEN or reason not in _PASSING


def decide_open_s(fault: Fault, failures: int, *, probe: bool) -> float | None:
    """For how long (s) a breaker opens at a fault that is the `failures`-th in a row; None where it stays as it is."""
    by_count = failures >= FAILURES_TO_OPEN
    if not (fault.at_once or by_count or probe):
        return None
    return fault.cool_down_s if fault.at_once and not by_count else max(SHORTEST_OPEN_S, fault.cool_down_s)
