"""Due dates: those that some words carry stay, invented ones are taken away."""

from __future__ import annotations

from datetime import date

import pytest

from diarynotes.diary.grounding import ground_draft
from diarynotes.diary.grounding.due import judge_due
from diarynotes.diary.grounding.memo import Memo
from diarynotes.models import Draft, Mood, Segment, Todo, Transcript

DAY = date(2026, 6, 10)
"""A Wednesday."""


def transcript(said: str, language: str = "en") -> Transcript:
    return Transcript("t", "r", "fake", "fake", language, (Segment(0.0, 1.0, said),), 1.0)


@pytest.mark.parametrize(
    ("said", "due"),
    [
        ("Send the form by the 15th.", date(2026, 6, 15)),
        ("Send the form by the 3rd of July.", date(2026, 7, 3)),
        ("Send the form by 3 July 2027.", date(2027, 7, 3)),
        ("Send the form by 2026-06-21.", date(2026, 6, 21)),
        ("Send the form by 21/06/2026.", date(2026, 6, 21)),
        ("Send the form by 06/07/2026.", date(2026, 7, 6)),
        ("Send the form by 06/07/2026.", date(2026, 6, 7)),
        ("Send the form next week.", date(2026, 6, 17)),
        ("Send the form this week.", date(2026, 6, 12)),
        ("Send the form this weekend.", date(2026, 6, 13)),
        ("Send the form next weekend.", date(2026, 6, 20)),
        ("Send the form in a few days.", date(2026, 6, 14)),
        ("Send the form within two weeks.", date(2026, 6, 20)),
        ("Send the form next month.", date(2026, 7, 20)),
        ("Send the form before July.", date(2026, 6, 30)),
        ("Send the form in June.", date(2026, 6, 30)),
        ("Send the form by Christmas.", date(2026, 12, 24)),
        ("Send the form by new year.", date(2026, 12, 31)),
        ("Send the form by Easter.", date(2027, 3, 28)),
    ],
)
def test_a_date_that_words_may_mean_was_said(said: str, due: date) -> None:
    assert judge_due(due, Memo(transcript(said)), DAY) == "said"


@pytest.mark.parametrize(
    ("said", "due"),
    [
        ("Send the form.", date(2026, 6, 21)),
        ("Send the form soon.", date(2026, 6, 12)),
        ("Send the form by the 15th.", date(2026, 6, 16)),
        ("Send the form by 21/06/2026.", date(2026, 6, 22)),
        ("Send the form next week.", date(2026, 6, 22)),
        ("Send the form this weekend.", date(2026, 6, 15)),
        ("Send the form by Christmas.", date(2026, 12, 20)),
        ("The week was hard, send the form.", date(2026, 6, 12)),
    ],
)
def test_a_date_that_no_words_mean_was_not(said: str, due: date) -> None:
    assert judge_due(due, Memo(transcript(said)), DAY) == "not said"


@pytest.mark.parametrize(
    ("language", "said", "due", "verdict"),
    [
        ("de", "Das Formular bis zum fünfzehnten abschicken", date(2026, 6, 15), "said"),
        ("de", "Das Formular bis zum 21. Juni abschicken", date(2026, 6, 21), "said"),
        ("de", "Das Formular nächsten Freitag abschicken", date(2026, 6, 19), "said"),
        ("de", "Das Formular abschicken", date(2026, 6, 21), "not said"),
        ("fr", "Envoyer le formulaire avant le 15", date(2026, 6, 15), "said"),
        ("fr", "Envoyer le formulaire la semaine prochaine", date(2026, 6, 17), "said"),
        ("fr", "Envoyer le formulaire", date(2026, 6, 17), "not said"),
        ("es", "Enviar el formulario el 3 de julio", date(2026, 7, 3), "said"),
        ("es", "Enviar el formulario el martes que viene", date(2026, 6, 16), "said"),
        ("es", "Enviar el formulario", date(2026, 6, 16), "not said"),
        ("zh", "提交表格", date(2026, 6, 11), "not said"),
        ("zh", "明天提交表格", date(2026, 6, 11), "unknown"),
        ("it", "Inviare il modulo", date(2026, 6, 11), "unknown"),
    ],
)
def test_dates_in_other_languages(language: str, said: str, due: date, verdict: str) -> None:
    assert judge_due(due, Memo(transcript(said, language)), DAY) == verdict


def test_at_the_end_of_time_nothing_is_said() -> None:
    said = transcript("Next week, next month, in June, by Easter, by Christmas and in a few days.")
    assert judge_due(date.min, Memo(said), date.max) == "not said"


def test_a_date_that_cannot_be_read_stays_and_is_told() -> None:
    todo = Todo("Inviare il modulo", date(2026, 6, 11))
    draft = Draft("", "", Mood("neutral", 0.0), (), todos=(todo,))
    grounded = ground_draft(draft, transcript("Inviare il modulo domani", "it"), day=DAY)
    assert grounded.draft.todos == (todo,)
    assert [(finding.code, finding.severity) for finding in grounded.findings] == [("other_date", "info")]
