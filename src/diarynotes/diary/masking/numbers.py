"""Finds telephone numbers, cards, bank accounts and national ids, in figures and as they are dictated.

A row of figures is told by checksum, by the plan of telephone numbers (`phonenumbers`), by the words before it, and at
last by its looks: seven figures that are neither an amount nor a list identify somebody. A number dictated with a slip
fails its checksum and is then masked for its looks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from diarynotes.diary.masking.gaps import Gap, drop_words
from diarynotes.diary.masking.national_ids import is_card, is_national_id
from diarynotes.diary.masking.runs import Run, read_runs
from diarynotes.diary.masking.serials import find_serials
from diarynotes.diary.masking.spans import Claims, Hit
from diarynotes.diary.masking.stretches import Stretch, language_at

_REGIONS = {"en": ("US", "GB"), "de": ("DE", "AT", "CH"), "fr": ("FR", "BE", "CH"), "es": ("ES", "MX"),
    "it": ("IT", "CH"), "nl": ("NL", "BE"), "pt": ("PT", "BR"), "pl": ("PL",)}  # fmt: skip
"""Where numbers without a country code are looked for when no region is set, by language."""
_WITHOUT_TRUNK = frozenset("US CA ES MX PT IT NO DK PL CZ GR SG HK CL CO".split())
"""Where a number has no 0 before it; elsewhere one without it is a number like any other."""
_LEAST = 7
"""Figures from which a number identifies somebody by its looks alone."""
_LEAST_SAID = 6
"""The same where each figure is said alone, which nobody does with an amount."""
_LOOK_BACK = 48
_FILLER = (
    r"(?:\W+(?:is|it's|its|are|was|on|at|me|him|her|us|them|the|number|number's|under|to|for|again|my|his|new|and|so"
    r"|still|lautet|ist|die|unter|nummer|est|le|c'est|au|es|el|al|número|numéro"
    r"|è|il|mio|numero|di|het|mijn|é|o|meu|to|jest|mój|numer))*\W*\Z"
)
_STRONG = re.compile(
    r"\b(?:phone|telephone|mobile|cell|cellphone|landline|tel|fax|whatsapp|extension|ext|handy|handynummer|telefon"
    r"|telefonnummer|durchwahl|mobilnummer|téléphone|portable|poste|teléfono|móvil|celular|telefono|cellulare|interno|telefoon|telefoonnummer|mobiel"
    r"|toestel|telefone|telemóvel|ramal|telefonu|komórka|komórki|komórkę|wewnętrzny)(?:'s)?" + _FILLER,
    re.IGNORECASE,
)
_WEAK = re.compile(
    r"\b(?:number|call|ring|text|dial|reach|nummer|rufnummer|anrufen|numéro|número|llámame|numero|chiamami|bel|liga|ligue|numer"
    r"|zadzwoń|dzwoń)\b" + _FILLER,
    re.IGNORECASE,
)
_SECRET = re.compile(
    r"\b(?:account|account number|sort code|routing|iban|card|cvv|cvc|pin|passcode|password|passport|social security"
    r"|social|ssn|licen[cs]e|policy|insurance|nhs|tax id|id|konto|kontonummer|blz|ausweis|ausweisnummer|steuer-?id"
    r"|passwort|compte|passeport|cuenta|pasaporte|contraseña"
    r"|conto|codice fiscale|passaporto|rekening|rekeningnummer|bsn|pincode|wachtwoord|paspoort|conta|senha|nif|cpf"
    r"|passaporte|pesel|hasło|paszport|zip|zip code|postcode|plz)\b" + _FILLER,
    re.IGNORECASE,
)
_CARD_CODE = re.compile(
    r"\b(?:cvv2?|cvc2?|security code|prüfnummer|kartenprüfnummer|prüfziffer|cryptogramme|código de seguridad"
    r"|codice di sicurezza|beveiligingscode|código de segurança|kod bezpieczeństwa)\b" + _FILLER,
    re.IGNORECASE,
)
"""What a card has three figures for; any other secret has four at least."""
_THOUSANDS = r"[1-9]\d{0,2}(?:(?:\.\d{3})+(?:,\d+)?|(?:[,']\d{3})+(?:\.\d+)?)"
_ITEM = rf"(?:{_THOUSANDS}|[1-9]?\d[.,]\d{{1,9}}|(?:1[5-9]|20)\d\d|[1-9]\d?|[1-9]\d?0{{1,3}})"
_LIST = re.compile(rf"{_ITEM}(?:(?:[,;]?\s+|\s?[–/-]\s?|,){_ITEM})*")
_SSN = re.compile(r"\d{3}-\d\d-\d{4}")
"""A social security number of the United States, which has no checksum."""
_GROUPED = re.compile(r"[1-9]\d{0,2}(?: \d{3})+")


@dataclass(frozen=True, slots=True)
class _Reader:
    """Judges the rows of one transcript."""

    text: str
    stretches: Sequence[Stretch]
    region: str | None

    def settle(self, run: Run) -> list[Run]:
        """The run itself where it is one private number, else its pieces: "two and three" are two numbers."""
        gap = run.widest
        if gap is Gap.SIGNS:
            return [run]
        rest = self._cut_rest(run) if gap is Gap.LINKS else []
        whole = Run(run.numbers[: len(run.numbers) - len(rest)])
        if not self._are_numbers(whole.split(gap)) and self._is_private(whole):
            return [whole, *rest]
        return [part for piece in run.split(gap) for part in self.settle(piece)]

    def _cut_rest(self, run: Run) -> list[Run]:
        """What goes on with something else at the end: "... 0123 and 2 of us"."""
        last = run.split(Gap.LINKS)[-1]
        return [last] if len(last.figures) == 1 and len(run.figures) > _LEAST else []

    def _are_numbers(self, pieces: list[Run]) -> bool:
        """Whether each piece is a private number of its own."""
        return all(len(piece.figures) >= _LEAST and self.judge(piece) for piece in pieces)

    def _is_private(self, run: Run) -> bool:
        # few figures between "then" and "and" are rather a list than a secret
        is_long = len(run.figures) >= _LEAST or run.widest < Gap.LINKS or not self._is_ordinary(run, run.figures)
        return is_long and self.judge(run) is not None

    def judge(self, run: Run) -> str | None:
        """The kind of a row of figures; None for one that is private to nobody."""
        figures = run.figures
        before = self.text[max(0, run.start - _LOOK_BACK) : run.start]
        is_linked = run.widest is Gap.LINKS
        if not (is_linked and self._is_ordinary(run, figures)):
            if run.numbers[0].is_plus or figures.startswith("00"):
                return "PHONE" if len(figures) >= _LEAST else None
            if is_card(figures):
                return "CARD"
        if kind := self._judge_cue(figures, before):
            return kind
        # "then" between numbers says that they are several, unless something else tells what they are
        if is_linked or _is_counting(run):
            return None
        if _SSN.fullmatch(self.text[run.start : run.end]):
            return "ID"
        if self._is_phone(run):
            return "PHONE"
        return self._judge_looks(run, figures)

    def _judge_cue(self, figures: str, before: str) -> str | None:
        """What the words right before it say that it is."""
        if len(figures) < 4:
            return "NUMBER" if len(figures) == 3 and _CARD_CODE.search(before) else None
        if _STRONG.search(before):
            return "PHONE"
        if _SECRET.search(before):
            return "ID" if is_national_id(figures) else "NUMBER"
        return "PHONE" if len(figures) >= 6 and _WEAK.search(before) else None

    def _judge_looks(self, run: Run, figures: str) -> str | None:
        if len(figures) >= 4 and any(number.is_double for number in run.numbers):
            return "PHONE"
        if len(figures) >= _LEAST_SAID and sum(number.is_word for number in run.numbers) == len(figures):
            return "PHONE"
        if len(figures) < _LEAST or self._is_ordinary(run, figures):
            return None
        if is_national_id(figures):
            return "ID"
        is_said = any(number.is_word for number in run.numbers)
        return "PHONE" if len(figures) <= 12 and (is_said or len(run.numbers) > 1) else "NUMBER"

    def _is_phone(self, run: Run) -> bool:
        import phonenumbers

        figures = run.figures
        if not _LEAST <= len(figures) <= 15:
            return False
        language = language_at(self.stretches, run.start)
        for region in (self.region.upper(),) if self.region else _REGIONS.get(language, _REGIONS["en"]):
            if figures[0] != "0" and region not in _WITHOUT_TRUNK:
                continue
            try:
                if phonenumbers.is_valid_number(phonenumbers.parse(figures, region)):
                    return True
            except phonenumbers.NumberParseException:
                continue
        return False

    def _is_ordinary(self, run: Run, figures: str) -> bool:
        """Whether it is a list of amounts, years or small numbers."""
        values = [number.figures for number in run.numbers]
        words = self.text[run.start : run.end]
        if not any(number.is_word for number in run.numbers):
            words = drop_words(words) if run.widest else words
            is_round = len(values) == 1 and figures.endswith("000") and figures[0] != "0"
            return is_round or bool(_LIST.fullmatch(words)) or bool(_GROUPED.fullmatch(words))
        return figures[0] != "0" and sum(len(value) == 1 for value in values) * 2 < len(values)


def _is_counting(run: Run) -> bool:
    """Whether somebody counts: one, two, three, or by fives or hundreds."""
    values = [number.figures for number in run.numbers]
    steps = {int(after) - int(before) for before, after in pairwise(values) if before and after}
    return len(values) > 2 and len(steps) == 1 and abs(next(iter(steps))) in (1, 2, 5, 10, 100)


def find_numbers(text: str, claims: Claims, stretches: Sequence[Stretch], *, region: str | None) -> list[Hit]:
    """The private numbers in what nobody has claimed, the surest first."""
    # what a serial took is no longer there for a row of figures
    claims.claim_all(find_serials(text, claims, stretches))
    reader = _Reader(text, stretches, region)
    runs = [piece for run in read_runs(text, claims, stretches) for piece in reader.settle(run)]
    kinds = [reader.judge(run) for run in runs]
    # the same figures are private wherever they are said again, without a word that tells so; three are too few for it
    known = {run.figures: kind for run, kind in zip(runs, kinds, strict=True) if kind and len(run.figures) > 3}
    return list(_make_hits(text, runs, [known.get(run.figures, kind) for run, kind in zip(runs, kinds, strict=True)]))


def _make_hits(text: str, runs: list[Run], kinds: list[str | None]) -> Iterator[Hit]:
    for run, kind in zip(runs, kinds, strict=True):
        if kind:
            start, end = run.start, run.end
            if ")" in text[start:end] and text[start - 1 : start] == "(":
                start -= 1
            yield Hit(start, end, kind, run.figures)
