"""Writes a draft with any language model: asks, checks the answer, has it mended once, takes long speech in parts.

Knows no vendor and no network: a model is a function from a conversation and the shape that is wanted to a reply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Protocol, TypeAlias, TypeVar

from diarynotes.calls import KeptAnswer
from diarynotes.diary.joining import join_drafts
from diarynotes.diary.note_shape import HeadShape, NoteShape, NotThisShape, SharedShape, draft_from, read_shape
from diarynotes.diary.numbered import Line, count_tokens, estimate_tokens, halve_lines, number_lines, split_lines
from diarynotes.diary.prompt import Message, ask_for_head, ask_for_note, ask_for_repair
from diarynotes.diary.prompt_choice import PROMPTS, STYLES, PromptName, choose_prompt
from diarynotes.diary.remedies import AnswerCut, failure, was_too_much
from diarynotes.errors import BadSettings, WriterFailed
from diarynotes.models import Draft, Mood, Transcript, Usage

CLOUD_CONTEXT_TOKENS = 128_000
"""What every current model of OpenAI, Anthropic and Mistral takes at least."""
LOCAL_CONTEXT_TOKENS = 4_096
"""Ollama's default window; what is longer it cuts off without a word, so no more than that is sent unless told."""

_MOST_OUTPUT_TOKENS = 8_192
_SLACK_TOKENS = 1_000
"""What an answer takes beside the sentences: the title, the summary, the lists."""
_ANSWER_RATIO = 3
"""A note is hardly longer than the speech; its JSON and the numbers of the lines come to as much again at most."""
_SCHEMA_TOKENS = 500
"""What a server may add to a prompt to say which shape is wanted."""
_REPAIR_TOKENS = 200
_LEAST_PART_TOKENS = 200
_MOST_HALVINGS = 3
_TOO_LONG = "too long"
"""What is kept in place of an answer to speech that has to be halved."""
_SILENT_TITLE = "A note without words"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered and what the call used."""

    text: str
    usage: Usage


Shape: TypeAlias = type[NoteShape] | type[HeadShape] | type[SharedShape]
Ask: TypeAlias = Callable[[Sequence[Message], Shape, int], Reply]
"""Asks a model for an answer of so many tokens at most.

