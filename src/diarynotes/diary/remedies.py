"""What is to be done about each kind of a writer's failure: the one table of retries and cool-downs.

Knows no network and retries nothing; whoever asks writers reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from diarynotes.errors import WriterFailed, WriterFailure
from diarynotes.models import Usage


@dataclass(frozen=True, slots=True)
class Remedy:
    """Whether the same call may be tried again, and for how long (s) everybody leaves that writer alone after it."""

    retryable: bool
    cool_down_s: float
    reason: str


REMEDIES: Mapping[WriterFailure, Remedy] = MappingProxyType(
    {
        "rate_limit": Remedy(True, 20, "limits count by the minute; Retry-After, where sent, says it better"),
        "overload": Remedy(True, 30, "the service sheds load; more calls make it worse"),
        "timeout": Remedy(True, 30, "slow for one is slow for all, and each try costs a full wait"),
        "unavailable": Remedy(True, 30, "a restart or a broken line is over within seconds or lasts for long"),
        "quota": Remedy(False, 3600, "used up until somebody pays or the month turns; ask once an hour"),
        "auth": Remedy(False, 900, "a person must change the key; every call until then fails the same way"),
        "misconfigured": Remedy(False, 900, "a person must change the model or the address"),
        "context_too_long": Remedy(False, 0, "about this transcript, not about the service"),
        "refusal": Remedy(False, 0, "about this transcript; asked again, it mostly refuses again"),
        "bad_output": Remedy(False, 0, "the answer was already sent back once to be mended"),
    }
)

_WHYS: Mapping[WriterFailure, str] = MappingProxyType(
    {
        "rate_limit": "it takes no more calls for now",
        "overload": "it is overloaded",
        "timeout": "it did not answer in time",
        "quota": "the account is used up; add credit or raise its limit",
        "auth": "it does not accept the key; check it, and what it may do",
        "context_too_long": "the transcript is too long for the model; lower context_tokens or take a larger model",
        "refusal": "it refused to write this note",
        "bad_output": "its answer is no note",
        "misconfigured": "it does not know this model or address, or not this way of asking",
        "unavailable": "it cannot be reached or broke off",
    }
)


class AnswerCut(WriterFailed):
    """The answer was longer than the model may write, so it breaks off; a shorter part of the speech may fit."""


def remedy_for(error: WriterFailed) -> Remedy:
    """What to do about a failure; a wait that the service asked for goes before the table's."""
    remedy = REMEDIES[error.kind]
    if error.retry_after_s is None or not remedy.retryable:
        return remedy
    return Remedy(True, error.retry_after_s, "the service said so")


def failure(writer: str, kind: WriterFailure, *, detail: str = "", usage: tuple[Usage, ...] = ()) -> WriterFailed:
    """The error of a kind in its own words; `detail` is ours too, never a server's."""
    return WriterFailed(writer, f"{_WHYS[kind]}{f' ({detail})' if detail else ''}", kind, None, usage)
