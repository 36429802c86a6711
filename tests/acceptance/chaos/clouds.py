"""Three model vendors on one port, which answer well, or fail half of the time; and the books of what they answered.

Each worker asks under a path of its own, so that an answer is known by who was given it.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from tests.integration.storm_work import TROUBLES
from tests.integration.vendor_server import Answer, Seen, Vendor, serve
from tests.integration.vendor_wire import KEY, WIRES, Wire, conversation

_LASTING = {"401", "402", "404", "slow"}
"""Faults after which a vendor is left alone for longer than chaos takes, or that take as long."""
_NAMES = [name for name in TROUBLES if name not in _LASTING]
_PATH = re.compile(r"/worker-(\d+)/(\w+)(/.*)")


@dataclass(frozen=True, slots=True)
class Paid:
    """A good answer: when (s, monotonic) it was given to which worker, and the words that it answered."""

    at_s: float
    worker: int
    question: str


@dataclass
class Clouds:
    """The vendors, as long as the block of `open_clouds` runs; `stormy` makes half of their answers fail."""

    vendor: Vendor
    seed: int
    stormy: bool = False
    paid: list[Paid] = field(default_factory=list)
    asked: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def settings(self, worker: int) -> dict[str, str]:
        """The environment of a worker that asks these."""
        base = f"{self.vendor.url}/worker-{worker}"
        found = {f"{name.upper()}_API_KEY": KEY for name in ("openai", "anthropic")}
        found |= {"OPENAI_BASE_URL": f"{base}/openai/v1", "ANTHROPIC_BASE_URL": f"{base}/anthropic"}
        found |= {"DIARYNOTES_MISTRAL_API_KEY": KEY, "DIARYNOTES_MISTRAL_BASE_URL": f"{base}/mistral/v1"}
        return found | {"DIARYNOTES_WRITERS": "openai,anthropic,mistral"}

    def answer(self, seen: Seen) -> Answer:
        """What the vendor that is asked says."""
        found = _PATH.fullmatch(seen.path)
        assert found is not None, seen.path
        wire = WIRES[found[2]]
        seen = replace(seen, path=found[3])
        assert KEY in str(seen.headers), "asked without the key"
        with self._lock:
            self.asked += 1
            rng = random.Random(f"{self.seed} {self.asked}")
        if self.stormy and rng.random() < 0.5:
            return self._fail(wire, seen, rng)
        answer = wire.behave(seen)
        with self._lock:
            self.paid.append(Paid(time.monotonic(), int(found[1]), "\n".join(conversation(seen))))
        return answer

    def _fail(self, wire: Wire, seen: Seen, rng: random.Random) -> Answer:
        name = rng.choices(_NAMES, [TROUBLES[name][0] for name in _NAMES])[0]
        return TROUBLES[name][3](wire, seen)


@contextmanager
def open_clouds(seed: int) -> Iterator[Clouds]:
    """The vendors on a free port."""
    with serve() as vendor:
        clouds = Clouds(vendor, seed)
        vendor.answers = [clouds.answer]
        yield clouds
