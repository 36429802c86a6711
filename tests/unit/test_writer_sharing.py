"""Several memos in one call: they come apart exactly, or are written alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest

from diarynotes.calls import KeptAnswer
from diarynotes.diary.caller import DirectCaller, Line, Question
from diarynotes.diary.language_model import Limits, Reply, Shape
from diarynotes.diary.prompt import Message
from diarynotes.diary.sharing import Memo, join_memos, write_drafts
from diarynotes.models import Draft, Segment, Transcript, Usage

DAY = date(2026, 11, 21)
LIMITS = Limits.of(128_000)


def memo(*texts: str, day: date = DAY) -> Memo:
    segments = tuple(Segment(float(n), n + 1.0, text) for n, text in enumerate(texts))
    return Memo(Transcript("t", "r", "file", "", "en", segments, 1.0), day)


MEMOS = [
    memo("I planted beans.", "It rained."),
    memo("Call Tom.", day=date(2026, 11, 20)),
    memo("", "Um.", "The train was late and I missed the meeting with the whole team."),
]


def note(number: int, *numbers: int) -> dict[str, Any]:
    body = [{"text": f"Sentence {at}.", "segments": [at]} for at in numbers]
    head = {"title": f"Memo {number}", "summary": "S.", "mood": {"label": "neutral", "score": 0}}
    return {"memo": number, "body": body, **head}


class Model:
    def __init__(self, answer: Any) -> None:
        self.answer, self.asked = answer, list[Sequence[Message]]()

    def __call__(self, messages: Sequence[Message], shape: Shape, tokens: int) -> Reply:
        self.asked.append(messages)
        return Reply(json.dumps(self.answer), Usage("p", "m", 1_001, 300, cached_tokens=7))


def write(model: Model, memos: Sequence[Memo] = MEMOS, caller: DirectCaller | None = None) -> list[Draft | None]:
    line = Line(caller or DirectCaller(), model, provider="p", model="m")
    return write_drafts(line.ask, join_memos(memos), memos, limits=LIMITS, paid=line)


WHOLE = {"notes": [note(2, 2), note(1, 0, 1), note(3, 4, 5)]}


def test_each_memo_gets_its_own_note_back_in_whatever_order_they_come() -> None:
    drafts = write(Model(WHOLE))
    assert [draft.title for draft in drafts if draft] == ["Memo 1", "Memo 2", "Memo 3"]
    assert [[part.evidence for part in draft.body] for draft in drafts if draft] == [[(0,), (1,)], [(2,)], [(4,), (5,)]]


def test_the_model_is_told_the_rules_once_and_the_day_of_each_memo() -> None:
    model = Model(WHOLE)
    write(model)
    ((system, user),) = model.asked
    assert system.text.count("# Only what was said") == 1
    assert user.text.count("<transcript>") == user.text.count("</transcript>") == 3
    assert "Memo 2. Day of the memo: 2026-11-20, a Friday.\n<transcript>\n2 | Call Tom.\n</transcript>" in user.text


def test_the_parts_of_the_bill_add_up_to_the_call() -> None:
    drafts = write(Model(WHOLE))
    usages = [draft.usage for draft in drafts if draft]
    assert [len(usage) for usage in usages] == [1, 1, 1]
    totals = [sum(getattr(usage[0], name) for usage in usages) for name in ("input_tokens", "output_tokens")]
    assert totals == [1_001, 300]
    assert sum(usage[0].cached_tokens for usage in usages) == 7
    assert usages[2][0].input_tokens > usages[0][0].input_tokens


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        ({"notes": [note(1, 0), note(3, 4)]}, [1]),
        ({"notes": [note(1, 0), note(1, 1), note(2, 2), note(3, 4)]}, [0]),
        ({"notes": [note(1, 0, 2), note(2, 2), note(3, 4)]}, [0]),
        ({"notes": [note(1, 0), note(2), note(3, 4)]}, [1]),
        ({"notes": [note(0, 0), note(1, 0), note(2, 2), note(3, 4), note(4, 5)]}, []),
        ({"notes": []}, [0, 1, 2]),
        ("I cannot do that.", [0, 1, 2]),
    ],
    ids=["missing", "twice", "another memo's line", "empty", "memos that are not there", "none", "no answer"],
)
def test_what_does_not_come_apart_is_left_to_be_written_alone(answer: Any, left: list[int]) -> None:
    drafts = write(Model(answer))
    assert [place for place, draft in enumerate(drafts) if draft is None] == left
    booked = sum(draft.usage[0].input_tokens for draft in drafts if draft)
    assert booked == (1_001 if len(left) < 3 else 0)


def test_a_shared_answer_is_paid_for_once() -> None:
    model, caller = Model(WHOLE), DirectCaller()
    first, second = write(model, caller=caller), write(model, caller=caller)
    assert len(model.asked) == 1
    assert [draft.body for draft in second if draft] == [draft.body for draft in first if draft]
    assert [draft.usage for draft in second if draft] == [(), (), ()]


def test_an_answer_that_is_on_nobodys_bill_is_divided_as_if_it_came_now() -> None:
    class Found(DirectCaller):
        def find(self, question: Question) -> KeptAnswer | None:
            return KeptAnswer(json.dumps(WHOLE), (Usage("p", "m", 1_001, 300, cached_tokens=7),))

    model = Model(WHOLE)
    assert write(Model(WHOLE), caller=Found()) == write(model)
    assert len(model.asked) == 1


def test_memos_that_say_nothing_or_too_much_share_no_call() -> None:
    model = Model(WHOLE)
    assert write(model, [memo(""), memo("Call Tom.")]) == [None, None]
    assert write(model, [memo("word " * 20_000), memo("Call Tom.")]) == [None, None]
    assert model.asked == []
