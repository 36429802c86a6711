"""Writing with any model: parts, repairs, halves and what was paid for, without a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

import pytest

from diarynotes.calls import KeptAnswer
from diarynotes.diary.caller import DirectCaller, Line, Question
from diarynotes.diary.language_model import Limits, Reply, Shape, write_draft
from diarynotes.diary.note_shape import HeadShape, MoodShape, NoteShape, SentenceShape
from diarynotes.diary.prompt import Message
from diarynotes.diary.remedies import AnswerCut
from diarynotes.errors import BadSettings, WriterFailed
from diarynotes.models import Draft, Segment, Transcript, Usage

DAY = date(2026, 11, 21)
SMALL = Limits.of(4_096)
MOOD = MoodShape(label="neutral", score=0)


def transcript(count: int) -> Transcript:
    segments = tuple(Segment(float(n), n + 1.0, f"Sentence number {n} about something.") for n in range(count))
    return Transcript("t", "r", "file", "", "en", segments, 1.0)


class Model:
    """Writes down every line; from call `fails_at` on it fails until it is mended."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.fails_at, self.calls = fails_at, 0

    def __call__(self, messages: Sequence[Message], shape: Shape, tokens: int = 0) -> Reply:
        self.calls += 1
        if self.fails_at is not None and self.calls >= self.fails_at:
            raise WriterFailed("w", "why", "overload")
        usage = Usage("p", "m", 10, 5)
        if shape is HeadShape:
            return Reply(HeadShape(title="Head", summary="All.", mood=MOOD).model_dump_json(), usage)
        lines = messages[1].text.partition("<transcript>\n")[2].splitlines()[:-1]
        pairs = (line.partition(" | ") for line in lines)
        body = [SentenceShape(text=text, segments=[int(number)]) for number, _, text in pairs]
        return Reply(NoteShape(body=body, title="Part", summary="Some.", mood=MOOD).model_dump_json(), usage)


def write(model: Callable[..., Reply], count: int, caller: DirectCaller | None = None, limits: Limits = SMALL) -> Draft:
    line = Line(caller or DirectCaller(), model, provider="p", model="m")
    return write_draft(line.ask, transcript(count), writer="w", day=DAY, limits=limits, paid=line)


def test_short_speech_takes_one_call() -> None:
    model = Model()
    draft = write(model, 5)
    assert (model.calls, draft.title, len(draft.body)) == (1, "Part", 5)


def test_parts_that_are_paid_for_are_not_asked_for_again() -> None:
    """The price of a note is that of one try, however often it was interrupted."""
    whole = Model()
    expected = write(whole, 300)
    assert whole.calls > 4

    paid, model = DirectCaller(), Model(fails_at=3)
    with pytest.raises(WriterFailed) as caught:
        write(model, 300, paid)
    assert len(caught.value.usage) == 2
    model.fails_at = None
    draft = write(model, 300, paid)
    assert (draft.body, draft.title) == (expected.body, expected.title)
    assert len(caught.value.usage) + len(draft.usage) == len(expected.usage)
    assert paid._kept == {}  # a finished note leaves nothing behind


def test_an_answer_that_was_cut_is_not_paid_for_again() -> None:
    """Whoever comes back after the first half goes to the second at once."""
    fails, calls = [True], list[int]()

    def narrow(messages: Sequence[Message], shape: Shape, tokens: int = 0) -> Reply:
        lines = messages[1].text.count(" | ")
        calls.append(lines)
        if lines > 5:
            raise AnswerCut("w", "why", "bad_output")
        if shape is NoteShape and len(calls) > 2 and fails[0]:
            raise WriterFailed("w", "why", "overload")
        return Model()(messages, shape)

    paid = DirectCaller()
    with pytest.raises(WriterFailed):
        write(narrow, 10, paid)
    fails[0] = False
    assert len(write(narrow, 10, paid).body) == 10
    assert calls == [10, 5, 5, 5, 0]  # the whole, its halves, the second again, the heading
    assert paid._kept == {}


