"""Fakes that ship with the library, for tests of diarynotes and of what is built on it.

They are typed like the real things, need no weights and no network, and give the same answer to the same input.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from datetime import date

import numpy as np

from diarynotes.errors import WriterFailed
from diarynotes.models import Draft, Transcript, Window, WindowText

SENTENCES = (
    "I walked to the river this morning and the water was very high.",
    "Anna called and we talked for nearly an hour about the summer.",
    "The bread came out of the oven a little too dark but it tasted fine.",
    "I want to write to my brother before the weekend.",
    "It rained all afternoon so I stayed in and read.",
    "The new neighbours have a small dog that barks at the postman.",
    "I slept badly and felt slow for most of the day.",
    "We planted tomatoes and beans behind the shed.",
    "The train was late again and I missed the meeting.",
    "I fixed the bicycle and rode it once around the lake.",
    "My sister sent a photograph of the two children in the snow.",
    "I need to buy paint for the kitchen door.",
    "The concert was better than I had hoped.",
    "I made soup from what was left in the garden.",
    "Work was quiet and I finished the report before lunch.",
    "I keep thinking about the house by the sea.",
    "The doctor said that my knee is healing well.",
    "We played cards until late and laughed a great deal.",
    "I forgot to water the plants for three days.",
    "The market was full and I came home with far too many apples.",
    "I am proud that I ran five kilometres without stopping.",
    "The library has the book that I was looking for.",
    "I was angry at first but then we talked it over.",
    "Tomorrow I will get up early and see the sun rise.",
)


class ScriptedEngine:
    """A speech engine that knows its lines: what it hears in a window depends on the window's samples alone.

    Batching and order therefore change nothing. Without `texts` it says harmless sentences of a diary. `delay_s` is
    what each call of `decode` takes at least.
    """

    name = "scripted"
    settings = ""
    degraded = False
    draws = False

    def __init__(
        self, *texts: str, model: str = "lines", language: str = "en", delay_s: float = 0.0, batch_size: int = 8
    ) -> None:
        self.texts = texts or SENTENCES
        self.model, self.language, self.delay_s, self.batch_size = model, language, delay_s, batch_size

    def decode(self, windows: Sequence[Window]) -> list[WindowText]:
        """One line for each window; with the confidence of a good engine."""
        if self.delay_s:
            time.sleep(self.delay_s)
        return [WindowText(self._line(window), language=self.language, avg_logprob=-0.2) for window in windows]

    def close(self) -> None:
        """Nothing to give back."""

    def _line(self, window: Window) -> str:
        samples = np.ascontiguousarray(window.samples, dtype=np.float32)
        return self.texts[zlib.crc32(samples.tobytes()) % len(self.texts)]


class ScriptedWriter:
    """A writer that gives its draft, or fails as it was told, whatever was said; it counts how often it was asked."""

    name = "scripted"
    prompt_version = "1"

    def __init__(
        self, answer: Draft | WriterFailed, *, model: str = "lines", degraded: bool = False, local: bool = True
    ) -> None:
        self.answer, self.model, self.degraded, self.local = answer, model, degraded, local
        self.asked = 0

    def close(self) -> None:
        """Nothing to give back."""

    def write(self, transcript: Transcript, *, day: date) -> Draft:  # noqa: ARG002
        """The draft it was made with; raises what it was made with if that is an error."""
        self.asked += 1
        if isinstance(self.answer, WriterFailed):
            raise self.answer
        return self.answer
