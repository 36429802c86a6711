"""The numbers from 0 to 99 as words in the languages of `READ`, with the figures that they stand for; Polish to 999.

Knows nothing of what the figures are for. Values are strings, because "oh seven" is 07.
"""

from __future__ import annotations

import re
from functools import cache

_EN = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
_EN_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_DE = "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn"
_DE_TENS = "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig"
_FR = "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept"
_FR_TENS = "vingt trente quarante cinquante soixante"
_ES = "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete"
_ES_TENS = "treinta cuarenta cincuenta sesenta setenta ochenta noventa"
_IT = "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici"
_IT_TENS = "venti trenta quaranta cinquanta sessanta settanta ottanta novanta"
_NL = "nul een twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien vijftien zestien zeventien"
_NL_TENS = "twintig dertig veertig vijftig zestig zeventig tachtig negentig"
_PT = "zero um dois três quatro cinco seis sete oito nove dez onze doze treze catorze quinze dezesseis dezessete"
_PT_TENS = "vinte trinta quarenta cinquenta sessenta setenta oitenta noventa"
_PL = (
    "zero jeden dwa trzy cztery pięć sześć siedem osiem dziewięć dziesięć jedenaście dwanaście trzynaście czternaście "
    "piętnaście szesnaście siedemnaście"
)
_PL_TENS = (
    "dwadzieścia trzydzieści czterdzieści pięćdziesiąt sześćdziesiąt siedemdziesiąt osiemdziesiąt dziewięćdziesiąt"
)
_PL_HUNDREDS = "sto dwieście trzysta czterysta pięćset sześćset siedemset osiemset dziewięćset"
"""Polish telephone numbers are said in threes."""
_OTHER = {
    "en": {"oh": "0", "o": "0", "nought": "0", "naught": "0", "nil": "0", "niner": "9", "fourty": "40"},
    "de": {"zwo": "2", "fuenf": "5", "zwoelf": "12", "dreissig": "30", "fuenfzig": "50"},
    "fr": {"zero": "0", "une": "1"},
    "es": {"una": "1", "dieciseis": "16"},
    "it": {"una": "1", "diciassette": "17"},
    "nl": {"één": "1"},
    "pt": {
        "uma": "1", "duas": "2", "meia": "6", "quatorze": "14", "dezasseis": "16", "dezassete": "17", "dezanove": "19",
    },
    "pl": {"jedna": "1", "jedno": "1", "dwie": "2"},
}  # fmt: skip
READ = ("en", "de", "fr", "es", "it", "nl", "pt", "pl")
"""Languages whose numbers are known as words."""
_DOUBLES = dict.fromkeys("double doppel doble doppio dubbel duplo podwójne".split(), 2) | dict.fromkeys(
    "triple treble dreifach triplo driedubbel potrójne".split(), 3
)
_TURKISH_AND_OLD = str.maketrans({"ı": "i", "ſ": "s", "\u0307": None})
"""Letters that a pattern without regard to case takes for an i or an s, but that are small letters of their own; the
dot is what is left of "İ" in small letters."""
PLUS = r"\+|\b(?:plus|más|più)\b"
"""What comes before a country's code."""


@cache
def number_words(language: str) -> dict[str, str]:
    """Words to figures for an ISO 639 code; English ones are always there, but "oh" and "o" only in English.

    In Spanish "o" is "or": "cinco o seis veces" is no number.
    """
    words = _count(_EN) | {"eighteen": "18", "nineteen": "19"}
    words |= _pair_up(_EN_TENS.split(), 20, words, "{tens} {unit}")
    own = _OWN.get(language)
    return words | (own() if own else _OTHER["en"])


@cache
def number_pattern(language: str) -> str:
    """A pattern for one number in words, the longest first; to be matched without regard to case."""
    return words_pattern(tuple(number_words(language)))


@cache
def double_pattern() -> str:
    """A pattern for "double" and its like."""
    return words_pattern(tuple(_DOUBLES))


def words_pattern(words: tuple[str, ...]) -> str:
    """A pattern for one of many words in small letters, the longest first; to be matched without regard to case."""
    # the look ahead spares most words of a text the walk into the branches
    first = "".join(sorted({word[0] for word in words} | {word[0].upper() for word in words}))
    return rf"\b(?=[{first}])(?:{_branch(list(words))})\b"


def read_number(words: str, language: str) -> str:
    """The figures of one number in words as `number_pattern` finds it."""
    folded = re.sub(r"[ \n-]+", " ", fold_case(words))
    return number_words(language).get(folded) or number_words(language)[folded.replace(" ", "-")]


def read_double(word: str) -> int:
    """How often the next figure is meant."""
    return _DOUBLES[fold_case(word)]


def fold_case(words: str) -> str:
    """The small letters as which a pattern without regard to case reads them: "SİX" is "six"."""
    return words.lower().translate(_TURKISH_AND_OLD)


