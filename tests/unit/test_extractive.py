"""The writer that needs no model, on made-up memos of many kinds: what the note must hold, and what it must not."""

from __future__ import annotations

import random
import time
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diarynotes.diary import write_note
from diarynotes.diary.extractive import Backend, drop_repeats
from diarynotes.diary.figures import read_numbers
from diarynotes.models import DiaryNote, Draft, Segment, Sentence, Transcript

DAY = date(2026, 6, 10)  # a Wednesday
WRITER = Backend()


def transcript(*texts: str, language: str = "en") -> Transcript:
    segments = tuple(Segment(5.0 * number, 5.0 * number + 5.0, text) for number, text in enumerate(texts))
    return Transcript("t", "r", "fake", "fake", language, segments, trust=1.0)


def write(*texts: str, language: str = "en") -> Draft:
    return WRITER.write(transcript(*texts, language=language), day=DAY)


def prose(draft: Draft) -> str:
    return " ".join(sentence.text for sentence in draft.body)


def todos(draft: Draft) -> dict[str, date | None]:
    return {todo.text: todo.due for todo in draft.todos}


def test_a_day_of_travel() -> None:
    draft = write(
        "Day three in Porto.",
        "We took the 28 tram up to the cathedral and walked all the way down to the river.",
        "We met an old couple from Canada, Margaret and Bill, who have been married for fifty-one years.",
        "Tomorrow we're taking the 9:15 train to Coimbra.",
        "I still have to book the hotel for Sunday night.",
    )
    assert draft.title == "Day three in Porto"
    assert {"Margaret", "Bill"} <= set(draft.people)
    assert {"Porto", "Canada", "Coimbra", "cathedral", "river"} <= set(draft.places)
    assert todos(draft) == {
        "We're taking the 9:15 train to Coimbra": date(2026, 6, 11),
        "Book the hotel for Sunday night": date(2026, 6, 14),
    }


def test_lower_case_speech_without_punctuation() -> None:
    draft = write(
        "um okay so day two in lisbon and my feet are killing me",
        "we walked something like twenty kilometres with mark and julia",
        "julia lost her phone on the tram and i mean she cried and then a man ran after us and gave it back",
        "can you believe that",
        "we need to check out by noon and i have to call the airline about the bag",
    )
    assert draft.body[0] == Sentence("Day two in Lisbon and my feet are killing me.", (0,))
    assert draft.people == ("Mark", "Julia")
    assert draft.questions == ("Can you believe that?",)
    assert list(todos(draft)) == ["Check out by noon", "Call the airline about the bag"]
    assert "um" not in prose(draft).lower().split()


def test_one_run_of_words_is_cut_into_sentences() -> None:
    draft = write(
        "okay so it's saturday evening i spent most of the day in the garden with anna we planted twelve tomato "
        "seedlings and i felt really calm for the first time in weeks tomorrow i have to water everything before eight"
    )
    texts = [sentence.text for sentence in draft.body]
    assert texts[:2] == ["It's Saturday evening.", "I spent most of the day in the garden with Anna."]
    assert texts[-1] == "Tomorrow I have to water everything before eight."
    assert todos(draft) == {"Water everything before eight": date(2026, 6, 11)}
    assert draft.title == "In the garden with Anna"


def test_a_shopping_list_becomes_todos() -> None:
    draft = write(
        "shopping list",
        "two litres of milk",
        "twelve eggs",
        "don't forget the birthday candles for nina",
        "and call mum about saturday",
    )
    assert todos(draft) == {
        "Two litres of milk": None,
        "Twelve eggs": None,
        "The birthday candles for Nina": None,
        "Call Mum about Saturday": date(2026, 6, 13),
    }
    assert draft.title == "Shopping list"
    assert draft.mood.label == "neutral"
    assert draft.people == ("Nina", "Mum")


