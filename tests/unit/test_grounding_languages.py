"""Grounding in other languages than English: what is read there as well as in English, and what is only told."""

from __future__ import annotations

from datetime import date

import pytest

from diarynotes.diary.grounding.checks import check_sentence
from diarynotes.diary.grounding.gloss import GLOSSED, gloss
from diarynotes.diary.grounding.gloss_rules import compile_rules
from diarynotes.diary.grounding.memo import Memo
from diarynotes.models import Segment, Transcript

DAY = date(2026, 6, 10)
"""A Wednesday."""


def codes(language: str, said: str, claim: str) -> list[str]:
    transcript = Transcript("t", "r", "fake", "fake", language, (Segment(0.0, 1.0, said),), 1.0)
    return check_sentence(claim, (0,), Memo(transcript), DAY)


@pytest.mark.parametrize(
    ("language", "said", "claim"),
    [
        ("de", "Wir treffen uns am dritten Juli", "Wir treffen uns am 3. Juli."),
        ("de", "Der Termin ist am einundzwanzigsten", "Der Termin ist am 21."),
        ("de", "Wir treffen uns um halb zehn", "Wir treffen uns um 9:30 Uhr."),
        ("de", "Wir treffen uns um drei Uhr nachmittags", "Wir treffen uns um 15 Uhr."),
        ("de", "Wir treffen uns um Viertel vor acht abends", "Wir treffen uns um 19.45 Uhr."),
        ("de", "Wir treffen uns um fünf nach halb sechs", "Wir treffen uns um 5:35 Uhr."),
        ("de", "Wir treffen uns um sechs Uhr dreißig", "Wir treffen uns um 6:30 Uhr."),
        ("de", "Wir treffen uns morgen", "Wir treffen uns am Donnerstag."),
        ("de", "Heute Morgen war ich laufen", "Ich war heute Morgen laufen."),
        ("de", "Ich habe zweiundvierzig Euro bezahlt", "Ich habe 42 Euro bezahlt."),
        ("de", "Ich habe tausendzweihundert Euro bezahlt", "Ich habe 1.200 Euro bezahlt."),
        ("de", "Ich nehme null Komma fünf Milligramm", "Ich nehme 0,5 Milligramm."),
        ("de", "Die Sitzung dauert anderthalb Stunden", "Die Sitzung dauert 90 Minuten."),
        ("de", "Ich habe zweieinhalb Stunden gewartet", "Ich habe 2,5 Stunden gewartet."),
        ("fr", "Marie est à Lyon depuis trois jours", "Marie est à Lyon depuis 3 jours."),
        ("fr", "Rendez-vous à trois heures et demie", "Rendez-vous à 15h30."),
        ("fr", "Rendez-vous à quatre heures moins le quart", "Rendez-vous à 15h45."),
        ("fr", "Rendez-vous à huit heures du soir", "Rendez-vous à 20h."),
        ("fr", "Rendez-vous à midi et demi", "Rendez-vous à 12h30."),
        ("fr", "Rendez-vous après-demain", "Rendez-vous vendredi."),
        ("fr", "J'ai attendu trois heures et demie", "J'ai attendu 3,5 heures."),
        ("fr", "Je pars le premier juillet", "Je pars le 1er juillet."),
        ("fr", "Ça a coûté un million et demi", "Ça a coûté 1 500 000 euros."),
        ("fr", "J'ai un nouveau vélo bleu", "J'ai un vélo neuf, bleu."),
        ("es", "Nos vemos a las tres y media", "Nos vemos a las 15:30."),
        ("es", "Nos vemos a las cuatro menos cuarto", "Nos vemos a las 15:45."),
        ("es", "Nos vemos a la una de la tarde", "Nos vemos a las 13:00."),
        ("es", "Nos vemos mañana", "Nos vemos el jueves."),
        ("es", "Por la mañana fui al mercado", "Fui al mercado por la mañana."),
        ("es", "Llego el primero de julio", "Llego el 1 de julio."),
        ("es", "Esperé dos horas y media", "Esperé 2,5 horas."),
        ("es", "Costó dos mil doscientos euros", "Costó 2.200 euros."),
        ("es", "Tenga cuidado con Ana", "Ten cuidado con Ana."),
    ],
)
def test_what_was_said_in_other_words_stays(language: str, said: str, claim: str) -> None:
    assert codes(language, said, claim) == []


