"""What is to be done about each kind of failure."""

from __future__ import annotations

from typing import get_args

from diarynotes.diary.remedies import REMEDIES, failure, remedy_for
from diarynotes.errors import WriterFailed, WriterFailure


def test_every_kind_has_a_remedy_with_a_reason() -> None:
    assert set(REMEDIES) == set(get_args(WriterFailure))
    for kind, remedy in REMEDIES.items():
        assert remedy.reason
        assert remedy.cool_down_s >= 0
        assert str(failure("w", kind)).startswith("The writer w failed: ")


def test_what_a_person_must_mend_is_not_tried_again() -> None:
    again = {kind for kind, remedy in REMEDIES.items() if remedy.retryable}
    assert again == {"rate_limit", "overload", "timeout", "unavailable"}


def test_a_wait_that_was_asked_for_goes_first_but_retries_nothing_hopeless() -> None:
    assert remedy_for(WriterFailed("w", "y", "rate_limit", 3.0)).cool_down_s == 3.0
    assert remedy_for(WriterFailed("w", "y", "rate_limit")).cool_down_s == REMEDIES["rate_limit"].cool_down_s
    assert not remedy_for(WriterFailed("w", "y", "quota", 3.0)).retryable


def test_an_error_of_old_counts_as_unavailable() -> None:
    assert WriterFailed("w", "why").kind == "unavailable"
