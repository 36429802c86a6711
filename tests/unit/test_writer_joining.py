"""Drafts of parts joined into one."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from diarynotes.diary.joining import join_drafts
from diarynotes.models import Draft, Mood, Sentence, Todo

ONE = Draft(
    "One", "First.", Mood("positive", 0.8), (Sentence("A.", (0,)), Sentence("B.", (1,))), ("Anna",), (), ("rain",)
)
TWO = Draft(
    "Two", "Then.", Mood("negative", -0.4), (Sentence("C.", (2,)),), ("anna", "Bo"), ("Gdansk",), ("sun", "rain")
)


def test_one_draft_stays_as_it_is() -> None:
    assert join_drafts([ONE]) is ONE


def test_texts_stay_whole_and_in_order() -> None:
    joined = join_drafts([ONE, TWO])
    assert joined.body == ONE.body + TWO.body
    assert joined.summary == "First. Then."
    assert joined.title == "One"
    assert (joined.people, joined.places) == (("Anna", "Bo"), ("Gdansk",))
    assert joined.topics == ("rain", "sun")


def test_todos_are_told_once_and_keep_a_date() -> None:
    due = Todo("Call Anna", date(2026, 11, 22))
    later = Todo("Call Anna", date(2026, 11, 25))
    parts = [replace(ONE, todos=(due, Todo("Call"))), replace(TWO, todos=(Todo("call anna"), Todo("call"), later))]
    assert join_drafts(parts).todos == (due, Todo("Call"), later)


def test_the_mood_is_the_mean_by_sentences() -> None:
    assert join_drafts([ONE, TWO]).mood == Mood("mixed", 0.4)
    neutral = replace(ONE, mood=Mood("neutral", 0.0))
    assert join_drafts([neutral, neutral]).mood == Mood("neutral", 0.0)
    assert join_drafts([ONE, neutral]).mood == Mood("positive", 0.4)
    assert join_drafts([replace(ONE, mood=Mood("negative", -0.5)), neutral]).mood.label == "negative"
