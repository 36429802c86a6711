"""The chain: who is asked in which order, who sees what, and what is told of those who failed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest

from diarynotes.diary import router
from diarynotes.diary.caller import Caller, DirectCaller
from diarynotes.diary.remedies import failure
from diarynotes.diary.router import Answer, Private, ask_in_turn, ask_writers
from diarynotes.errors import BadSettings, StorageFailed, WriterFailed, WriterFailure
from diarynotes.models import Draft, Mood, Segment, Sentence, Transcript, Usage

DAY = date(2026, 11, 21)
SAID = "Zaphod rang from 0171 2345678."
SPOKEN = Transcript("t", "r", "file", "", "en", (Segment(0.0, 1.0, SAID),), 1.0)
PRIVATE = Private(names=("Zaphod",), region="DE")
USED = Usage("cloud", "large", 100, 50)


class Copyist:
    """A writer that copies what it is shown, or fails; it remembers what it saw and through whom it was to call."""

    prompt_version, degraded = "1", False

    def __init__(self, name: str, *, local: bool = False, fails: WriterFailure | None = None) -> None:
        self.name, self.model, self.local, self.fails = name, "large", local, fails
        self.seen: list[str] = []
        self.callers: list[Caller | None] = []

    def close(self) -> None:
        """Nothing to give back."""

    def write(self, transcript: Transcript, *, day: date, caller: Caller | None = None) -> Draft:
        self.seen.append(transcript.text)
        self.callers.append(caller)
        if self.fails:
            raise failure(self.name, self.fails, usage=(USED,))
        body = tuple(Sentence(segment.text, (place,)) for place, segment in enumerate(transcript.segments))
        return Draft("T", "S", Mood("neutral", 0.0), body, usage=(USED,))


class Switchboard:
    """Stands in for an exchange and notes who was connected."""

    def __init__(self) -> None:
        self.connected: list[tuple[str, bool, dict[str, int]]] = []

    def connect(self, writer: str, *, local: bool, masked: Mapping[str, int]) -> Caller:
        self.connected.append((writer, local, dict(masked)))
        return DirectCaller()


def ask(*writers: Copyist, exchange: Any = None) -> Any:
    return ask_writers(writers, SPOKEN, day=DAY, private=PRIVATE, exchange=exchange)


def test_the_first_that_answers_writes_and_no_other_is_asked() -> None:
    first, second = Copyist("first"), Copyist("second")
    answer = ask(first, second)
    assert (answer.writer, answer.degraded, answer.findings, second.seen) == (first, False, (), [])


def test_those_before_are_told_and_paid_for() -> None:
    answer = ask(Copyist("a", fails="timeout"), Copyist("b", fails="over_budget"), Copyist("c"))
    assert (answer.writer.name, answer.degraded) == ("c", True)
    assert [(finding.code, finding.where) for finding in answer.findings] == [
        ("writer_failed", "writer a"),
        ("writer_failed", "writer b"),
    ]
    assert "did not answer in time" in answer.findings[0].message
    assert "does not fit the budget" in answer.findings[1].message
    assert answer.draft.usage == (USED,) * 3
    assert "Zaphod" not in str(answer.findings)


def test_where_all_fail_the_last_failure_is_raised() -> None:
    with pytest.raises(WriterFailed) as caught:
        ask(Copyist("a", fails="auth"), Copyist("b", fails="refusal"))
    assert (caught.value.writer, caught.value.kind) == ("b", "refusal")


class Broken(Copyist):
    """A writer around which something breaks that nobody foresaw."""

    def write(self, transcript: Transcript, *, day: date, caller: Caller | None = None) -> Draft:
        raise KeyError(SAID)


def test_what_nobody_foresaw_is_a_failure_of_the_writer_and_tells_its_type_alone() -> None:
    answer = ask(Broken("broken"), Copyist("next"))
    assert (answer.writer.name, answer.degraded) == ("next", True)
    assert "KeyError" in answer.findings[0].message
    assert "Zaphod" not in answer.findings[0].message
    with pytest.raises(WriterFailed) as caught:
        ask(Broken("broken"))
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_an_answer_of_which_no_note_can_be_made_is_paid_for_and_the_next_one_is_asked() -> None:
    def finish(answer: Answer) -> Answer:
        if answer.writer.name == "odd":
            raise RecursionError
        return answer

    writers = (Copyist("odd"), Copyist("next"))
    answer = ask_in_turn(writers, SPOKEN, day=DAY, private=PRIVATE, finish=finish)
    assert (answer.writer.name, answer.draft.usage) == ("next", (USED, USED))


def test_a_mask_that_breaks_leaves_the_writers_that_need_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError(SAID)

    monkeypatch.setattr(router, "mask_transcript", broken)
    cloud, own = Copyist("cloud"), Copyist("own", local=True)
    assert ask(cloud, own).writer is own
    assert cloud.seen == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), BadSettings("x", "y"), StorageFailed("x", "y")])
def test_what_stops_everything_is_no_failure_of_a_writer(stop: BaseException) -> None:
    def finish(_: Answer) -> Answer:
        raise stop

    with pytest.raises(type(stop)):
        ask_in_turn([Copyist("a"), Copyist("b")], SPOKEN, day=DAY, private=PRIVATE, finish=finish)


def test_an_empty_chain_is_a_mistake_of_the_settings() -> None:
    with pytest.raises(BadSettings, match="at least one"):
        ask()


def test_clouds_see_the_same_placeholders_and_ones_own_machine_the_words() -> None:
    clouds = [Copyist("a", fails="overload"), Copyist("b", fails="overload")]
    own = Copyist("own", local=True)
    answer = ask(*clouds, own)
    assert clouds[0].seen == clouds[1].seen
    assert "Zaphod" not in clouds[0].seen[0]
    assert "2345678" not in clouds[0].seen[0]
    assert own.seen == [SAID]
    assert dict(answer.masked) == {}


def test_what_a_cloud_wrote_comes_back_in_the_speakers_words() -> None:
    answer = ask(Copyist("own", local=True, fails="timeout"), Copyist("cloud"))
    assert [part.text for part in answer.draft.body] == [SAID]
    assert dict(answer.masked) == {"PERSON": 1, "PHONE": 1}


def test_each_is_connected_as_what_it_is_and_sees_its_own_line() -> None:
    board, cloud, own = Switchboard(), Copyist("cloud", fails="overload"), Copyist("own", local=True)
    ask(cloud, own, exchange=board)
    assert board.connected == [
        ("cloud", False, {"PERSON": 1, "PHONE": 1}),
        ("own", True, {}),
    ]
    assert all(isinstance(caller, DirectCaller) for caller in (*cloud.callers, *own.callers))


def test_without_an_exchange_writers_call_as_they_like() -> None:
    writer = Copyist("cloud")
    ask(writer)
    assert writer.callers == [None]
