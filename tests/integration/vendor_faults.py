"""Every fault that a vendor can show, what is done about it, and the table that docs/routing.md shows of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from diarynotes.calls import ANSWERED, FaultScope
from diarynotes.errors import WriterFailure
from tests.integration.vendor_server import NOTE, Answer, Seen
from tests.integration.vendor_wire import Wire, conversation

Reply: TypeAlias = Answer | Callable[[Seen], Answer]
Costs: TypeAlias = Literal["nothing", "unknown", "what it tells"]

FIRST, SECOND = (2.0, 3.0), (4.0, 5.0)
"""The bounds of the wait before the second try and the third, s."""
TIMEOUT_S = 1.5
"""Of a writer that is to run out of time: long enough for a request to arrive whatever the machine is busy with."""
DATE = "Sat, 21 Nov 2026 10:00:00 GMT"
LATER = "Sat, 21 Nov 2026 10:00:06 GMT"
"""Six seconds later, by the server's own clock."""


@dataclass(frozen=True)
class Fault:
    """What a vendor does, in turn, and what must come of it.

    `kind` is the failure that the chain goes on with, None where the vendor writes the note after all. `outcomes` are
    the ledger's, one a try; `waits` the bounds of the waits between tries; `cools` who is left alone and how long, s.
    `answers` None is a server that nobody runs.
    """

    name: str
    answers: Callable[[Wire], Sequence[Reply]] | None
    kind: WriterFailure | None
    outcomes: tuple[str, ...]
    costs: Costs
    waits: tuple[tuple[float, float], ...] = ()
    cools: tuple[FaultScope, float] | None = None
    vendors: tuple[str, ...] = ("openai", "anthropic", "mistral")

    @property
    def requests(self) -> int:
        """How many requests reach the vendor."""
        return 0 if self.answers is None else len(self.outcomes)


def _always(status: int, **headers: str) -> Callable[[Wire], list[Reply]]:
    """A refusal that quotes the last of what was asked."""
    return lambda wire: [lambda seen: wire.refuse(status, f"You asked: {conversation(seen)[-1]}", **headers)]


def _once(status: int, **headers: str) -> Callable[[Wire], list[Reply]]:
    return lambda wire: [wire.refuse(status, "", **headers), wire.behave]


def _page(status: int) -> Callable[[Wire], list[Reply]]:
    return lambda _: [Answer(b"<html>Bad gateway</html>", status, {"content-type": "text/html"})]


def _says(content: object, *ends: str) -> Callable[[Wire], list[Reply]]:
    """An answer with this content; `ends` are the words for why it ends, OpenAI's and Anthropic's."""

    def make(wire: Wire) -> list[Reply]:
        if not ends:
            return [lambda seen: wire.speak(seen, content)]
        ending = {"stop": ends[1]} if wire.name == "anthropic" else {"finish": ends[0]}
        return [lambda seen: wire.speak(seen, content, **ending)]

    return make


def _then_well(first: Callable[[Wire], list[Reply]]) -> Callable[[Wire], list[Reply]]:
    return lambda wire: [*first(wire), wire.behave]


def _slow(wire: Wire) -> list[Reply]:
    return [lambda seen: Answer(wire.behave(seen).body, drip_s=TIMEOUT_S / 3)]


def _cut(wire: Wire) -> list[Reply]:
    return [lambda seen: Answer(wire.behave(seen).body, cut=True)]


def _refuses(wire: Wire) -> list[Reply]:
    if wire.name == "openai":
        return [lambda seen: wire.speak(seen, None, refusal="I cannot help with that.")]
    return _says("I cannot help with that.", "content_filter", "refusal")(wire)


def _used_up(wire: Wire) -> list[Reply]:
    told = {
        "openai": (429, "You exceeded your current quota.", "insufficient_quota"),
        "anthropic": (400, "Your credit balance is too low to access the API.", "invalid_request_error"),
        "mistral": (402, "Payment required", None),
    }
    return [wire.refuse(*told[wire.name])]


def _too_long(wire: Wire) -> list[Reply]:
    told = {
        "openai": (400, "The maximum context length is 8192 tokens.", "context_length_exceeded"),
        "anthropic": (400, "prompt is too long: 210000 tokens > 200000 maximum", None),
        "mistral": (400, "Prompt contains 40000 tokens, too large for model with 32768 maximum context length", "3051"),
    }
    return [wire.refuse(*told[wire.name])]


def _no_model(wire: Wire) -> list[Reply]:
    told = {
        "openai": (404, "The model does not exist or you do not have access to it.", "model_not_found"),
        "anthropic": (404, "model: claude-nobody", None),
        "mistral": (400, "Invalid model: nobody", "1500"),
    }
    return [wire.refuse(*told[wire.name])]


def _refused(wire: Wire) -> list[Reply]:
    return [wire.refuse(400, "The request could not be processed.")]


def _filtered(wire: Wire) -> list[Reply]:
    return [wire.refuse(400, "Output blocked by content filtering policy")]


def _halved(kind: WriterFailure) -> tuple[str, ...]:
    """Asked for the half, the quarter and the eighth of the speech too."""
    return (kind,) * 4


def _at_length(kind: WriterFailure) -> tuple[str, ...]:
    """Asked again with all the room there is, then in halves."""
    return (kind, *_halved(kind))


def _thrice(kind: WriterFailure) -> tuple[str, ...]:
    return (kind,) * 3


_PATIENT = (FIRST, SECOND)
_MODEL, _WRITER = ("model", 30.0), ("writer", 30.0)
_BROKEN_NOTE = json.dumps(NOTE)[:-40]
_OTHER_SHAPE = NOTE | {"mood": "good", "body": "all of it"}