@pytest.mark.parametrize(
    ("language", "said", "claim", "found"),
    [
        ("de", "Wir treffen uns am Dienstag", "Wir treffen uns am Mittwoch.", "wrong_date"),
        ("de", "Wir treffen uns im Juli", "Wir treffen uns im August.", "wrong_date"),
        ("de", "Wir treffen uns morgen", "Wir treffen uns heute.", "wrong_date"),
        ("de", "Wir treffen uns am dritten Juli", "Wir treffen uns am 4. Juli.", "wrong_number"),
        ("de", "Wir treffen uns um halb zehn", "Wir treffen uns um 10:30 Uhr.", "wrong_time"),
        ("de", "Ich habe zweiundvierzig Euro bezahlt", "Ich habe 43 Euro bezahlt.", "wrong_number"),
        ("de", "Ich nehme null Komma fünf Milligramm", "Ich nehme 5 Milligramm.", "wrong_number"),
        ("de", "Ich nehme zweieinhalb Tabletten", "Ich nehme 2 Tabletten.", "other_amount"),
        ("de", "Ich habe Anna nicht angerufen", "Ich habe Anna angerufen.", "negation"),
        ("fr", "On se voit mardi", "On se voit jeudi.", "wrong_date"),
        ("fr", "Rendez-vous à trois heures et demie", "Rendez-vous à 14h30.", "wrong_time"),
        ("fr", "Marie est à Lyon depuis trois jours", "Sophie est à Lyon depuis 3 jours.", "wrong_name"),
        ("es", "El veintiuno de mayo", "El 21 de marzo.", "wrong_date"),
        ("es", "Nos vemos a las tres y media", "Nos vemos a las 16:30.", "wrong_time"),
        ("es", "No quiero ir a Madrid", "Quiero ir a Madrid.", "negation"),
        # nobody knows here how these say a number, so none of them is dropped
        ("it", "Ho mangiato quarantadue fragole", "Ho mangiato 42 fragole.", "other_number"),
        ("it", "Il treno parte alle tre e mezza", "Il treno parte alle 15:30.", "other_number"),
        ("it", "Ha detto torno domani", "Ha detto «torno oggi».", "wrong_quote"),
    ],
)
def test_what_was_not_said_is_found(language: str, said: str, claim: str, found: str) -> None:
    assert codes(language, said, claim) == [found]


@pytest.mark.parametrize(
    ("language", "said", "claim", "is_turned"),
    [
        ("es", "No he dormido.", "He dormido.", True),  # "he" begins no clause in Spanish
        ("es", "He ido al mercado.", "No he ido al mercado.", True),
        ("es", "He comido pero no he dormido.", "He comido.", False),
        ("de", "Ich schlafe nicht.", "Ich schlafe.", True),
        ("de", "Ich rufe Anna nicht an.", "Ich rufe Anna an.", True),
        ("de", "Ich habe gegessen und nicht geschlafen.", "Ich habe gegessen.", False),
        ("de", "Ich habe nicht gegessen, aber geschlafen.", "Ich habe geschlafen.", False),
        ("fr", "Je ne dors pas.", "Je dors.", True),
        ("fr", "Je n'ai pas dormi.", "J'ai dormi.", True),
        ("fr", "J'ai mangé et je n'ai pas dormi.", "J'ai mangé.", False),
    ],
)
def test_negations(language: str, said: str, claim: str, is_turned: bool) -> None:
    assert ("negation" in codes(language, said, claim)) == is_turned


def test_a_sentence_is_judged_in_the_language_of_its_segments() -> None:
    segments = (
        Segment(0.0, 1.0, "I went to the shop today.", language="en"),
        Segment(1.0, 2.0, "Wir treffen Anna nicht um halb zehn.", language="de"),
    )
    memo = Memo(Transcript("t", "r", "fake", "fake", "en", segments, 1.0))
    assert check_sentence("Wir treffen Anna nicht um 9:30 Uhr.", (1,), memo, DAY) == []
    assert check_sentence("Wir treffen Anna um 9:30 Uhr.", (1,), memo, DAY) == ["negation"]
    assert check_sentence("Wir treffen Anna nicht um 10:30 Uhr.", (1,), memo, DAY) == ["wrong_time"]
    assert check_sentence("I went to the shop yesterday.", (0,), memo, DAY) == ["wrong_date"]


@pytest.mark.parametrize(
    ("pattern", "literal"),
    [
        (r"\bhalb (\d\d?)\b", "halb "),
        (r"\b\d{0,2}(?:[ab] c)+\b", ""),
        (r"\b\w*(?:tausend|hundert)\w*\b", ""),
        (r"\b(?:ein(?:e[nm])? )?halbe[nr]?\b", "halbe"),
        (r"\bdemie?\b|\bmoitié\b", ""),
        (r"\bstunden?\b", "stunde"),
    ],
)
def test_a_rule_is_spared_only_where_it_can_find_nothing(pattern: str, literal: str) -> None:
    assert [rule.literal for rule in compile_rules([(pattern, "")])] == [literal]


@pytest.mark.parametrize("language", sorted(GLOSSED))
def test_words_that_are_neither_number_nor_day_stay(language: str) -> None:
    assert gloss("Rémi isst Jamón", language) == "rémi isst jamón"


def test_other_languages_stay_as_they_are() -> None:
    assert gloss("Zorbla 1.500", "it") == "Zorbla 1.500"