def _branch(words: list[str]) -> str:
    """One pattern for many words, branching letter by letter, which is several times faster than a list of them."""
    tails: dict[str, list[str]] = {}
    for word in words:
        tails.setdefault(word[:1], []).append(word[1:])
    can_end = tails.pop("", None) is not None
    parts = [("[ -]" if sign in " -" else sign) + _branch(rest) for sign, rest in tails.items()]
    inner = parts[0] if len(parts) == 1 and not can_end else f"(?:{'|'.join(parts)})" if parts else ""
    return f"{inner}?" if can_end and parts else inner


def _pair_up(tens: list[str], start: int, units: dict[str, str], form: str) -> dict[str, str]:
    """The numbers from `start` on: each ten and each ten with a unit."""
    singles = {word: value for word, value in units.items() if len(value) == 1 and value != "0"}
    found = {}
    for value, ten in enumerate(tens, start // 10):
        found[ten] = f"{value}0"
        found |= {form.format(tens=ten, unit=unit): f"{value}{figure}" for unit, figure in singles.items()}
    return found


def _german() -> dict[str, str]:
    words = _count(_DE) | {"achtzehn": "18", "neunzehn": "19"}
    return words | _pair_up(_DE_TENS.split(), 20, words | {"ein": "1"}, "{unit}und{tens}") | _OTHER["de"]


def _french() -> dict[str, str]:
    words = _count(_FR) | {"dix-huit": "18", "dix-neuf": "19"}
    tens = _pair_up(_FR_TENS.split(), 20, words, "{tens} {unit}")
    tens |= {f"{ten} et un": f"{value}1" for value, ten in enumerate(_FR_TENS.split(), 2)}
    teens = {word: int(value) for word, value in words.items() if int(value) >= 10}
    high = {f"soixante {word}": str(60 + value) for word, value in teens.items()} | {"soixante et onze": "71"}
    high |= {f"quatre vingt {word}": str(80 + int(value)) for word, value in words.items() if value != "0"}
    high |= {"quatre vingts": "80", "quatre vingt": "80"}
    return {word.replace("-", " "): value for word, value in (words | tens | high | _OTHER["fr"]).items()}


def _spanish() -> dict[str, str]:
    words = _count(_ES) | {"dieciocho": "18", "diecinueve": "19"}
    twenties = "veinte veintiuno veintidós veintitrés veinticuatro veinticinco veintiséis veintisiete veintiocho"
    words |= {word: str(value) for value, word in enumerate([*twenties.split(), "veintinueve"], 20)}
    return words | _pair_up(_ES_TENS.split(), 30, words, "{tens} y {unit}") | _OTHER["es"]


def _italian() -> dict[str, str]:
    words = _count(_IT) | {"diciassette": "17", "diciotto": "18", "diciannove": "19"}
    pairs = _pair_up(_IT_TENS.split(), 20, words, "{tens} {unit}")
    # "venti" and "otto" are "ventotto", "tre" gets an accent, which an engine may forget
    joined = {re.sub(r"[ia] (?=[uo])| ", "", pair): value for pair, value in pairs.items()}
    accented = {f"{pair[:-1]}é": value for pair, value in joined.items() if value[-1] == "3"}
    return words | joined | accented | _OTHER["it"]


def _dutch() -> dict[str, str]:
    words = _count(_NL) | {"achttien": "18", "negentien": "19"}
    pairs = _pair_up(_NL_TENS.split(), 20, words, "{unit}en{tens}")
    parted = {pair.replace("een", "eën"): value for pair, value in pairs.items() if value[1] in "23"}
    return words | pairs | parted | _OTHER["nl"]


def _portuguese() -> dict[str, str]:
    words = _count(_PT) | {"dezoito": "18", "dezenove": "19"}
    return words | _pair_up(_PT_TENS.split(), 20, words, "{tens} e {unit}") | _OTHER["pt"]


def _polish() -> dict[str, str]:
    words = _count(_PL) | {"osiemnaście": "18", "dziewiętnaście": "19"}
    words |= _pair_up(_PL_TENS.split(), 20, words, "{tens} {unit}") | _OTHER["pl"]
    higher = {}
    for value, hundred in enumerate(_PL_HUNDREDS.split(), 1):
        higher[hundred] = f"{value}00"
        higher |= {f"{hundred} {word}": f"{value}{figures:0>2}" for word, figures in words.items()}
    return words | higher


def _count(words: str) -> dict[str, str]:
    """The words of a list and their places in it, from 0 on."""
    return {word: str(value) for value, word in enumerate(words.split())}


_OWN = {
    "de": _german, "fr": _french, "es": _spanish, "it": _italian, "nl": _dutch, "pt": _portuguese, "pl": _polish,
}  # fmt: skip
