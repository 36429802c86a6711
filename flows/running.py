"""What every run of a flow does around its work: tell what happens, and let its tasks end when it is broken off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from diarynotes.agentops_tracker import tracking
from flows.discretion import discreet
from flows.events import emitting_events
from flows.limits import read_limits
from flows.workshop import Workshop


@contextmanager
def working(shop: Workshop) -> Iterator[None]:
    """One run. What happens in it goes to Prefect, and to AgentOps where that is switched on.

    When it is broken off, tasks hand back what they have not begun; Prefect's runner waits for them before it ends.
    """
    shop.stopping.clear()
    shop.slots = read_limits(shop.stopping.is_set)
    with discreet(), emitting_events(), tracking(shop.settings):
        try:
            yield
        except BaseException:
            shop.stop()
            raise
