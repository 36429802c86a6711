"""The error tree: every class says its reason, and a stored code tells it again."""

from __future__ import annotations

import pickle
from typing import get_args

import pytest

from diarynotes import errors
from diarynotes.errors import DiarynotesError, Reason, WorkerDied, known_errors, reason_of

KINDS = sorted({kind for kind in known_errors() if kind.__module__ == errors.__name__}, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_every_error_says_its_reason(kind: type[DiarynotesError]) -> None:
    assert kind.reason in get_args(Reason)
    assert reason_of(kind.code) == kind.reason, "two classes with one code have one reason"


def test_every_reason_is_somebodys() -> None:
    assert {kind.reason for kind in KINDS} == set(get_args(Reason))


def test_a_code_of_nobody_is_unknown() -> None:
    assert reason_of("bug") == "unknown_error"


def test_a_recordings_own_fault_is_told_apart_from_its_surroundings() -> None:
    assert reason_of("not_audio") == "validation_error"
    assert reason_of("decoder_timeout") == "timeout"
    assert reason_of("engine_failed") == "model_error"
    assert reason_of("out_of_memory") == "resource_exhaustion"
    assert reason_of("writer_failed") == "external_api_error"


def test_worker_died_survives_pickling() -> None:
    copy = pickle.loads(pickle.dumps(WorkerDied(4)))
    assert (copy.deaths, str(copy)) == (4, str(WorkerDied(4)))