Raises WriterFailed, with the usage of an answer that came but cannot be used.
"""

_Shape = TypeVar("_Shape", NoteShape, HeadShape)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a model takes at once: `context_tokens` in all, of which it may write `output_tokens`.

    `slack_tokens` is what an answer may take whatever was said.
    """

    context_tokens: int
    output_tokens: int
    slack_tokens: int = _SLACK_TOKENS

    @classmethod
    def of(cls, context_tokens: int, output_tokens: int | None = None, *, setting: str = "context_tokens") -> Limits:
        """The limits of a window; the answer may take a fifth of it, and 8,192 tokens at most, unless told.

        Raises: BadSettings, naming the `setting`, when that leaves no room for speech.
        """
        limits = cls(context_tokens, output_tokens or min(context_tokens // 5, _MOST_OUTPUT_TOKENS))
        if limits.output_tokens < 1 or limits.part_tokens < _LEAST_PART_TOKENS:
            raise BadSettings(setting, f"{context_tokens} leave no room for a transcript; give at least 4096")
        return limits

    @property
    def part_tokens(self) -> int:
        """Tokens of speech in one call: beside the rules, the answer, and the answer again when it must be mended.

        Twice the answer at most, because a note is seldom shorter than half of what was said.
        """
        return min(self.context_tokens - _rules_tokens() - 2 * self.output_tokens, 2 * self.output_tokens)

    def answer_tokens(self, speech_tokens: int, *, notes: int = 1) -> int:
        """The longest answer that is asked for at first: it is what a budget must have room for."""
        return min(self.output_tokens, notes * self.slack_tokens + _ANSWER_RATIO * speech_tokens)

    def after_cut(self, tokens: int) -> Limits:
        """The limits for a model whose answer did not fit into `tokens`: it thinks aloud before it writes, mostly."""
        return replace(self, slack_tokens=max(self.slack_tokens, min(self.output_tokens, 2 * tokens)))


class Paid(Protocol):
    """Usable answers that were paid for already, by what exactly was asked: a retry finds them here."""

    def find(self, messages: Sequence[Message]) -> KeptAnswer | None:
        """The answer to exactly this."""
        ...

    def keep(self, messages: Sequence[Message], text: str) -> None:
        """Remembers an answer that turned out usable."""
        ...

    def forget(self, asked: Iterable[Sequence[Message]]) -> None:
        """The note that these were asked for is whole."""
        ...


def write_draft(
    ask: Ask,
    transcript: Transcript,
    *,
    writer: str,
    day: date,
    limits: Limits,
    paid: Paid,
    prompt: PromptName | None = None,
) -> Draft:
    """The draft of `transcript` as the model writes it, with the usage of every call.

    What is longer than a part is written in parts that share the numbers of the lines, and joined: the texts by rule,
    title, summary and mood by one more call. An answer may be about three times as long as the speech; one that is cut
    off is asked for once more with all that the limits allow. A part that turns out too long for the model, or whose
    answer is cut off even so or takes too long, is halved, three times at most. What is found in `paid` is not asked
    for again; what it used counts here where it is on nobody's bill. `prompt` names the prompt; by default the
    transcript's shape chooses it.

    Raises: WriterFailed, with what was used until then; `bad_output` when an answer is no note even after one repair.
    """
    task = _Task(ask, writer, day, transcript.language, choose_prompt(transcript, prompt), limits, paid)
    lines = number_lines(transcript)
    if not lines:
        return Draft(_SILENT_TITLE, "", Mood("neutral", 0.0), ())
    try:
        parts = split_lines(lines, limit_tokens=limits.part_tokens)
        drafts = [
            draft
            for number, part in enumerate(parts, 1)
            for draft in task.write_part(part, part=number, parts=len(parts))
        ]
        joined = join_drafts(drafts)
        if len(drafts) > 1:
            joined = task.write_head(joined, drafts)
        paid.forget(task.asked)
    except WriterFailed as error:
        failed = WriterFailed(error.writer, error.why, error.kind, error.retry_after_s, tuple(task.usage))
    else:
        return replace(joined, usage=tuple(task.usage))
    raise failed


def check_prompt(prompt: PromptName | None) -> None:
    """Raises BadSettings for a name that is no prompt's."""
    if prompt is not None and prompt not in STYLES:
        raise BadSettings("prompt", f"'{prompt}' is no prompt; known are {', '.join(STYLES)}")


@dataclass(slots=True)
class _Task:
    """One transcript being written, and what its calls have used."""

    ask: Ask
    writer: str
    day: date
    language: str
    prompt: PromptName
    limits: Limits
    paid: Paid
    is_terse: bool = True
    """Whether answers have fitted so far into what their speech lets expect."""
    usage: list[Usage] = field(default_factory=list)
    asked: list[tuple[Message, ...]] = field(default_factory=list)

    def write_part(self, lines: Sequence[Line], *, part: int, parts: int, halvings: int = 0) -> list[Draft]:
        messages = ask_for_note(lines, day=self.day, language=self.language, prompt=self.prompt, part=part, parts=parts)
        self.asked.append(messages)
        halves = halve_lines(lines)
        may_halve = halvings < _MOST_HALVINGS and len(halves) > 1
        paid = self._find(messages)
        if not may_halve or paid != _TOO_LONG:
            try:
                return [self._write_once(messages, lines, paid)]
            except WriterFailed as error:
                too_long = error.kind == "context_too_long" or isinstance(error, AnswerCut)
                too_slow = was_too_much(error, self._longest_answer(count_tokens(lines)))
                if not (too_long or too_slow) or not may_halve:
                    raise
            if too_long:  # a cut answer is billed: whoever asks again goes to the halves at once
                self.paid.keep(messages, _TOO_LONG)
        return [
            draft
            for half in halves
            for draft in self.write_part(half, part=part, parts=max(parts, 2), halvings=halvings + 1)
        ]

    def write_head(self, joined: Draft, drafts: Sequence[Draft]) -> Draft:
        """The joined draft with a title, summary and mood of its own; as it is when the model gives none.

        The parts are written and paid for by then, so a failure here costs their summary's polish, not the note.
        """
        messages = ask_for_head(drafts)
        tokens = sum(estimate_tokens(message.text) for message in messages)
        if tokens + _SCHEMA_TOKENS + self.limits.output_tokens > self.limits.context_tokens:
            return joined
        self.asked.append(messages)
        paid = self._find(messages)
        try:
            told = paid or self._ask(messages, HeadShape, self._longest_answer(0)).text
            head = read_shape(told, HeadShape)
        except (WriterFailed, NotThisShape):
            return joined
        if not head.title or not head.summary:
            return joined
        if not paid:
            self.paid.keep(messages, told)
        return replace(joined, title=head.title, summary=head.summary, mood=Mood(head.mood.label, head.mood.score))

    def _find(self, messages: Sequence[Message]) -> str | None:
        found = self.paid.find(messages)
        if found is None:
            return None
        self.usage += found.unbilled
        return found.text

    def _longest_answer(self, speech_tokens: int) -> int:
        return self.limits.answer_tokens(speech_tokens) if self.is_terse else self.limits.output_tokens

    def _write_once(self, messages: tuple[Message, ...], lines: Sequence[Line], paid: str | None) -> Draft:
        numbers = frozenset(line.number for line in lines)
        draft = _read(paid, numbers)[0] if paid else None
        if draft is None:
            draft, answer = self._ask_at_length(messages, numbers, self._longest_answer(count_tokens(lines)))
            self.paid.keep(messages, answer)
        return draft

    def _ask_at_length(self, messages: Sequence[Message], numbers: frozenset[int], tokens: int) -> tuple[Draft, str]:
        """What `_ask_for_draft` gives; where the answer does not fit `tokens`, with all the room that there is."""
        try:
            return self._ask_for_draft(messages, numbers, tokens)
        except AnswerCut:
            if tokens == self.limits.output_tokens:
                raise
        self.is_terse = False
        return self._ask_for_draft(messages, numbers, self.limits.output_tokens)

    def _ask_for_draft(self, messages: Sequence[Message], numbers: frozenset[int], tokens: int) -> tuple[Draft, str]:
        """The draft in the answer, or in the mended one, and that answer; what stays slightly wrong is left out."""
        answer = self._ask(messages, NoteShape, tokens).text
        draft, problems = _read(answer, numbers)
        if not problems:
            assert draft is not None
            return draft, answer
        try:
            second = self._ask(ask_for_repair(messages, answer, problems), NoteShape, tokens).text
        except WriterFailed:
            if draft is None:
                raise
            return draft, answer
        mended, _ = _read(second, numbers)
        usable = mended or draft
        if usable is None or not usable.title:
            raise failure(self.writer, "bad_output", detail=f"{len(problems)} faults, and again after a repair")
        return usable, second if mended else answer

    def _ask(self, messages: Sequence[Message], shape: Shape, tokens: int) -> Reply:
        try:
            reply = self.ask(messages, shape, tokens)
        except WriterFailed as error:
            self.usage += error.usage
            raise
        self.usage.append(reply.usage)
        return reply


def _read(answer: str, numbers: frozenset[int]) -> tuple[Draft | None, tuple[str, ...]]:
    """The draft in an answer, None where there is none, and what is wrong with it."""
    try:
        return draft_from(read_shape(answer, NoteShape), numbers=numbers)
    except NotThisShape as error:
        return None, error.problems


def _rules_tokens() -> int:
    """What the longest rules take beside the speech; they are English, so Anthropic's 3.5 letters a token hold."""
    asks = [ask_for_note((), day=date.min, language="en", prompt=prompt, part=1, parts=2) for prompt in PROMPTS]
    longest = max(sum(len(message.text) for message in ask) for ask in asks)
    return int(longest / 3.5) + _SCHEMA_TOKENS + _REPAIR_TOKENS
