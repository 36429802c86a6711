"""The number words of German, French and Spanish as figures: cardinals, ordinals, decimals and halves.

Knows nothing of what is counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from diarynotes.diary.grounding.gloss_rules import Rule, replace_words
from diarynotes.diary.masking.number_words import number_words, words_pattern

_ALSO_ENGLISH = ("six", "zero")
"""Number words that are spelt alike; other English ones may be other words, as "ten" ("take") is in Spanish."""
_HUNDREDS = {
    "de": {"hundert": "hundred", "tausend": "thousand", "million": "million", "millionen": "million"},
    "fr": {"cent": "hundred", "cents": "hundred", "mille": "thousand", "millions": "million"},
    "es": {"cien": "hundred", "ciento": "hundred", "mil": "thousand", "millón": "million", "millones": "million"}
    | {
        f"{stem}{ending}": f"{value} hundred"
        for value, stem in enumerate(
            "doscient trescient cuatrocient quinient seiscient setecient ochocient novecient".split(), 2
        )
        for ending in ("os", "as")
    },
}
_ORDINALS = {
    "de": "erste zweite dritte vierte fünfte sechste siebte - neunte zehnte elfte zwölfte dreizehnte vierzehnte "
    "fünfzehnte sechzehnte siebzehnte achtzehnte neunzehnte",
    "fr": "premier deuxième troisième quatrième cinquième sixième septième huitième neuvième dixième onzième douzième",
    "es": "primero - tercero - quinto sexto séptimo octavo noveno décimo",
}
"""From the first on; "-" where the word has another meaning: "achte" to heed, "cuarto" a room, "segundo" a second."""
_FORMS = {"fr": {"première": "1", "1er": "1", "1re": "1"}, "es": {"primer": "1", "tercer": "3"}}
_GERMAN_COMPOUND = re.compile(r"(tausend|hundert)")
_NEW = (
    r"\b((?:une?|le|la|mon|ma|son|sa|ce|cette|du) (?!vingt|trente|quarante|cinquante|soixante|numéro)\w+|tout) neufs?\b"
)


def number_rules(language: str) -> Iterator[Rule]:
    """The rules that write the numbers of a text in figures."""
    yield r"\b[1-9]\d{0,2}(?:[ \u00a0\u202f]\d{3})+\b(?![.,:]\d)", lambda match: re.sub(r"\s", "", match[0])
    yield r"\b[1-9]\d{0,2}(?:[.]\d{3})+\b(?![.]?\d)", lambda match: match[0].replace(".", "")
    yield r"(?<=\d),(?=\d)", "."
    if language == "de":
        yield r"\b\w*(?:tausend|hundert)\w*\b", _split_compound
        yield r"\b(?:anderthalb|ein(?:und)?einhalb)\b", "1.5"
        yield r"\b(\w+?)(?:und)?einhalb\b", _add_half
        yield r"\bein(?= uhr\b)", "1"
        yield r"\b(am|zum|vom|den|dem|der|die|das) achten?\b", r"\1 8th"
    if language == "fr":
        yield _NEW, r"\1 nouveau"  # "neuf" is nine too
    if language == "es":
        yield r"\bten\b", "tener"  # ten in English
    yield _ordinals(language)
    words = _cardinals(language)
    yield words_pattern(tuple(words)), lambda match: words[match[0].replace("-", " ")]
    yield replace_words(_HUNDREDS[language])
    yield (
        r"\b(\d+) (?:komma|virgule|coma|punto) (\d+)((?: \d\b)*)",
        lambda match: f"{match[1]}.{match[2]}{match[3].replace(' ', '')}",
    )


def _cardinals(language: str) -> dict[str, str]:
    english = number_words("")
    return {
        word.replace("-", " "): value
        for word, value in number_words(language).items()
        if word not in english or word in _ALSO_ENGLISH
    }


def _ordinals(language: str) -> Rule:
    words = {word: f"{value}th" for value, word in enumerate(_ORDINALS[language].split(), 1) if word != "-"}
    words |= {word: f"{value}th" for word, value in _FORMS.get(language, {}).items()}
    if language == "de":
        tens = {word: int(value) for word, value in _cardinals("de").items() if 20 <= int(value) <= 31}
        words |= {f"{word}ste": f"{value}th" for word, value in tens.items()} | {"siebente": "7th"}
        return replace_words(words, ending="[nrsm]?")
    if language == "es":
        words |= {word[:-1] + "a": value for word, value in words.items() if word.endswith("o")}
    return replace_words(words)


def _split_compound(match: re.Match[str]) -> str:
    """ "zweihundertfünfzig" in its parts; as it is where one of these is no number."""
    parts = [part.removeprefix("und") for part in _GERMAN_COMPOUND.split(match[0])]
    known = number_words("de").keys() | _HUNDREDS["de"].keys() | {"", "ein"}
    return " ".join(filter(None, parts)).replace("ein ", "1 ") if known.issuperset(parts) else match[0]


def _add_half(match: re.Match[str]) -> str:
    value = number_words("de").get(match[1])
    return f"{value}.5" if value else match[0]
