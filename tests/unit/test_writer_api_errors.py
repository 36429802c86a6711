"""What goes wrong with a call, sorted by status, words and waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from diarynotes.diary.api_errors import read_retry_after, sort_status
from diarynotes.errors import WriterFailure

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "999999999"}, 86_400.0),
        ({"retry-after": "inf"}, 86_400.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "3", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=90), usegmt=True),
          "date": format_datetime(NOW, usegmt=True)}, 90.0),
        ({"retry-after": format_datetime(NOW - timedelta(hours=1), usegmt=True),
          "date": format_datetime(NOW, usegmt=True)}, 0.0),
        ({"retry-after": "Sat, 21 Nov 2026 10:00:30", "date": "Sat, 21 Nov 2026 10:00:00 GMT"}, 30.0),
    ],
)  # fmt: skip
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert read_retry_after(headers) == seconds


def test_a_date_without_the_servers_own_counts_from_now() -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    wait_s = read_retry_after({"retry-after": then})
    assert wait_s is not None
    assert 90 < wait_s <= 100


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (429, "Request too large for m on tokens per min (TPM)", "context_too_long"),
        (400, "This model's MAXIMUM CONTEXT LENGTH is 8192 tokens", "context_too_long"),
        (500, "exceed_context_size_error", "context_too_long"),
        (503, "insufficient_quota", "overload"),
        (401, "context window", "auth"),
        (400, '{"error": {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"}}',
         "refusal"),
        (403, '{"error": {"code": 403, "message": "Your chosen model requires moderation and your input was flagged"}}',
         "refusal"),
        (400, '{"error": "input length exceeds context length"}', "context_too_long"),
        (400, '{"error": "the input length exceeds the context length"}', "context_too_long"),
        (400, "The prompt (length 5000) is longer than the model's context length of 4096", "context_too_long"),
        (400, "The decoder prompt (length 5000) is longer than the maximum model length of 4096", "context_too_long"),
        (400, '{"error": {"metadata": {"raw": "This endpoint\'s maximum context length is 9"}}}', "context_too_long"),
        (400, '{"message": "Invalid model: nobody", "code": "1500"}', "misconfigured"),
        (409, "", "unavailable"),
        (425, "", "unavailable"),
        (400, "", "bad_request"),
        (422, '{"detail": [{"loc": ["body", "messages"], "msg": "no", "input": "our content policy"}]}', "bad_request"),
        (403, '{"error": {"code": 403, "metadata": {"flagged_input": "moderation"}}}', "auth"),
        (400, '{"error": {"message": "' + "x" * 1_000 + ' context window"}}', "bad_request"),
        (400, "[" * 5_000, "bad_request"),
        (418, "", "misconfigured"),
        (307, "", "misconfigured"),
        (599, "", "unavailable"),
    ],
)  # fmt: skip
def test_statuses_and_words_are_sorted(status: int, text: str, kind: WriterFailure) -> None:
    assert sort_status(status, text) == kind
