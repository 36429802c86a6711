"""The days, months and dates of German, French and Spanish as English ones, once their numbers are in figures.

Knows nothing of times.
"""

from __future__ import annotations

from collections.abc import Iterator

from diarynotes.diary.grounding.gloss_rules import Rule, replace_words
from diarynotes.diary.words import MONTHS, WEEKDAYS

_WEEKDAYS = {
    "de": "montag dienstag mittwoch donnerstag freitag samstag|sonnabend sonntag",
    "fr": "lundi mardi mercredi jeudi vendredi samedi dimanche",
    "es": "lunes martes miércoles jueves viernes sábado|sábados domingo|domingos",
}
_ENDINGS = {"de": "(?:s|abend|morgen|nachmittag|vormittag|mittag|nacht|früh)?", "fr": "s?", "es": ""}
_MONTHS = {
    "de": "januar|jänner februar märz april mai juni juli august september oktober november dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre|setiembre octubre noviembre diciembre",
}
_ANY_MONTH = "|".join(month.capitalize() for month in MONTHS)
_ANY_DAY = "|".join(WEEKDAYS)
_WORDS = {
    "de": {
        "heute morgen": "this morning",
        "heute früh": "this morning",
        "heute abend": "tonight",
        "heute nacht": "tonight",
        "heute": "today",
        "übermorgen": "the day after tomorrow",
        "vorgestern": "the day before yesterday",
        "gestern": "yesterday",
        "gestern morgen": "yesterday",
        "nächste woche": "next week",
        "nächsten monat": "next month",
        "am wochenende": "at the weekend",
        "ende des monats": "the end of the month",
        "monatsende": "the end of the month",
        "heiligabend": "christmas",
        "weihnachten": "christmas",
        "ostern": "easter",
        "silvester": "new year",
        "neujahr": "new year",
    },
    "fr": {
        "aujourd'hui": "today",
        "ce soir": "tonight",
        "après demain": "the day after tomorrow",
        "demain": "tomorrow",
        "avant hier": "the day before yesterday",
        "hier": "yesterday",
        "la semaine prochaine": "next week",
        "le mois prochain": "next month",
        "ce week end": "this weekend",
        "le week end": "the weekend",
        "fin du mois": "the end of the month",
        "noël": "christmas",
        "pâques": "easter",
        "nouvel an": "new year",
    },
    "es": {
        "hoy": "today",
        "esta noche": "tonight",
        "pasado mañana": "the day after tomorrow",
        "anteayer": "the day before yesterday",
        "ayer": "yesterday",
        "anoche": "last night",
        "la próxima semana": "next week",
        "la semana que viene": "next week",
        "el mes que viene": "next month",
        "el próximo mes": "next month",
        "el fin de semana": "the weekend",
        "este fin de semana": "this weekend",
        "fin de mes": "the end of the month",
        "finales de mes": "the end of the month",
        "navidad": "christmas",
        "semana santa": "easter",
        "año nuevo": "new year",
    },
}
_PHRASES: dict[str, tuple[Rule, ...]] = {
    "de": (
        (r"\b(am|guten|jeden|der|den|diesen|eines|ganzen) morgen\b", r"\1 früh"),  # the morning
        (r"(?<!über)\bmorgen\b", "tomorrow"),
        (rf"\b(?:nächste[nmrs]?|kommende[nmrs]?) ({_ANY_DAY})\b", r"next \1"),
        (r"\bin (?:einer|einem) (?:woche|tag)\b", "in a week"),
        (r"\bin (\d+) wochen?\b", r"in \1 weeks"),
        (r"\bin (\d+) tagen?\b", r"in \1 days"),
        (r"\b(?:am|zum|vom|den|dem|bis|auf) (\d\d?)(?:th|[.](?!\d))", r"on the \1th,"),
    ),
    "fr": (
        (rf"\b({_ANY_DAY}) prochain\b", r"next \1"),
        (r"\bdans (\d+) semaines?\b", r"in \1 weeks"),
        (r"\bdans (\d+) jours?\b", r"in \1 days"),
        (r"\b(?:le|au) (\d\d?)(?:th\b|\b(?! hours| [ap]m| [A-Z]|[.:]\d))", r"on the \1th,"),
    ),
    "es": (
        (r"\b(la|esta|una|cada|buena|media) mañana\b", r"\1 madrugada"),  # the morning
        (r"\bmañana\b", "tomorrow"),
        (rf"\b(?:próximo ({_ANY_DAY})|({_ANY_DAY}) que viene)\b", r"next \1\2"),
        (r"\b(?:en|dentro de) (\d+) semanas?\b", r"in \1 weeks"),
        (r"\b(?:en|dentro de) (\d+) días?\b", r"in \1 days"),
        (r"\b(?:el|del|al) (?:día )?(\d\d?)(?:th\b|\b(?! hours| [ap]m| [A-Z]|[.:]\d))", r"on the \1th,"),
    ),
}
"""After the weekdays and months are English."""


def day_rules(language: str) -> Iterator[Rule]:
    """The rules that write the days of a text as English does; a month has a capital, which tells "May" from "may"."""
    yield replace_words(_WORDS[language])
    yield replace_words(_spell(_WEEKDAYS[language], WEEKDAYS), ending=_ENDINGS[language])
    yield replace_words(_spell(_MONTHS[language], tuple(map(str.capitalize, MONTHS))))
    yield rf"\b(\d\d?)(?:th|[.])? (?:de )?({_ANY_MONTH})\b(?: de (?=\d))?", r"\1 \2 "
    yield from _PHRASES[language]


def _spell(foreign: str, english: tuple[str, ...]) -> dict[str, str]:
    return {word: name for words, name in zip(foreign.split(), english, strict=True) for word in words.split("|")}