def test_a_funeral_is_no_good_day() -> None:
    draft = write(
        "The funeral was this morning.",
        "Uncle Henry spoke, and he got her voice right, you know, the way she said my name.",
        "Dad didn't cry. I don't think he can.",
        "I'm so tired. I miss her already.",
        "On Thursday we have to clear out the apartment.",
    )
    assert draft.mood.label == "negative"
    assert draft.people == ("Uncle Henry", "Dad")
    assert "Dad didn't cry." in prose(draft)
    assert "you know" not in prose(draft)
    assert todos(draft) == {"Clear out the apartment": date(2026, 6, 11)}


def test_a_meeting_names_no_todos_of_others() -> None:
    draft = write(
        "Okay, quick recap of the stand-up. Deploy slipped to Thursday because the migration failed twice.",
        "Tomasz is out until the 3rd of July.",
        "I promised Ingrid I'd send her the cost estimate, it's about 12,500 a month, not 15,000.",
        "Fatima will fix the index.",
        "Should we move the retro to next week?",
        "And we will not hire anyone this quarter.",
    )
    assert list(todos(draft)) == ["Send her the cost estimate"]
    assert draft.questions == ("Should we move the retro to next week?",)
    assert "12,500 a month, not 15,000" in prose(draft)
    assert draft.title == "Quick recap of the stand-up"


def test_happiness() -> None:
    draft = write(
        "She said yes!",
        "I asked Leila on the bridge at seven, no, sorry, at eight, after the rain stopped.",
        "We called her parents in Isfahan and her mother cried and her father just laughed and laughed.",
        "I'm the luckiest man in the world.",
        "I have to tell Grandpa tomorrow, in person, not on the phone.",
    )
    assert draft.mood.label == "positive"
    assert draft.mood.score > 0
    assert "at eight" in prose(draft)
    assert "seven" not in prose(draft)
    assert {"Leila", "Grandpa"} <= set(draft.people)
    assert "Isfahan" in draft.places
    assert todos(draft) == {"Tell Grandpa tomorrow, in person, not on the phone": date(2026, 6, 11)}


def test_worry_keeps_what_could_not_be_decided_in_one_piece() -> None:
    plan = "Call the clinic, ask for the earlier slot, no, don't ask for it, just ask if it's confirmed."
    draft = write("I can't sleep. It's ten past three.", "I keep thinking about the scan on Friday.", plan)
    assert draft.mood.label == "negative"
    assert list(todos(draft)) == [plan.rstrip(".")]


def test_a_move_with_a_date_in_the_month() -> None:
    draft = write(
        "also we got the keys we got the keys to the house",
        "ravi carried me over the doorstep",
        "we need to buy a ladder and two buckets of white paint and we have to be out of the old flat by the fifteenth",
    )
    assert draft.title == "The keys to the house"
    assert prose(draft).count("keys") == 1
    assert todos(draft) == {
        "Buy a ladder and two buckets of white paint": None,
        "Be out of the old flat by the fifteenth": date(2026, 6, 15),
    }


def test_what_depends_on_something_keeps_its_condition() -> None:
    draft = write("The interview went better than I thought.", "If I get it I will have to move to Leeds.")
    assert list(todos(draft)) == ["If I get it, move to Leeds"]


@pytest.mark.parametrize(
    "refused",
    [
        "I am not going to quit.",
        "I won't call him again.",
        "I don't have to go to Leeds.",
        "I had to wait for two hours.",
        "I should have said something.",
        "I must have been nine.",
        "I have to say it was lovely.",
        "I'll never forget that.",
        "If I have to, fine.",
        "Work was hard.",
        "Call with the team went well.",
        "Elif sends the contract tonight.",
        "We'll see.",
    ],
)
def test_what_was_done_refused_or_only_said_is_no_todo(refused: str) -> None:
    assert write("It was a day.", refused).todos == ()


def test_names_that_are_words_count_as_names_only_where_something_says_so() -> None:
    assert write("i will mark the date", "the rose is white", "may is a month of hope").people == ()
    assert write("I had lunch with Rose and Mark.").people == ("Rose", "Mark")


def test_weekdays_and_months_are_neither_people_nor_places() -> None:
    draft = write("On Monday I met April at the office in Berlin in March.", "I saw June in Paris on Friday.")
    assert not {"Monday", "Friday", "March"} & {*draft.people, *draft.places}
    assert {"Berlin", "Paris"} <= set(draft.places)


