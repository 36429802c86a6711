"""A note as a text to edit, and what is read back: every part, every fault with its line, evidence that stays."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date

import pytest

from diarynotes.diary.edited import edit_note, find_evidence, note_as_text
from diarynotes.errors import BadSettings
from diarynotes.models import PERSON, DiaryNote, Draft, Mood, Sentence, Todo, Usage

DRAFT = Draft(
    "Tomatoes",
    "A day in the garden.",
    Mood("positive", 0.45),
    (
        Sentence("I planted twelve tomatoes with Anna.", (0, 1)),
        Sentence("The old hose leaks, so I need a new one.", (2,)),
        Sentence("We are going to Potsdam on Sunday.", (4,)),
    ),
    people=("Anna",),
    places=("Potsdam", "the garden"),
    topics=("tomatoes",),
    todos=(Todo("Buy a hose", date(2026, 11, 22)), Todo("Rest")),
    questions=("Who waters them?",),
    usage=(Usage("openai", "m", 10, 5),),
)
NOTE = DiaryNote("n", "t", "r", date(2026, 11, 21), DRAFT, "openai", "m", "v", True, grounded_share=0.9)
TEXT = note_as_text(NOTE, "The note of a day.")


def edit(*changes: tuple[str, str], note: DiaryNote = NOTE) -> DiaryNote:
    text = note_as_text(note, "")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    edited = edit_note(note, text)
    assert edited is not None
    return edited


def bodies(note: DiaryNote) -> list[tuple[str, tuple[int, ...]]]:
    return [(sentence.text, sentence.evidence) for sentence in note.draft.body]


def test_the_text_shows_every_part_under_its_name() -> None:
    lines = TEXT.splitlines()
    assert lines[0] == "# The note of a day."
    parts = [line for line in lines if line.startswith("[")]
    assert " ".join(parts) == "[title] [summary] [mood] [body] [todos] [people] [places] [topics] [questions]"
    assert "positive 0.45" in lines
    assert "- [ ] Buy a hose (due 2026-11-22)" in lines
    assert "- the garden" in lines


@pytest.mark.parametrize("text", [TEXT, "", "\n \n# nothing\n", TEXT.replace("\n", "\r\n"), f"\ufeff{TEXT}\n\n"])
def test_what_changes_nothing_is_no_version(text: str) -> None:
    assert edit_note(NOTE, text) is None


def test_an_edit_is_a_persons_note_of_the_same_recording() -> None:
    edited = edit(("Tomatoes", "Twelve tomatoes"))
    assert edited == replace(
        NOTE,
        id=edited.id,
        draft=replace(DRAFT, title="Twelve tomatoes", usage=()),
        writer=PERSON,
        model="",
        prompt_version=edited.prompt_version,
        degraded=False,
        grounded_share=None,
    )


def test_every_edit_has_an_id_of_its_own_even_one_that_goes_back() -> None:
    first = edit(("Tomatoes", "Roses"))
    back = edit(("Roses", "Tomatoes"), note=first)
    again = edit(("Tomatoes", "Roses"), note=back)
    assert len({NOTE.id, first.id, back.id, again.id}) == 4
    assert first.id == edit(("Tomatoes", "Roses")).id


def test_every_part_can_be_changed() -> None:
    edited = edit(
        ("A day in the garden.", "A day\nwithout rain."),
        ("positive 0.45", "Mixed -0,2"),
        ("- [ ] Buy a hose (due 2026-11-22)", "* Buy a hose (due 2026-12-01)\n[x] Sleep\n- Call Ben"),
        ("- Anna", "Anna\n- Ben\nAnna"),
        ("- Potsdam", ""),
        ("[topics]\n- tomatoes\n", ""),
    )
    draft = edited.draft
    assert draft.summary == "A day without rain."
    assert draft.mood == Mood("mixed", -0.2)
    assert draft.todos == (Todo("Buy a hose", date(2026, 12, 1)), Todo("Call Ben"), Todo("Rest"))
    assert (draft.people, draft.places, draft.topics) == (("Anna", "Ben"), ("the garden",), ())


@pytest.mark.parametrize(
    ("said", "mood"),
    [("positive", Mood("positive", 0.45)), ("negative", Mood("negative", -0.5)), ("neutral", Mood("neutral", 0.0))],
)
def test_a_mood_without_a_number_has_the_one_it_had_or_its_usual_one(said: str, mood: Mood) -> None:
    assert edit(("positive 0.45", said), ("Tomatoes", "Roses")).draft.mood == mood


# -- where it was said ------------------------------------------------------------------------------------------------


def test_sentences_keep_what_carries_them_where_they_are_still_the_same() -> None:
    edited = edit(
        ("I planted twelve tomatoes with Anna.", "I planted twenty tomatoes with Anna and Ben."),
        ("We are going to Potsdam on Sunday.", "It rained all night.\nWe are going to Potsdam on Sunday."),
    )
    assert bodies(edited) == [
        ("I planted twenty tomatoes with Anna and Ben.", (0, 1)),
        ("The old hose leaks, so I need a new one.", (2,)),
        ("It rained all night.", ()),
        ("We are going to Potsdam on Sunday.", (4,)),
    ]


def test_a_paragraph_of_two_sentences_has_what_carries_both_and_halves_have_what_carries_the_whole() -> None:
    joined = "I planted twelve tomatoes with Anna. We are going to Potsdam on Sunday."
    found = find_evidence([joined, "The old hose leaks.", "So I need a new one."], DRAFT.body)
    assert [sentence.evidence for sentence in found] == [(0, 1, 4), (2,), (2,)]


def test_a_sentence_that_shares_only_small_words_is_a_new_one() -> None:
    known = (Sentence("I was tired.", (7,)), Sentence("Anna was late.", (8,)))
    assert [each.evidence for each in find_evidence(["I was happy.", "Anna was late!"], known)] == [(), (8,)]


def test_five_thousand_sentences_are_matched_in_a_moment() -> None:
    chance = random.Random(7)
    words = [f"word{number}" for number in range(3_000)]
    known = tuple(Sentence(" ".join(chance.choices(words, k=12)), (number,)) for number in range(5_000))
    texts = [each.text for each in known]
    texts[17] = texts[17].rpartition(" ")[0]
    assert [each.evidence for each in find_evidence(texts, known)] == [each.evidence for each in known]


# -- what looks like something else -----------------------------------------------------------------------------------

ODD = Draft(
    "[body]",
    "# of things",
    Mood("neutral", 0.0),
    tuple(
        Sentence(text, (number,))
        for number, text in enumerate(
            ["#1 on the list.", "# a mark", "[title]", "\\ a stroke", "- a dash", "(due never)"]
        )
    ),
    people=("- Dash", "# Hash"),
    todos=(
        Todo("Pay (due Friday)"),
        Todo("Pay (due 2026-01-01)"),
        Todo("[x] it", date(2026, 1, 2)),
        Todo("two\nlines"),
    ),
    questions=("Line\u2028two?",),
)


def test_text_that_looks_like_a_mark_comes_back_as_it_was() -> None:
    odd = replace(NOTE, draft=ODD)
    assert edit_note(odd, note_as_text(odd, "")) is None
    edited = edit(("neutral 0", "neutral 0.1"), note=odd)
    flat = replace(ODD, mood=Mood("neutral", 0.1), questions=("Line two?",))
    assert edited.draft == replace(flat, todos=(*ODD.todos[:3], Todo("two lines")))


# -- what cannot be read ----------------------------------------------------------------------------------------------

SECRET = "Zaphod"


@pytest.mark.parametrize(
    ("old", "new", "where", "said"),
    [
        ("[title]", SECRET, "line 6", "before the first part"),
        ("[people]", f"[{SECRET}]", "line 28", "no part of a note"),
        ("Tomatoes", f"Tomatoes\n{SECRET}", "line 9", "one line"),
        ("Tomatoes", SECRET * 21, "line 8", "126"),
        ("Tomatoes", "", "[title]", "needs one"),
        ("positive 0.45", SECRET, "line 15", "one of positive"),
        ("positive 0.45", "positive 1.5", "line 15", "between -1"),
        ("positive 0.45", "positive nan", "line 15", "between -1"),
        ("positive 0.45", f"positive {SECRET}", "line 15", "between -1"),
        ("(due 2026-11-22)", f"(due {SECRET})", "line 25", "(due 2026-11-22)"),
        ("(due 2026-11-22)", "(due 2026-11-31)", "line 25", "(due 2026-11-22)"),
    ],
)
def test_what_cannot_be_read_is_told_by_its_line_and_not_quoted(old: str, new: str, where: str, said: str) -> None:
    assert TEXT.count(old) >= 1
    text = TEXT.replace("- [ ] Water the roses (due 2026-11-22)", "").replace(old, new)
    with pytest.raises(BadSettings) as raised:
        edit_note(NOTE, text)
    assert raised.value.setting == where
    assert said in raised.value.why
    assert SECRET not in str(raised.value)


def test_a_note_without_words_can_be_given_some() -> None:
    bare = replace(NOTE, draft=replace(DRAFT, title="", body=()))
    text = note_as_text(bare, "").replace("[body]", "[body]\nIt was quiet.").replace("[title]", "[title]\nQuiet")
    edited = edit_note(bare, text)
    assert edited is not None
    assert bodies(edited) == [("It was quiet.", ())]