def test_an_answer_gets_the_room_that_its_speech_lets_expect() -> None:
    asked: list[int] = []

    def model(messages: Sequence[Message], shape: Shape, tokens: int) -> Reply:
        asked.append(tokens)
        return Model()(messages, shape)

    for count in (1, 50, 1_000):
        write(model, count, limits=Limits.of(128_000))
    assert 1_000 < asked[0] < 1_100
    assert 2_000 < asked[1] < 5_000
    assert asked[2] == 8_192


def test_an_answer_that_is_cut_off_is_asked_for_with_all_the_room_there_is() -> None:
    asked: list[int] = []

    def wordy(messages: Sequence[Message], shape: Shape, tokens: int) -> Reply:
        asked.append(tokens)
        if tokens < 8_192:
            raise AnswerCut("w", "why", "bad_output", usage=(Usage("p", "m", 10, tokens),))
        return Model()(messages, shape)

    draft = write(wordy, 5, limits=Limits.of(128_000))
    assert len(draft.body) == 5
    assert asked[1:] == [8_192]
    assert [usage.output_tokens for usage in draft.usage] == [asked[0], 5]


def test_a_long_part_that_takes_too_long_is_asked_for_in_halves() -> None:
    asked: list[int] = []

    def slow(messages: Sequence[Message], shape: Shape, tokens: int) -> Reply:
        asked.append(tokens)
        if tokens > 6_000:
            raise WriterFailed("w", "why", "timeout")
        return Model()(messages, shape)

    paid = DirectCaller()
    draft = write(slow, 200, paid, limits=Limits.of(128_000))
    assert len(draft.body) == 200
    assert [tokens > 6_000 for tokens in asked] == [True, False, False, False]  # the whole, its halves, the heading


def test_a_short_one_is_not_divided_for_that() -> None:
    model = Model()

    def slow(messages: Sequence[Message], shape: Shape, tokens: int) -> Reply:
        model.calls += 1
        raise WriterFailed("w", "why", "timeout")

    with pytest.raises(WriterFailed):
        write(slow, 20, limits=Limits.of(128_000))
    assert model.calls == 1


def test_only_so_many_parts_are_remembered() -> None:
    paid = DirectCaller()
    asked = [Question("p", "m", (Message("user", str(n)),), 100) for n in range(600)]
    for one in asked:
        paid.keep(one, one.messages[0].text, ())
    assert paid.find(asked[99]) is None
    assert paid.find(asked[100]) == KeptAnswer("100")


def test_a_model_that_takes_nothing_is_asked_a_bounded_number_of_times() -> None:
    calls = 0

    def full(messages: Sequence[Message], shape: Shape, tokens: int = 0) -> Reply:
        nonlocal calls
        calls += 1
        raise WriterFailed("w", "why", "context_too_long")

    with pytest.raises(WriterFailed) as caught:
        write(full, 100)
    assert caught.value.kind == "context_too_long"
    assert calls == 4  # the whole, then the first half of the first half ... three times


def test_an_answer_without_a_body_goes_back_and_is_then_taken() -> None:
    """Nobody can make a note of "um", but a model that forgot the body is asked for it."""
    empty = NoteShape(body=[], title="Nothing", summary="", mood=MOOD).model_dump_json()
    asked: list[Sequence[Message]] = []

    def model(messages: Sequence[Message], shape: Shape, tokens: int = 0) -> Reply:
        asked.append(messages)
        return Reply(empty, Usage("p", "m", 1, 1))

    assert write(model, 1).body == ()
    assert "body: must not be empty" in asked[1][-1].text


@pytest.mark.parametrize("context_tokens", [4_096, 8_192, 32_000, 128_000, 1_000_000])
def test_all_that_is_sent_and_answered_fits_the_window(context_tokens: int) -> None:
    limits = Limits.of(context_tokens)
    assert limits.part_tokens + 2 * limits.output_tokens + 1_200 < context_tokens
    assert limits.part_tokens <= 2 * limits.output_tokens


def test_a_window_without_room_is_refused() -> None:
    with pytest.raises(BadSettings):
        Limits.of(2_048)
    with pytest.raises(BadSettings):
        Limits.of(8_192, 4_000)
