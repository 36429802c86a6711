"""The way of a writer's calls to its model: a question, who carries it there, and answers that were paid for already.

Knows no vendor, no money and no database; `exchange` is the caller that keeps books.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from diarynotes.calls import KeptAnswer
from diarynotes.diary.language_model import Ask, Reply, Shape
from diarynotes.diary.prompt import Message
from diarynotes.errors import WriterFailed
from diarynotes.models import Usage

_MOST_KEPT = 500


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of which model of whom; where it is sent, the answer may take `output_tokens`."""

    provider: str
    model: str
    messages: tuple[Message, ...]
    output_tokens: int = field(default=0, compare=False)  # the same question, however much room its answer gets

    @property
    def words(self) -> str:
        """All that is sent, as one text."""
        return "\x1e".join(f"{message.role}\x1f{message.text}" for message in self.messages)

    @property
    def key(self) -> str:
        """The same for the same words to the same model: under it an answer is kept."""
        return hashlib.sha256(f"{self.provider}\x1d{self.model}\x1d{self.words}".encode()).hexdigest()


class Caller(Protocol):
    """Carries questions to a model, and keeps the usable answers."""

    def call(self, question: Question, ask: Callable[[], Reply]) -> Reply:
        """What `ask` brings. Raises: WriterFailed, `ask`'s own or because it was not allowed to be made."""
        ...

    def find(self, question: Question) -> KeptAnswer | None:
        """The answer to exactly this question, if it is kept."""
        ...

    def keep(self, question: Question, text: str, usages: Sequence[Usage]) -> None:
        """Keeps an answer that turned out usable, and what it took to get it."""
        ...

    def forget(self, questions: Iterable[Question]) -> None:
        """The note that these were asked for is whole."""
        ...


class DirectCaller:
    """Calls at once and keeps no books. Answers stay in memory, the latest 500, until their note is whole."""

    def __init__(self) -> None:
        self._kept: dict[Question, KeptAnswer] = {}

    def call(self, question: Question, ask: Callable[[], Reply]) -> Reply:  # noqa: ARG002
        """What `ask` brings."""
        return ask()

    def find(self, question: Question) -> KeptAnswer | None:
        """What was kept for exactly this question; what it used was told when it was asked for."""
        return self._kept.get(question)

    def keep(self, question: Question, text: str, usages: Sequence[Usage]) -> None:  # noqa: ARG002
        """Remembers an answer, and forgets the oldest where there are too many."""
        self._kept[question] = KeptAnswer(text)
        for oldest in list(self._kept)[:-_MOST_KEPT]:
            self._kept.pop(oldest, None)

    def forget(self, questions: Iterable[Question]) -> None:
        """Drops what is no longer needed."""
        for question in questions:
            self._kept.pop(question, None)


class Line:
    """One writer's line to its model while it writes one note: what `language_model.write_draft` asks through."""

    def __init__(self, caller: Caller, ask: Ask, *, provider: str, model: str) -> None:
        self._caller, self._ask = caller, ask
        self._provider, self._model = provider, model
        self._spent: list[Usage] = []

    def ask(self, messages: Sequence[Message], shape: Shape, output_tokens: int) -> Reply:
        """The model's reply, of so many tokens at most. Raises: WriterFailed."""
        question = self._question(messages, output_tokens)
        try:
            reply = self._caller.call(question, lambda: self._ask(messages, shape, output_tokens))
        except WriterFailed as error:
            self._spent += error.usage
            raise
        self._spent.append(reply.usage)
        return reply

    def find(self, messages: Sequence[Message]) -> KeptAnswer | None:
        """The answer that was paid for already."""
        return self._caller.find(self._question(messages))

    def keep(self, messages: Sequence[Message], text: str) -> None:
        """Keeps a usable answer, with what was asked for it since the last one was kept."""
        self._caller.keep(self._question(messages), text, tuple(self._spent))
        self._spent.clear()

    def forget(self, asked: Iterable[Sequence[Message]]) -> None:
        """The note is whole."""
        self._caller.forget(map(self._question, asked))

    def _question(self, messages: Sequence[Message], output_tokens: int = 0) -> Question:
        return Question(self._provider, self._model, tuple(messages), output_tokens)
