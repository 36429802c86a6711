"""The parts of the writer that needs no model: numbers, dates, sentences, corrections, tidying, mood."""

from __future__ import annotations

from datetime import date

import pytest

from diarynotes.diary.corrections import join_corrections
from diarynotes.diary.dates import find_date
from diarynotes.diary.figures import read_numbers
from diarynotes.diary.mood import MoodReader
from diarynotes.diary.sentences import split_sentences
from diarynotes.diary.tidy import tidy
from diarynotes.models import Segment, Sentence, Transcript

WEDNESDAY = date(2026, 6, 10)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("forty two thousand euros, not fifty", {"42000", "50"}),
        ("four four nine two", {"4", "9", "2", "4492"}),
        ("at that point five left", {"5"}),
        ("nine hundred and fifty a month", {"950"}),
        ("the twenty third of May twenty twenty six", {"23", "20", "26", "2026"}),
        ("42,000 people at 9:30", {"42000", "9", "30", "930"}),
        ("3 million, two dozen", {"3000000", "24"}),
        ("two point five million, 0,125 and 1,500.50", {"2500000", "1/8", "3001/2"}),
        ("seventy one point seventy five", {"287/4"}),
        ("two point oh five", {"41/20"}),
        ("two and a half, 2½, 2 1/2, 2.5", {"5/2"}),
        ("half a dozen, half a million", {"6", "500000"}),
        ("minus five", {"-5"}),
        ("version 1.2.3 of 21/06", {"1", "2", "3", "21", "6"}),
        ("m²", set()),
        ("the old one, no one", {"1"}),
        ("", set()),
    ],
)
def test_read_numbers(text: str, numbers: set[str]) -> None:
    found = read_numbers(text)
    assert found >= numbers
    assert bool(found) == bool(numbers)


def test_what_a_note_claims_is_read_more_narrowly() -> None:
    assert read_numbers("four four nine two", joined=False) == {"4", "9", "2"}
    assert read_numbers("the old one", joined=False) == frozenset()


def test_read_numbers_keeps_its_temper() -> None:
    assert read_numbers("9" * 6000) == {"9" * 6000}
    assert "10000" not in read_numbers("one hundred " * 3000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("water the roses tomorrow", date(2026, 6, 11)),
        ("the day after tomorrow", date(2026, 6, 12)),
        ("call her tonight", WEDNESDAY),
        ("on Monday", date(2026, 6, 15)),
        ("by Friday", date(2026, 6, 12)),
        ("on Wednesday", date(2026, 6, 17)),
        ("next Friday", date(2026, 6, 19)),
        ("Monday week", date(2026, 6, 22)),
        ("the thirtieth of June", date(2026, 6, 30)),
        ("June 30th", date(2026, 6, 30)),
        ("the third of May", date(2027, 5, 3)),
        ("the twenty-ninth of February", date(2028, 2, 29)),
        ("on the ninth", date(2026, 7, 9)),
        ("by the fifteenth", date(2026, 6, 15)),
        ("on the thirty first", date(2026, 7, 31)),
        ("before the end of the month", date(2026, 6, 30)),
        ("in two weeks", date(2026, 6, 24)),
        ("in a week", date(2026, 6, 17)),
        ("the form is due the 15th", date(2026, 6, 15)),
        ("by 3 July 2027", date(2027, 7, 3)),
        ("on 2026-06-21", date(2026, 6, 21)),
        ("on 21/06/2026", date(2026, 6, 21)),
        ("on 21.6.26", date(2026, 6, 21)),
        ("on 06/07/2026", None),  # or 7 June
        ("on 31/31/2026", None),
        ("on the second floor", None),
        ("last Monday", None),
        ("before eight", None),
        ("next week", None),
        ("soon", None),
    ],
)
def test_find_date(text: str, expected: date | None) -> None:
    assert find_date(text, WEDNESDAY) == expected


def test_find_date_at_the_end_of_time() -> None:
    assert find_date("tomorrow or in two weeks or on Monday", date.max) is None


def split(*texts: str) -> list[tuple[str, tuple[int, ...]]]:
    segments = tuple(Segment(n, n + 1, text) for n, text in enumerate(texts))
    transcript = Transcript("t", "r", "e", "m", "en", segments, 1.0)
    return [(sentence.text, sentence.evidence) for sentence in split_sentences(transcript)]


