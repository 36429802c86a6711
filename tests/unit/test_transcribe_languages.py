from __future__ import annotations

from diarynotes.models import WindowText
from diarynotes.transcribe.languages import main_language, own_language


def likely(**probabilities: float) -> WindowText:
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])
    return WindowText("", language=ranked[0][0], languages=tuple(ranked))


def test_the_language_is_that_of_most_of_the_speech_not_of_its_beginning() -> None:
    assert main_language([(likely(en=0.9, de=0.1), 5.0), (likely(de=0.6, nl=0.4), 29.0)]) == "de"


def test_an_unsure_window_counts_for_little() -> None:
    windows = [(likely(cy=0.3, de=0.29), 20.0), (likely(cy=0.3, de=0.29), 20.0), (likely(de=0.99), 12.0)]

    assert main_language(windows) == "de"


def test_nobody_knows_the_language_where_nobody_looked() -> None:
    assert main_language([(WindowText("hello", language="en"), 3.0)]) is None
    assert main_language([]) is None


def test_a_window_has_a_language_of_its_own_where_it_is_long_and_sure_enough() -> None:
    assert own_language(likely(fr=0.8, en=0.2), speech_s=2.0) == "fr"
    assert own_language(likely(fr=0.79, en=0.2), speech_s=20.0) is None
    assert own_language(likely(fr=0.99), speech_s=1.9) is None
    assert own_language(WindowText("bonjour", language="fr"), speech_s=9.0) is None
