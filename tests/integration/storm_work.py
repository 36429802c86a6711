"""A storm: three vendors that fail half of the time, and what writes notes through them, in this process or beside.

Whether a request fails, and how, is drawn from what is asked and how often it was asked before: the same whatever order
threads come in. For a while each vendor answers nobody at all.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from diarynotes.calls import ANSWERED, Budgets
from diarynotes.cost import price
from diarynotes.diary import Exchange, Writer, open_writers, write_note
from diarynotes.models import DiaryNote, Recording, Segment, Transcript
from diarynotes.settings import load_settings
from diarynotes.store import open_store
from diarynotes.store.store import Store
from tests.integration.store_samples import make_recording
from tests.integration.vendor_server import NOTE, Answer, Seen, Vendor, rerouted
from tests.integration.vendor_wire import KEY, WIRES, Wire

DAY = date(2026, 11, 21)
BUDGETS = Budgets(day_usd=Decimal("0.40"), owner_day_usd=Decimal("0.28"))
OWNERS = ("ann", "ben")
MODELS = {"openai": "gpt-5.4-mini", "anthropic": "claude-haiku-4-5", "mistral": "mistral-small-latest"}
CONTEXT_TOKENS = 16_000
"""So that the longest answer, which is set aside for each call, is 3,200 tokens."""
TIMEOUT_S = 20.0
"""Only an answer that drips takes so long, at a byte a second; what is well must not, on the busiest machine."""
HASTE = 1000
"""The desk's clock runs so many times as fast as others, and waits are as much shorter."""
LONGEST_PAUSE_S = 0.8
THINGS = "tulips lanterns walnuts saddles mittens trumpets marbles pancakes kites barrels".split()
PLACES = "orchard lighthouse bakery stable workshop harbour meadow attic chapel boathouse".split()


# -- the vendors ------------------------------------------------------------------------------------------------------

_BROKEN = json.dumps(NOTE)[:-40]
_OTHER_SHAPE = NOTE | {"mood": "good"}
_PAGE = Answer(b"<html>Sorry</html>", 200, {"content-type": "text/html"})
_GATEWAY = Answer(b"<html>Bad gateway</html>", 502, {"content-type": "text/html"})

OUTAGE = range(20, 44)
"""Which of a vendor's requests nobody answers: more in a row than writers are at work, so that its breaker opens."""

Trouble = Callable[[Wire, Seen], Answer]


def _refuse(status: int, **headers: str) -> Trouble:
    return lambda wire, seen: wire.refuse(status, _quote(seen), **headers)


def _quote(seen: Seen) -> str:
    """A server's words that quote what it was asked."""
    return json.dumps(seen.body["messages"][-1]["content"])[-200:]


def _cut_short(wire: Wire, seen: Seen) -> Answer:
    return wire.speak(seen, "{", **({"stop": "max_tokens"} if wire.name == "anthropic" else {"finish": "length"}))


def _decline(wire: Wire, seen: Seen) -> Answer:
    return wire.speak(
        seen, "No.", **({"stop": "refusal"} if wire.name == "anthropic" else {"finish": "content_filter"})
    )


TROUBLES: dict[str, tuple[int, str, bool, Trouble]] = {
    "429": (12, "rate_limit", False, _refuse(429)),
    "429, a moment": (12, "rate_limit", False, _refuse(429, retry_after="3")),
    "429, a while": (6, "rate_limit", False, _refuse(429, retry_after="20")),
    "500": (12, "unavailable", False, _refuse(500)),
    "502": (8, "unavailable", False, lambda wire, seen: _GATEWAY),
    "529": (12, "overload", False, _refuse(529)),
    "hung up": (8, "broken_off", False, lambda wire, seen: Answer(hang_up=True)),
    "cut": (8, "broken_off", False, lambda wire, seen: Answer(wire.behave(seen).body, cut=True)),
    "slow": (2, "timeout", False, lambda wire, seen: Answer(wire.behave(seen).body, drip_s=1.0)),
    "a page": (8, "broken_off", False, lambda wire, seen: _PAGE),
    "broken JSON": (12, ANSWERED, True, lambda wire, seen: wire.speak(seen, _BROKEN)),
    "another shape": (12, ANSWERED, True, lambda wire, seen: wire.speak(seen, _OTHER_SHAPE)),
    "empty": (6, ANSWERED, True, lambda wire, seen: wire.speak(seen, "")),
    "cut short": (6, "bad_output", True, _cut_short),
    "refusal": (6, "refusal", True, _decline),
    "401": (1, "auth", False, _refuse(401)),
    "402": (1, "quota", False, _refuse(402)),
    "404": (1, "misconfigured", False, _refuse(404)),
}
"""How likely each is among all, what the ledger must call it, whether it tells what was used, and what is sent."""


