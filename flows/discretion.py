"""Errors that nobody foresaw lose their words before Prefect writes those down: they may quote a diary."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect.exceptions import PrefectException

import data_checks
import diarynotes
from diarynotes.errors import DiarynotesError, Unexpected

_OURS = tuple(Path(file).resolve().parent for file in (__file__, data_checks.__file__, diarynotes.__file__))


@contextmanager
def discreet() -> Iterator[None]:
    """Also a decorator. Raises: Unexpected in a foreign error's place, with its type and where in our code it arose."""
    try:
        yield
    except (DiarynotesError, PrefectException):
        raise
    except Exception as error:
        raise Unexpected(describe_error(error)) from None


def describe_error(error: BaseException) -> str:
    """`ValueError in stages.py, line 12`: an error without its words, and the last line of ours that led to it."""
    frames = [(Path(frame.f_code.co_filename), line) for frame, line in traceback.walk_tb(error.__traceback__)]
    ours = [(path.name, line) for path, line in frames if any(path.is_relative_to(folder) for folder in _OURS)]
    return type(error).__name__ + (f" in {ours[-1][0]}, line {ours[-1][1]}" if ours else "")
