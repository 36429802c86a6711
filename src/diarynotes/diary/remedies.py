"""What is to be done about each kind of a writer's failure: the one table of retries and cool-downs.

Knows no network and retries nothing; `exchange` does, and goes by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from diarynotes.calls import Fault, FaultScope
from diarynotes.errors import WriterFailed, WriterFailure
from diarynotes.models import Usage

_LONG_ANSWER_TOKENS = 4_000
LONGEST_WAIT_S = 10.0
"""The longest wait between two tries; a service that asks for a longer one is left alone by all for that time."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """Whether the same call may be tried again, and for how long (s) everybody leaves that writer alone after it.

    `scope` is what is left alone, the writer or this model of it; None where the service is not to blame. `at_once`
    after one failure, else after the third in a row.
    """

    retryable: bool
    cool_down_s: float
    scope: FaultScope | None
    reason: str
    at_once: bool = False


REMEDIES: Mapping[WriterFailure, Remedy] = MappingProxyType(
    {
        "rate_limit": Remedy(True, 30, "model", "limits count by the minute; Retry-After, where sent, says it better"),
        "overload": Remedy(True, 30, "model", "the service sheds load; more calls make it worse"),
        "timeout": Remedy(True, 30, "model", "slow for one is slow for all, and each try costs a full wait"),
        "unavailable": Remedy(True, 30, "writer", "a restart is over within seconds or lasts for long"),
        "broken_off": Remedy(True, 30, "writer", "the line broke while the answer came; it may have been billed"),
        "quota": Remedy(False, 3600, "writer", "used up until somebody pays or the month turns", at_once=True),
        "auth": Remedy(False, 900, "writer", "a person must change the key; until then all fail alike", at_once=True),
        "misconfigured": Remedy(False, 900, "model", "a person must change the model or the address", at_once=True),
        "bad_request": Remedy(False, 300, "model", "about this request, or about all of them; only the next ones tell"),
        "context_too_long": Remedy(False, 0, None, "about this transcript, not about the service"),
        "refusal": Remedy(False, 0, None, "about this transcript; asked again, it mostly refuses again"),
        "bad_output": Remedy(False, 0, None, "the answer was already sent back once to be mended"),
        "cooling_down": Remedy(False, 0, None, "nobody asked it"),
        "over_budget": Remedy(False, 0, None, "nobody asked it"),
    }
)

_TOO_LONG = (
    "the transcript is too long for the model; take one with a larger window, or set server_context_tokens or "
    "llama_context_tokens to what it really takes"
)
_WHYS: Mapping[WriterFailure, str] = MappingProxyType(
    {
        "rate_limit": "it takes no more calls for now",
        "overload": "it is overloaded",
        "timeout": "it did not answer in time",
        "quota": "the account is used up; add credit or raise its limit",
        "auth": "it does not accept the key; check it, and what it may do",
        "context_too_long": _TOO_LONG,
        "refusal": "it refused to write this note",
        "bad_output": "its answer is no note",
        "misconfigured": "it does not know this model or address",
        "bad_request": "it refuses this request, for a reason that is not known here",
        "unavailable": "it cannot be reached",
        "broken_off": "it broke off in the middle of its answer",
        "cooling_down": "it failed too often just now and is left alone for a while",
        "over_budget": "what it may cost does not fit the budget",
    }
)


class AnswerCut(WriterFailed):
    """The answer was longer than the model may write, so it breaks off; a shorter part of the speech may fit."""


def may_retry(error: WriterFailed, output_tokens: int = 0) -> bool:
    """Whether the same call, whose answer may have so many tokens, is to be made again.

    It is where that may help, the service does not ask for a long wait, and less might not be asked for instead.
    """
    is_short_wait = (error.retry_after_s or 0.0) <= LONGEST_WAIT_S
    return REMEDIES[error.kind].retryable and is_short_wait and not was_too_much(error, output_tokens)


def was_too_much(error: WriterFailed, output_tokens: int) -> bool:
    """Whether a call may have failed for the length of its answer alone: asked again, it takes as long, and costs."""
    return error.kind == "timeout" and output_tokens > _LONG_ANSWER_TOKENS


def fault_of(error: WriterFailed) -> Fault | None:
    """What a failure says about the service. One that says how long to wait is left alone by all for that, at once."""
    remedy = REMEDIES[error.kind]
    if remedy.scope is None:
        return None
    asked_s = error.retry_after_s or 0.0
    if remedy.retryable and asked_s:
        return Fault(remedy.scope, asked_s, at_once=True)
    return Fault(remedy.scope, remedy.cool_down_s, remedy.at_once)


def failure(writer: str, kind: WriterFailure, *, detail: str = "", usage: tuple[Usage, ...] = ()) -> WriterFailed:
    """The error of a kind in its own words; `detail` is ours too, never a server's."""
    return WriterFailed(writer, f"{_WHYS[kind]}{f' ({detail})' if detail else ''}", kind, None, usage)