@dataclass
class Weather:
    """What one vendor was asked and what it did: its own books."""

    wire: Wire
    lock: Lock = field(default_factory=Lock)
    asked: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    clear: bool = False

    def answer(self, seen: Seen) -> Answer:
        fault = self.wire.find_fault(seen)
        assert fault is None, fault
        asked = hashlib.sha256(json.dumps(seen.body).encode()).hexdigest()
        with self.lock:
            is_out = self.asked.total() in OUTAGE and not self.clear
            self.asked[asked] += 1
            rng = random.Random(f"{self.wire.name} {asked} {self.asked[asked]}")
        names = list(TROUBLES)
        bad = rng.random() < 0.5 and not self.clear
        trouble = rng.choices(names, [TROUBLES[name][0] for name in names])[0] if bad else "none"
        if is_out:
            trouble = "500"
        _, outcome, tells, make = TROUBLES.get(trouble, (0, ANSWERED, True, lambda wire, seen: wire.behave(seen)))
        answer = make(self.wire, seen)
        with self.lock:
            self.outcomes[outcome] += 1
            self.troubles[trouble] += 1
            if tells:
                self._count(json.loads(answer.body)["usage"])
        return answer

    def _count(self, usage: Mapping[str, Any]) -> None:
        self.tokens["in"] += usage.get("prompt_tokens", usage.get("input_tokens", 0))
        self.tokens["out"] += usage.get("completion_tokens", usage.get("output_tokens", 0))


# -- the writers ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Written:
    """A note, and with which failures the writers before its own gave up."""

    number: int
    writer: str
    failures: tuple[str, ...]
    body: tuple[str, ...]


def owner_of(number: int) -> str:
    return OWNERS[number % len(OWNERS)]


def recording_of(number: int) -> Recording:
    return make_recording(number, owner_of(number))


def hear(number: int) -> Transcript:
    """What was said in a note; no two are alike."""
    rng = random.Random(f"note {number}")
    said = [f"This is memo {number} about {rng.choice(THINGS)}."]
    said += [
        f"We carried {rng.randint(2, 90)} {rng.choice(THINGS)} to the {rng.choice(PLACES)}."
        for _ in range(rng.randint(1, 5))
    ]
    segments = tuple(Segment(float(place), place + 1.0, text) for place, text in enumerate(said))
    return Transcript(f"t{number}", recording_of(number).id, "file", "", "en", segments, 1.0)


def open_chain(home: Path) -> tuple[Writer, ...]:
    """Three clouds at their own addresses, and the one that never fails."""
    options = load_settings({f"{name.upper()}_API_KEY": KEY for name in WIRES}, home=home).writer_options
    for name, model in MODELS.items():
        options[name] |= {"model": model, "timeout_s": TIMEOUT_S, "context_tokens": CONTEXT_TOKENS}
    return open_writers(list(WIRES), options)


def write_one(store: Store, chain: Sequence[Writer], number: int, *, pause: bool = True) -> Written:
    """One note; with a `pause` it comes in some time after the one before."""
    time.sleep(random.Random(f"pause {number}").uniform(0, LONGEST_PAUSE_S) * pause)
    exchange = Exchange(
        store.desk,
        price,
        owner_of(number),
        recording_of(number).id,
        BUDGETS,
        sleep=lambda seconds: time.sleep(seconds / HASTE),
    )
    note = write_note(hear(number), day=DAY, writers=chain, exchange=exchange)
    return Written(number, note.writer, _failures(note), tuple(part.text for part in note.draft.body))


def write_many(store: Store, numbers: Sequence[int], threads: int) -> list[Written]:
    """Each note, by so many threads at once."""
    chain = open_chain(store.home)
    with ThreadPoolExecutor(threads) as pool:
        written = list(pool.map(partial(write_one, store, chain), numbers))
    for writer in chain:
        writer.close()
    return written


def serve() -> None:
    """The process beside: writes the notes that its arguments name, and prints what came of each."""
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    url, home, ports, first, last, threads = sys.argv[2:]
    vendors = (Vendor(f"http://127.0.0.1:{port}") for port in ports.split(","))
    ways: dict[str, Vendor | None] = dict(zip((wire.host for wire in WIRES.values()), vendors, strict=True))
    with rerouted(ways), open_store(url, Path(home)) as store:
        written = write_many(store, range(int(first), int(last)), int(threads))
    json.dump([[each.number, each.writer, each.failures, each.body] for each in written], sys.stdout)


def _failures(note: DiaryNote) -> tuple[str, ...]:
    return tuple(finding.message for finding in note.findings if finding.code == "writer_failed")