def test_segments_that_are_half_sentences_are_joined() -> None:
    assert split("I went to the", "market with Dr. Ode. It", "rained.") == [
        ("I went to the market with Dr. Ode.", (0, 1)),
        ("It rained.", (1, 2)),
    ]
    assert split("we planted the", "roses and", "two beans", "it was hot") == [
        ("we planted the roses and two beans", (0, 1, 2)),
        ("it was hot", (3,)),
    ]


def test_what_belongs_together_is_not_cut() -> None:
    for text in (
        "i think i know what he means",
        "the book i read on the train was good",
        "i'm glad we went there on saturday",
        "when i came home she was asleep on the sofa",
        "i don't know how we can do that",
    ):
        assert split(text) == [(text, (0,))]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (
            ("It is on Tuesday.", "No wait, not Tuesday, Wednesday at half past nine."),
            "It is on Wednesday at half past nine.",
        ),
        (("It is on Tuesday, no, Wednesday.",), "It is on Wednesday."),
        (("it is on tuesday no wait wednesday at nine",), "it is on wednesday at nine"),
        (
            ("The delivery comes on the fourteenth, no wait, the fifteenth of July.",),
            "The delivery comes on the fifteenth of July.",
        ),
        (("We invited twenty people.", "Sorry, twenty five people."), "We invited twenty five people."),
        (("Peter comes at six.", "Actually no, at seven."), "Peter comes at seven."),
        (("I met Carla at the gallery, I mean the museum.",), "I met Carla at the museum."),
        (("Patient in bed four, no, bed five, was discharged.",), "Patient in bed five was discharged."),
        (("I met Jonas, sorry, Jakob.",), "I met Jakob."),
    ],
)
def test_self_corrections_come_out_right(said: tuple[str, ...], meant: str) -> None:
    (sentence,) = join_corrections([Sentence(text, (number,)) for number, text in enumerate(said)])
    assert sentence == Sentence(meant, tuple(range(len(said))))


@pytest.mark.parametrize(
    "said",
    [
        ("We agreed on forty two thousand, not fifty.",),
        ("We were there on Sunday.", "Actually, Monday was better."),
        ("Is it far?", "No, it is near."),
        ("I had two cups.", "No sugar."),
        ("It costs five euros.", "I mean it is cheap."),
        ("I said wait for me.",),
    ],
)
def test_what_is_no_correction_stays(said: tuple[str, ...]) -> None:
    sentences = [Sentence(text, (number,)) for number, text in enumerate(said)]
    assert join_corrections(sentences) == sentences


def test_a_correction_nobody_can_place_stays_with_what_it_corrects() -> None:
    said = [Sentence("Buy wine.", (0,)), Sentence("Scratch that, Anna has some.", (1,))]
    assert join_corrections(said) == [Sentence("Buy wine. Scratch that, Anna has some.", (0, 1))]


@pytest.mark.parametrize(
    ("spoken", "written"),
    [
        ("um so yeah i was there", "I was there."),
        ("You know, about the flat.", "About the flat."),
        ("I mean it's like nine hundred and fifty a month", "It's like nine hundred and fifty a month."),
        ("And the the roses, um, that we had", "The roses that we had."),
        ("so tired today", "So tired today."),
        ("well done to her", "Well done to her."),
        ("right shoulder hurts", "Right shoulder hurts."),
        ("call four four nine four four nine", "Call four four nine four four nine."),
        ("why did he leave", "Why did he leave?"),
        ("It was that that I meant", "It was that that I meant."),
        ("um", ""),
        ("...", ""),
    ],
)
def test_tidy_changes_nothing_but_the_form(spoken: str, written: str) -> None:
    assert tidy(spoken) == written


def test_tidy_sets_capitals_only_where_the_engine_wrote_none() -> None:
    assert tidy("on monday anna said i may", names=("Anna",), cased=False) == "On Monday Anna said I may."
    assert tidy("i tak dalej", english=False) == "I tak dalej."


@pytest.mark.parametrize(
    ("texts", "label"),
    [
        (["I'm so happy.", "We laughed all evening."], "positive"),
        (["I'm angry, mostly at myself."], "negative"),
        (["I can't sleep.", "I can't keep doing this."], "negative"),
        (["I'm proud of him and a little bit heartbroken."], "mixed"),
        (["Okay, yeah, like I said, cancel the gym."], "neutral"),
        (["The supplier cannot start before September."], "neutral"),
        ([], "neutral"),
    ],
)
def test_mood(texts: list[str], label: str) -> None:
    mood = MoodReader().read(texts)
    assert mood.label == label
    assert -1 <= mood.score <= 1
