"""Errors that nobody foresaw reach Prefect without their words."""

from __future__ import annotations

import traceback
from decimal import Decimal, InvalidOperation

import pytest
from prefect.exceptions import MissingContextError

from data_checks import check_rows
from diarynotes.errors import BadSettings, Unexpected
from flows.discretion import describe_error, discreet

SECRET = "I walked with Zebulon"


@discreet()
def fail_with(error: Exception) -> None:
    """Raises it."""
    raise error


def test_a_foreign_error_loses_its_words() -> None:
    with pytest.raises(Unexpected) as caught:
        fail_with(ValueError(SECRET))
    assert "ValueError" in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("error", [BadSettings("engine", "no such engine"), MissingContextError("no run")])
def test_what_was_raised_on_purpose_stays(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        fail_with(error)
    assert caught.value is error


def test_whoever_wants_out_gets_out() -> None:
    with pytest.raises(KeyboardInterrupt), discreet():
        raise KeyboardInterrupt


def test_the_last_line_of_ours_is_told() -> None:
    with pytest.raises(TypeError) as caught:
        check_rows("notes", 7, max_duration_s=1.0)  # type: ignore[arg-type]
    told = describe_error(caught.value)
    assert told.startswith("TypeError in runner.py, line ")


def test_an_error_from_elsewhere_has_no_line() -> None:
    with pytest.raises(InvalidOperation) as caught:
        Decimal(SECRET)
    assert describe_error(caught.value) == "InvalidOperation"