def test_another_language_is_left_as_it_is() -> None:
    texts = ("Heute war ich mit Jonas am See.", "Morgen muss ich um acht beim Zahnarzt sein.")
    for language in ("de", "en", ""):  # the language a file claims may be wrong
        draft = write(*texts, language=language)
        assert [sentence.text for sentence in draft.body] == list(texts)
        assert draft.mood.label == "neutral"


@pytest.mark.parametrize("texts", [(), ("",), ("...", "?!"), ("🎉🎉",), ("um",), ("uh, um, you know",)])
def test_nothing_said_still_gives_a_note(texts: tuple[str, ...]) -> None:
    note = write_note(transcript(*texts), day=DAY, writers=(WRITER,))
    assert note.draft.body == ()
    assert note.draft.title
    assert [finding.code for finding in note.findings] == ["empty_note"]


def test_a_long_ramble_becomes_a_selection_over_all_of_it() -> None:
    shuffled = random.Random(7)
    words = "garden bicycle letter river kitchen concert window mountain bread piano harbour lamp".split()
    texts = [f"I saw the {shuffled.choice(words)} near the {shuffled.choice(words)} {n} times." for n in range(600)]
    note = write_note(transcript(*texts), day=DAY, writers=(WRITER,))
    evidence = [number for sentence in note.draft.body for number in sentence.evidence]
    assert len(note.draft.body) == 60
    assert evidence == sorted(evidence)
    assert all(any(start <= number < start + 60 for number in evidence) for start in range(0, 600, 60))
    assert "540 of 600" in next(finding.message for finding in note.findings if finding.code == "selection")


def test_time_grows_with_the_length_and_no_faster() -> None:
    texts = [
        "I spent the day with Anna in the garden.",
        "i have to call tom tomorrow and buy bread",
        "No wait, Friday.",
    ]

    def seconds(count: int) -> float:
        start = time.process_time()
        WRITER.write(transcript(*(f"{texts[n % 3]} {n}" for n in range(count))), day=DAY)
        return time.process_time() - start

    seconds(50)
    # The least of three: whoever shares the machine makes some of them slower.
    short, long = (min(seconds(count) for _ in range(3)) for count in (200, 3200))
    assert long < 16 * 5 * max(short, 0.005), "it would take 256 times as long if it grew with the square"


def test_the_same_transcript_gives_the_same_note() -> None:
    def note() -> DiaryNote:
        return write_note(transcript("I met Ana and Bo in Rome.", "Buy milk."), day=DAY, writers=(Backend(),))

    assert note() == note()


def test_repetitions_are_said_once_with_the_evidence_of_both() -> None:
    said = [
        Sentence("I keep going back.", (0,)),
        Sentence("It rains.", (1,)),
        Sentence("I keep going back, honestly.", (2,)),
    ]
    assert drop_repeats(said) == [Sentence("I keep going back.", (0, 2)), said[1]]


_SPEECH = st.lists(
    st.one_of(
        st.text(max_size=80),
        st.lists(
            st.sampled_from(
                "no wait i have to tomorrow um the and , . ? monday not 9 nine hundred tom 's don't I Anna".split()
            ),
            max_size=25,
        ).map(" ".join),
    ),
    max_size=8,
)


@settings(max_examples=150)
@given(_SPEECH, st.sampled_from(["en", "", "de", "zh"]))
def test_it_never_fails_and_points_only_at_what_exists(texts: list[str], language: str) -> None:
    note = write_note(transcript(*texts, language=language), day=date.max, writers=(WRITER,))
    assert note.draft.title
    assert all(0 <= number < len(texts) for sentence in note.draft.body for number in sentence.evidence)
    dropped = ("no_evidence", "wrong_number", "not_said")
    assert not [it for it in note.findings if it.code in dropped and it.where.startswith("body ")]


def test_a_title_does_not_end_within_a_number() -> None:
    draft = write("I sold the boat to Leo for two hundred and forty pounds on the pier.")
    assert not draft.title.endswith("two")
    assert read_numbers(draft.title, joined=False) <= {"240"}