FAULTS: tuple[Fault, ...] = (
    Fault("429", _always(429), "rate_limit", _thrice("rate_limit"), "nothing", _PATIENT, _MODEL),
    Fault("429 once", _once(429), None, ("rate_limit", ANSWERED), "nothing", (FIRST,)),
    Fault(
        "429 once, Retry-After: 7", _once(429, retry_after="7"), None, ("rate_limit", ANSWERED), "nothing", ((7, 7),)
    ),
    Fault(
        "429 once, Retry-After: a date 6 s on",
        _once(429, date=DATE, retry_after=LATER),
        None,
        ("rate_limit", ANSWERED),
        "nothing",
        ((6, 6),),
    ),
    Fault(
        "429 once, retry-after-ms: 3500",
        _once(429, retry_after_ms="3500"),
        None,
        ("rate_limit", ANSWERED),
        "nothing",
        ((3.5, 3.5),),
    ),
    Fault(
        "429, Retry-After: 20",
        _always(429, retry_after="20"),
        "rate_limit",
        ("rate_limit",),
        "nothing",
        (),
        ("model", 20.0),
    ),
    Fault("500", _always(500), "unavailable", _thrice("unavailable"), "nothing", _PATIENT, _WRITER),
    Fault("500 once", _once(500), None, ("unavailable", ANSWERED), "nothing", (FIRST,)),
    Fault("502, a page", _page(502), "unavailable", _thrice("unavailable"), "nothing", _PATIENT, _WRITER),
    Fault("503", _always(503), "overload", _thrice("overload"), "nothing", _PATIENT, _MODEL),
    Fault("529", _always(529), "overload", _thrice("overload"), "nothing", _PATIENT, _MODEL),
    Fault("401", _always(401), "auth", ("auth",), "nothing", (), ("writer", 900.0)),
    Fault("402, or another word for no money", _used_up, "quota", ("quota",), "nothing", (), ("writer", 3600.0)),
    Fault("404, no such model", _no_model, "misconfigured", ("misconfigured",), "nothing", (), ("model", 900.0)),
    Fault("400, for no known reason", _refused, "bad_request", ("bad_request",), "nothing"),
    Fault("409", _always(409), "unavailable", _thrice("unavailable"), "nothing", _PATIENT, _WRITER),
    Fault("too long for the model", _too_long, "context_too_long", _halved("context_too_long"), "nothing"),
    Fault("connection refused", None, "unavailable", _thrice("unavailable"), "nothing", _PATIENT, _WRITER),
    Fault("slow body", _slow, "timeout", _thrice("timeout"), "unknown", _PATIENT, _MODEL),
    Fault("cut body", _cut, "broken_off", _thrice("broken_off"), "unknown", _PATIENT, _WRITER),
    Fault("200, a page", _page(200), "broken_off", _thrice("broken_off"), "unknown", _PATIENT, _WRITER),
    Fault("broken JSON", _says(_BROKEN_NOTE), "bad_output", (ANSWERED, ANSWERED), "what it tells"),
    Fault("broken JSON once", _then_well(_says(_BROKEN_NOTE)), None, (ANSWERED, ANSWERED), "what it tells"),
    Fault("JSON of another shape", _says(_OTHER_SHAPE), "bad_output", (ANSWERED, ANSWERED), "what it tells"),
    Fault("JSON of another shape once", _then_well(_says(_OTHER_SHAPE)), None, (ANSWERED, ANSWERED), "what it tells"),
    Fault("cut by length", _says("{", "length", "max_tokens"), "bad_output", _at_length("bad_output"), "what it tells"),
    Fault(
        "cut by the window",
        _says("{", "model_length", "model_context_window_exceeded"),
        "context_too_long",
        _halved("context_too_long"),
        "what it tells",
        vendors=("anthropic", "mistral"),
    ),
    Fault("refusal", _refuses, "refusal", ("refusal",), "what it tells"),
    Fault("answer blocked by a filter", _filtered, "refusal", ("refusal",), "nothing", vendors=("anthropic",)),
    Fault("empty answer", _says(""), "bad_output", (ANSWERED, ANSWERED), "what it tells"),
    Fault("empty answer once", _then_well(_says("")), None, (ANSWERED, ANSWERED), "what it tells"),
)

_HEAD = (
    "| fault | kind | calls | waits, s | who writes the note | what the failed calls cost | left alone |",
    "|---|---|---|---|---|---|---|",
)


_CALLS = {
    (ANSWERED, ANSWERED): "2: the answer goes back once",
    _at_length("bad_output"): "5: with more room, then in halves, three times over",
    _halved("context_too_long"): "4: in halves, three times over",
}


def render_table() -> str:
    """The faults as Markdown."""
    return "\n".join([*_HEAD, *map(_render, FAULTS)])


def _render(fault: Fault) -> str:
    vendors = "" if len(fault.vendors) == 3 else f" ({', '.join(fault.vendors)})"
    calls = _CALLS.get(fault.outcomes, str(len(fault.outcomes)))
    waits = ", ".join(f"{low:g} to {high:g}" if high > low else f"{low:g}" for low, high in fault.waits) or "none"
    left = "nobody" if fault.cools is None else f"the {fault.cools[0]}, {fault.cools[1]:g} s"
    cells = (
        fault.name + vendors,
        f"`{fault.kind}`" if fault.kind else "none that lasts",
        calls,
        waits,
        "the next writer" if fault.kind else "the same",
        fault.costs,
        left,
    )
    return f"| {' | '.join(cells)} |"
