"""Grounding: what no moment of speech carries is dropped or flagged, and what was said stays."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diarynotes.diary.grounding import check_note, ground_draft
from diarynotes.models import DiaryNote, Draft, Finding, Mood, Segment, Sentence, Todo, Transcript

SEGMENTS = (
    "We agreed on a budget of forty two thousand euros, not fifty.",
    "I am not going to quit, but I will write to Marcus on Monday.",
    "It wasn't sad, not really.",
    "Pick up code four four nine two.",
)
SAID = Transcript("t", "r", "fake", "fake", "en", tuple(Segment(0, 1, text) for text in SEGMENTS), 1.0)


def draft(*body: Sentence, **parts: object) -> Draft:
    return Draft(**{"title": "Budget", "summary": "", "mood": Mood("neutral", 0.0), "body": body, **parts})  # type: ignore[arg-type]


def ground(draft: Draft) -> tuple[Draft, tuple[Finding, ...]]:
    grounded = ground_draft(draft, SAID)
    return grounded.draft, grounded.findings


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        ("We agreed on a budget of 42,000 euros.", (0,)),
        ("The budget we agreed on is forty two thousand euros, not fifty.", (0,)),
        ("I am not going to quit.", (1,)),
        ("I will write to Marcus on Monday.", (1,)),
        ("It wasn't really sad.", (2,)),
        ("The code is 4492.", (3,)),
        ("Pick up four four, nine two.", (3,)),
        ("It is what it is.", (2,)),
    ],
)
def test_what_was_said_stays_as_it_is(text: str, evidence: tuple[int, ...]) -> None:
    before = draft(Sentence(text, evidence))
    assert ground(before) == (before, ())


@pytest.mark.parametrize(
    ("sentence", "code"),
    [
        (Sentence("We agreed on a budget.", ()), "no_evidence"),
        (Sentence("We agreed on a budget.", (4, -1)), "no_evidence"),
        (Sentence("We agreed on a budget of 45,000 euros.", (0,)), "wrong_number"),
        (Sentence("We agreed on a budget of forty euros.", (0,)), "wrong_number"),
        (Sentence("The code is 4492.", (2,)), "wrong_number"),
        (Sentence("The weather was lovely in Spain.", (1,)), "not_said"),
    ],
)
def test_what_was_not_said_is_dropped(sentence: Sentence, code: str) -> None:
    grounded, findings = ground(draft(sentence))
    assert grounded.body == ()
    assert [finding.code for finding in findings] == [code]


@pytest.mark.parametrize(
    ("sentence", "code"),
    [
        (Sentence("I am going to quit.", (1,)), "negation"),
        (Sentence("It was sad, really.", (2,)), "negation"),
        (Sentence("I won't write to Marcus.", (1,)), "negation"),
        (Sentence("Marcus deserves a letter, a long angry one, on Monday; I write.", (1,)), "added"),
    ],
)
def test_what_is_in_doubt_is_flagged_and_stays(sentence: Sentence, code: str) -> None:
    grounded, findings = ground(draft(sentence))
    assert grounded.body == (sentence,)
    assert [finding.code for finding in findings] == [code]


def test_evidence_that_does_not_exist_is_taken_away() -> None:
    grounded, _ = ground(draft(Sentence("It wasn't sad.", (2, 99, 2))))
    assert grounded.body[0].evidence == (2,)


def test_names_todos_and_questions_nobody_said_are_dropped() -> None:
    parts = {
        "people": ("Marcus", "Elena"),
        "places": ("Spain",),
        "todos": (Todo("Write to Marcus on Monday"), Todo("Pick up code 4493")),
        "questions": ("What about the yacht?",),
    }
    grounded, findings = ground(draft(**parts))
    assert grounded.people == ("Marcus",)
    assert grounded.places == ()
    assert grounded.todos == (Todo("Write to Marcus on Monday"),)
    assert grounded.questions == ()
    assert [finding.where for finding in findings] == ["people", "places", "todos", "questions"]


def test_a_number_in_the_title_that_nobody_said_is_flagged() -> None:
    _, findings = ground(draft(title="50,000 euros", summary="42,000 euros"))
    assert [(finding.code, finding.where) for finding in findings] == [("wrong_number", "title")]


def test_a_sentence_of_the_summary_that_nobody_said_is_dropped() -> None:
    true = SEGMENTS[0]
    kept, findings = ground(draft(summary=f"{true} Afterwards we celebrated with champagne. Fine."))
    assert kept.summary == f"{true} Fine."
    assert [(finding.code, finding.where) for finding in findings] == [("not_said", "summary")]
    assert ground(draft(summary="昨日は東京でシャンパンを飲んだ。"))[0].summary == ""


def test_findings_hold_no_diary_text() -> None:
    _, findings = ground(draft(Sentence("Secret weather in Spain.", (1,)), people=("Elena",)))
    assert len(findings) == 2
    assert not any(word in finding.message for finding in findings for word in ("Secret", "Spain", "Elena", "quit"))


def test_names_beside_a_name_that_was_said_are_dropped() -> None:
    parts = {"people": ("Marcus Weber",), "todos": (Todo("Write to Bettina on Monday"),)}
    grounded, findings = ground(draft(**parts))
    assert (grounded.people, grounded.todos) == ((), ())
    assert [finding.code for finding in findings] == ["not_said", "not_said"]


def test_a_date_that_no_words_carry_is_taken_from_its_todo() -> None:
    todos = (Todo("Write to Marcus", date(2026, 6, 15)), Todo("Ask Marcus", date(2026, 6, 16)), Todo("Quit"))
    grounded = ground_draft(draft(todos=todos), SAID, day=date(2026, 6, 10))
    assert [todo.due for todo in grounded.draft.todos] == [date(2026, 6, 15), None, None]
    assert [(finding.code, finding.where) for finding in grounded.findings] == [("wrong_date", "todos")]
    assert ground_draft(draft(todos=todos), SAID).draft.todos == todos  # nothing tells without the memo's day


def test_the_share_counts_the_sentences_that_stand_with_no_finding() -> None:
    stands, flagged = Sentence("The pick up code is 4492.", (3,)), Sentence("It was sad.", (2,))
    dropped = Sentence("The pick up code is 4493.", (3,))
    grounded = ground_draft(draft(stands, flagged, dropped, stands), SAID)
    assert grounded.share == 0.5
    assert grounded.draft.body == (stands, flagged, stands)
    assert ground_draft(draft(stands), SAID).share == 1.0
    assert ground_draft(draft(), SAID).share is None


def test_the_same_draft_gives_the_same_answer() -> None:
    before = draft(Sentence("I won't write to Marcus at 9:30.", (1,)), title="50,000 euros", people=("Elena",))
    assert ground_draft(before, SAID) == ground_draft(before, SAID)


def test_a_note_is_told_to_be_empty_or_a_selection() -> None:
    def codes(*body: Sentence) -> list[str]:
        note = DiaryNote("n", "t", "r", date(2026, 6, 10), draft(*body), "w", "m", "1", degraded=False)
        return [finding.code for finding in check_note(note, SAID)]

    assert codes() == ["empty_note"]
    assert codes(Sentence("a", (0,))) == ["selection"]
    assert codes(Sentence("a", (0, 1)), Sentence("b", (2, 3))) == []


ODD = st.text(max_size=40) | st.text(
    st.sampled_from("0159٣²½Ⅷ－−-.,:/ '’\"«»\u200d\n\u00a0ıİßǆ山田さんのกำ가民ñé") | st.characters(), max_size=40
)
SPOKEN = st.lists(
    ODD
    | st.sampled_from(
        "dıez point half minus and a a million 5 2.5 9:30 halb zehn viertel vor tausend et demie h y media las neuf "
        "am achten morgen le 31 june of next week no not 21/06/2026".split()
    ),
    max_size=8,
).map(" ".join)
LANGUAGES = st.sampled_from(["en", "de", "fr", "es", "zh", "ja", "it", "", "EN-gb", "ı"])


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.lists(st.tuples(SPOKEN, LANGUAGES), max_size=4), LANGUAGES, SPOKEN, st.dates(), st.dates() | st.none())
def test_no_text_makes_it_raise(
    said: list[tuple[str, str]], language: str, text: str, due: date, day: date | None
) -> None:
    segments = tuple(Segment(0.0, 1.0, spoken, language=own) for spoken, own in said)
    told = [text, *(spoken for spoken, _ in said)]
    body = tuple(Sentence(sentence, tuple(range(len(said)))) for sentence in told)
    names, todos = tuple(told), tuple(Todo(item, due) for item in told)
    whole = draft(
        *body, title=text, summary=text, people=names, places=names, topics=names, todos=todos, questions=names
    )
    grounded = ground_draft(whole, Transcript("t", "r", "fake", "fake", language, segments, 1.0), day=day)
    assert len(grounded.draft.body) <= len(body)
