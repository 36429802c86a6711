"""What every speech engine is to the rest: a name, a model, and windows that become text, many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from diarynotes.models import Window, WindowText


class Engine(Protocol):
    """Turns windows of speech (at most 30 s each) into text, many at a time.

    `settings` names what besides engine and model changes the text (part of a transcript's identity); `degraded` says
    that a better engine should hear the recording again; `batch_size` is how many windows suit one call;
    `draws` that it heeds `Window.temperature`, so that hearing a window again may give another text.
    """

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def settings(self) -> str: ...
    @property
    def degraded(self) -> bool: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def draws(self) -> bool: ...

    def decode(self, windows: Sequence[Window]) -> list[WindowText]:
        """One text for each window, in order. Raises EngineFailed when any window of the batch failed."""
        ...

    def close(self) -> None:
        """Give back processes and memory; the engine is not used afterwards. May be called twice."""
        ...
