"""What went wrong with a call over HTTP, sorted once into the kinds that `remedies` knows.

Knows statuses and phrases of the vendors' answers, but no vendor's library beyond the HTTP client that all of them use.
What a server wrote never gets into a message: it may quote the request, which is somebody's diary.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from types import MappingProxyType
from typing import Any

import httpx2

from diarynotes.diary.remedies import failure
from diarynotes.errors import WriterFailed, WriterFailure

_LONGEST_WAIT_S = 24 * 3600.0
"""A server that asks for more is taken at a day; nobody waits longer without asking again."""


_SIGNS: tuple[tuple[WriterFailure, tuple[str, ...]], ...] = (
    (
        "context_too_long",
        (
            "context_length_exceeded",  # OpenAI, code
            "context length",  # OpenAI, vLLM, Ollama, in several sentences
            "maximum model length",  # vLLM
            "exceed_context_size",  # llama.cpp's server, type
            "exceeds the available context",  # llama.cpp's server
            "prompt is too long",  # Anthropic
            "exceed context limit",  # Anthropic
            "too large for model",  # Mistral
            "context window",
            "request too large for",  # OpenAI, as 429: more than the account may send in a minute, at whatever pace
            "string_above_max_length",  # OpenAI, code
        ),
    ),
    (
        "quota",
        ("insufficient_quota", "billing_hard_limit", "billing_not_active", "credit balance", "api usage limits"),
    ),
    (
        "refusal",
        (
            "content_filter",
            "content filter",  # Anthropic: what it would have written was blocked
            "content_policy",
            "content management policy",  # Azure
            "invalid_prompt",
            "moderation",  # OpenRouter, as 403
        ),
    ),
    ("misconfigured", ("model_not_found", "invalid model", "not a valid model")),  # Mistral, OpenRouter, as 400
)
"""Phrases, in lower case, by which vendors tell apart what they send under the same status."""

_STATUSES: Mapping[int, WriterFailure] = MappingProxyType(
    {
        401: "auth",
        402: "quota",
        403: "auth",
        400: "bad_request",
        408: "timeout",
        409: "unavailable",  # something else holds what it needs
        413: "context_too_long",
        422: "bad_request",
        425: "unavailable",  # too early
        429: "rate_limit",
        503: "overload",
        504: "timeout",
        522: "timeout",  # Cloudflare: the server behind it did not answer
        524: "timeout",
        529: "overload",  # Anthropic
    }
)

_TELLING = ("error", "code", "type", "message", "detail", "msg", "loc", "param", "metadata", "raw")
"""Where vendors and gateways say what is wrong; what they were sent is quoted elsewhere, such as in `input`."""
_LONGEST_WORD = 300
_MOST_WORDS = 50

_BROKEN = (httpx2.ReadError, httpx2.RemoteProtocolError, httpx2.DecodingError)


class BadAnswer(httpx2.ReadError):
    """An answer that is not read to its end on purpose: too large, or packed in a way that was not asked for."""


def sort_error(writer: str, error: Exception) -> WriterFailed:
    """The `WriterFailed` for what an SDK raised: by the answer's status and words, else by how the connection broke."""
    response = getattr(error, "response", None)
    if isinstance(response, httpx2.Response):
        return _sort_answer(writer, response)
    causes = list(_chain(error))
    if any(isinstance(cause, BadAnswer) for cause in causes):
        return failure(writer, "bad_output", detail="the answer is too large or packed")
    if any(isinstance(cause, httpx2.TimeoutException) for cause in causes):
        return failure(writer, "timeout")
    # a connection that was never made sent nothing; any other may have
    reached = any(isinstance(cause, _BROKEN) for cause in causes)
    return failure(writer, "broken_off" if reached else "unavailable", detail=type(causes[-1]).__name__)


def read_told(body: str) -> str:
    """What an error's body says in the fields made for it, in lower case: a diary that it quotes decides nothing."""
    try:
        parts = list(islice(_tell(json.loads(body)), _MOST_WORDS))
    except (ValueError, RecursionError):  # plain words, or nested to do harm
        parts = [body]
    return " ".join(part[:_LONGEST_WORD].lower() for part in parts)


def sort_status(status: int, body: str) -> WriterFailure:
    """The kind of failure that an HTTP status and what the body tells speak of."""
    lowered = read_told(body)
    if status in (400, 402, 403, 413, 422, 429, 500):
        for kind, phrases in _SIGNS:
            if any(phrase in lowered for phrase in phrases):
                return kind
    return _STATUSES.get(status, "unavailable" if status >= 500 else "misconfigured")


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait, from 0 to a day; None where it does not say, or says nonsense.

    Retry-After is a number of seconds or a date (RFC 9110, 10.2.3); a date counts from the server's own Date, so that
    clocks may differ. OpenAI and Azure say it more finely in retry-after-ms.
    """
    value = headers.get("retry-after", "").strip()
    try:
        wait_s = float(headers["retry-after-ms"]) / 1000 if "retry-after-ms" in headers else float(value)
    except ValueError:
        then, now = _read_date(value), _read_date(headers.get("date", "")) or datetime.now(UTC)
        wait_s = (then - now).total_seconds() if then else math.nan
    return None if math.isnan(wait_s) else min(max(wait_s, 0.0), _LONGEST_WAIT_S)


def _sort_answer(writer: str, response: httpx2.Response) -> WriterFailed:
    kind = sort_status(response.status_code, response.text)
    sorted_error = failure(writer, kind, detail=f"HTTP {response.status_code}")
    return WriterFailed(writer, sorted_error.why, kind, read_retry_after(response.headers))


def _tell(told: Any) -> Iterator[str]:
    if isinstance(told, dict):
        told = [told[name] for name in _TELLING if name in told]
    if isinstance(told, list):
        for part in told:
            yield from _tell(part)
    elif told is not None:
        yield str(told)


def _read_date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _chain(error: BaseException | Any) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
