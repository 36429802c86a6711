"""The clock times and lengths of time of German, French and Spanish, once their numbers are in figures.

Knows nothing of days. "3 heures et demie" may be a time and a length of time; both are written "3:30".
"""

from __future__ import annotations

import re

from diarynotes.diary.grounding.gloss_rules import Replacement, Rule

_HOUR_MIN, _DAY_MIN, _HOURS = 60, 1440, 24


def _past(minutes: int) -> Replacement:
    """So many minutes after the hour in the first group."""
    return lambda match: _write(match, match[1], minutes)


def _by(sign: int, *, hour: int, minutes: int, half: int = 0) -> Replacement:
    """The minutes in one group after or before the hour in another, or the half hour before that."""
    return lambda match: _write(match, match[hour], sign * int(match[minutes]) - half)


def _write(match: re.Match[str], hour: str, minutes: int) -> str:
    if int(hour) > _HOURS:
        return match[0]
    if minutes < 0 and int(hour) == 1:
        hour = "13"
    hours, rest = divmod((int(hour) * _HOUR_MIN + minutes) % _DAY_MIN, _HOUR_MIN)
    return f"{hours}:{rest:02}"


CLOCK: dict[str, tuple[Rule, ...]] = {
    "de": (
        (r"\bviertel nach (\d\d?)\b", _past(15)),
        (r"\b(?:viertel vor|dreiviertel) (\d\d?)\b", _past(-15)),
        (r"\bviertel (\d\d?)\b", _past(-45)),
        (r"\b(5|10) (?:minuten )?vor halb (\d\d?)\b", _by(-1, hour=2, minutes=1, half=30)),
        (r"\b(5|10) (?:minuten )?nach halb (\d\d?)\b", _by(1, hour=2, minutes=1, half=30)),
        (r"\bhalb (\d\d?)\b", _past(-30)),
        (r"\b(5|10|20|25) (?:minuten )?vor (\d\d?)\b", _by(-1, hour=2, minutes=1)),
        (r"\b(5|10|20|25) (?:minuten )?nach (\d\d?)\b", _by(1, hour=2, minutes=1)),
        (r"\b(\d\d?) uhr ([0-5]?\d)\b(?![.:]\d)", _by(1, hour=1, minutes=2)),
        (r"\b(\d\d?)[.](\d\d) uhr\b", r"\1:\2"),
        (r"(:\d\d) uhr\b", r"\1"),
        (r"\b(\d\d?) uhr\b", r"\1 o'clock"),
        (r"(\d)(?: o'clock)? (?:am )?(?:nachmittags?|abends?|mittags)\b", r"\1 pm"),
        (r"(\d)(?: o'clock)? (?:am )?(?:morgens|früh|vormittags?)\b", r"\1 am"),
        (r"\bhalben? stunde\b", "half an hour"),
        (r"\bdreiviertelstunde\b", "three quarters of an hour"),
        (r"\bviertelstunde\b", "quarter of an hour"),
        (r"\bstunden?\b", "hours"),
        (r"\b(?:ein(?:e[nmrs]?)? )?halbe[nmrs]?\b", "half"),
    ),
    "fr": (
        (r"(?<!après )\bmidi et demie?\b", "12:30 pm"),
        (r"(?<!après )\bmidi et quart\b", "12:15 pm"),
        (r"\b(\d\d?) ?(?:heures?|h) et demie?\b", _past(30)),
        (r"\b(\d\d?) ?(?:heures?|h) et quart\b", _past(15)),
        (r"\b(\d\d?) ?(?:heures?|h) moins le quart\b", _past(-15)),
        (r"\b(\d\d?) ?(?:heures?|h) moins (\d\d?)\b", _by(-1, hour=1, minutes=2)),
        (r"\b(\d\d?) ?(?:heures?|h) ?([0-5]?\d)\b(?![.:]\d)", _by(1, hour=1, minutes=2)),
        (r"\b(\d\d?)[.]5 ?(?:heures?|h)\b", _past(30)),
        (r"(\d)(?: ?heures?| ?h)? (?:de l'après midi|du soir)\b", r"\1 pm"),
        (r"(\d)(?: ?heures?| ?h)? du matin\b", r"\1 am"),
        (r"\bdemi heure\b", "half an hour"),
        (r"\b3 quarts d'heure\b", "three quarters of an hour"),
        (r"\bquart d'heure\b", "quarter of an hour"),
        (r"\b(\d+) (\w+) et demie?\b", r"\1.5 \2"),
        (r"(\d) ?(?:heures?|h)\b", r"\1 hours"),
        (r"(?<!après )\bmidi\b", "noon"),
        (r"\bminuit\b", "midnight"),
        (r"\bmoins (?=\d)", "minus "),
        (r"\bdemie?s?\b|\bla moitié\b", "half"),
    ),
    "es": (
        (r"\blas? (\d\d?) y media\b", _past(30)),
        (r"\blas? (\d\d?) y cuarto\b", _past(15)),
        (r"\blas? (\d\d?) menos cuarto\b", _past(-15)),
        (r"\blas? (\d\d?) menos (\d\d?)\b", _by(-1, hour=1, minutes=2)),
        (r"\blas? (\d\d?) y ([0-5]?\d)\b", _by(1, hour=1, minutes=2)),
        (r"(\d)(?: horas?)? de la (?:tarde|noche)\b", r"\1 pm"),
        (r"(\d)(?: horas?)? de la (?:mañana|madrugada)\b", r"\1 am"),
        (r"\bmedia hora\b", "half an hour"),
        (r"\b3 cuartos de hora\b", "three quarters of an hour"),
        (r"\bcuarto de hora\b", "quarter of an hour"),
        (r"\b(\d+) (\w+) y medi[ao]\b", r"\1.5 \2"),
        (r"\b(\d+) y medi[ao]\b", r"\1.5"),
        (r"(\d) (?:horas?|h)\b", r"\1 hours"),
        (r"\bmediodía\b", "noon"),
        (r"\bmedianoche\b", "midnight"),
        (r"\bmenos (?=\d)", "minus "),
        (r"\bmedi[ao]s?\b|\bla mitad\b", "half"),
    ),
}
