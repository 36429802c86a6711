"""What is to be done about each kind of failure."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import get_args

from diarynotes.calls import Fault
from diarynotes.diary.remedies import REMEDIES, failure, fault_of, may_retry
from diarynotes.errors import WriterFailed, WriterFailure
from diarynotes.settings import Settings


def test_every_kind_has_a_remedy_with_a_reason() -> None:
    assert set(REMEDIES) == set(get_args(WriterFailure))
    for kind, remedy in REMEDIES.items():
        assert remedy.reason
        assert remedy.cool_down_s >= 0
        assert str(failure("w", kind)).startswith("The writer w failed: ")


def test_what_a_person_must_mend_is_not_tried_again() -> None:
    again = {kind for kind, remedy in REMEDIES.items() if remedy.retryable}
    assert again == {"rate_limit", "overload", "timeout", "unavailable", "broken_off"}


def test_a_long_wait_that_was_asked_for_is_not_waited_for_but_kept_to() -> None:
    assert may_retry(WriterFailed("w", "y", "rate_limit", 3.0))
    assert not may_retry(WriterFailed("w", "y", "rate_limit", 11.0))
    assert not may_retry(WriterFailed("w", "y", "quota", 3.0))
    assert fault_of(WriterFailed("w", "y", "rate_limit", 3.0)) == Fault("model", 3, at_once=True)
    assert fault_of(WriterFailed("w", "y", "rate_limit", 0.0)) == Fault("model", 30)
    assert fault_of(WriterFailed("w", "y", "rate_limit", 11.0)) == Fault("model", 11, at_once=True)
    assert fault_of(WriterFailed("w", "y", "rate_limit", 90.0)) == Fault("model", 90, at_once=True)
    assert fault_of(WriterFailed("w", "y", "auth", 90.0)) == Fault("writer", 900, at_once=True)


def test_what_is_about_one_transcript_is_no_fault_of_the_service() -> None:
    blameless = {kind for kind in get_args(WriterFailure) if fault_of(WriterFailed("w", "y", kind)) is None}
    assert blameless == {"context_too_long", "refusal", "bad_output", "cooling_down", "over_budget"}


def test_a_request_that_is_refused_for_unknown_reasons_is_no_proof_against_the_model() -> None:
    """One note must not shut a model for everybody; three in a row may."""
    assert fault_of(WriterFailed("w", "y", "bad_request")) == Fault("model", 300)


def test_messages_name_settings_that_there_are() -> None:
    known = {field.name for field in fields(Settings)}
    told = [str(failure("w", kind)) for kind in get_args(WriterFailure)]
    assert {word for text in told for word in re.findall(r"[a-z]+(?:_[a-z]+)+", text)} <= known


def test_an_error_of_old_counts_as_unavailable() -> None:
    assert WriterFailed("w", "why").kind == "unavailable"
