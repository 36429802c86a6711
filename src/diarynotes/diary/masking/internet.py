"""Finds emails, URLs and IP addresses, written and as they are said ("john dot smith at gmail dot com").

Knows the common endings of domains, not all of them, the words for "at" and "dot" in eight languages, and the mail
services that are said without an ending ("john smith at gmail").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from ipaddress import ip_address

from diarynotes.diary.lists import given_names
from diarynotes.diary.masking.number_words import (
    double_pattern,
    number_pattern,
    number_words,
    read_double,
    read_number,
)
from diarynotes.diary.masking.spans import Hit
from diarynotes.diary.masking.stretches import Stretch, language_at
from diarynotes.diary.words import STOPWORDS

_PLAIN_ENDS = (
    "com|org|net|edu|gov|info|biz|app|dev|blog|shop|online|site|cloud|xyz|tech|email|eu|uk|fr|nl|pl|se|dk|ch|cz|jp|cn"
    "|au|nz|ca|br|mx|ru|ie|pt|gr|hu|ro|io|ai|tv|cc"
)
"""Endings that are no words of the languages that we read, so that they need no other sign of a domain."""
_ENDS = _PLAIN_ENDS + "|de|es|it|at|be|no|fi|us|in|me|co|so|la|is|li|to"
_NO_POINT = r"(?!(?:in|me|to|at|us|so|is|no|la|li|it|de|be|es|co)\b)"
"""What follows "point" in "at some point in May" and "point de vue", and is the ending of a domain all the same."""
_SPELT_ENDS = "|".join("[ .-]{1,2}".join(end) for end in "com co org net edu de uk fr es eu it nl pl ch io me".split())
"""The commonest endings letter by letter."""
_DOT_WORDS = "dot|punkt|punto|punt|ponto|kropka"
_DOT = (
    rf"(?:\.|\s{{1,4}}(?:(?:{_DOT_WORDS})\s{{1,4}}|(?:point|period)\s{{1,4}}{_NO_POINT})"
    rf"|\s{{0,4}}[(\[{{]\s?(?:{_DOT_WORDS}|point|\.)\s?[)\]}}]\s{{0,4}}"
    r"|\s?\.\s?(?=(?:com|org|net)\b))"
)
_SPOKEN_DOT = rf"\s{{1,4}}(?:{_DOT_WORDS}|point)\s{{1,4}}"
_AT = (
    r"(?:\s{0,4}@\s{0,4}"
    r"|\s{1,4}(?:at|ät|arobase|arroba|klammeraffe|chiocciola|apenstaartje|małpa|at sign|at the rate)\s{1,4}"
    r"|\s{0,4}[(\[{]\s?(?:at|ät|arobase|arroba)\s?[)\]}]\s{0,4})"
)
_LABEL = r"(?!(?:at|ät|the|a|an|dot|to)\b)[^\W_][\w-]{0,62}"
_DASH = r"\s{1,4}(?:dash|hyphen|minus|bindestrich|tiret|guion|trattino|streepje|hífen|myślnik)\s{1,4}"
_DOMAIN = (
    rf"{_LABEL}(?:(?:{_DASH}|[ ]){_LABEL}){{0,2}}?(?:{_DOT}{_LABEL}){{0,3}}?"
    rf"{_DOT}(?:{_ENDS}|{_SPELT_ENDS})(?:{_DOT}(?:{_ENDS}|{_SPELT_ENDS}))?\b"
)
_MAIL_ONLY = "gmail|g mail|google ?mail|hotmail|i ?cloud|gmx|proton ?mail|web[ .]de|t-online"
_FIRMS = "outlook|yahoo|aol|live|msn|proton|yandex"
"""Those that are more than mail: people work "at Yahoo" and look "at Outlook"."""
_SERVICE = rf"(?:(?P<mail>{_MAIL_ONLY})|{_FIRMS})(?:[ .](?:com|net|de|fr|es|it|co[ .]uk))?\b(?!{_DOT}[^\W_])"
_WRITTEN_EMAIL = re.compile(r"[\w.+%'-]{1,64}@(?:[\w-]{1,63}\.)+[^\W\d_]{2,24}\b")
_ANCHOR = re.compile(
    rf"(?=[\s@(\[{{])(?<=[\w.])(?P<at>{_AT})(?:(?P<domain>{_DOMAIN})|(?P<service>{_SERVICE}))", re.IGNORECASE
)
_MAIL_CUE = re.compile(
    r"\b(?:e-?mail|mail|address|mailadresse|adresse|correo|courriel|indirizzo|adres|endereço)"
    r"(?:['’]s|\s?:|\s+(?:is|was|to|ist|lautet|est|es|è|é|jest))\W*\Z",
    re.IGNORECASE,
)
_WORD_BEFORE = re.compile(r"([\w'’]+)\W*\Z")
_PATH = r"(?:\s{1,4}slash\s{1,4}[\w-]+|/[^\s\[\]]*)*"
_SLASH = r"\s{1,4}(?:forward )?slash"
_SCHEME = rf"(?:h\s?t\s?t\s?p\s?s?\s{{1,4}}(?:colon|doppelpunkt){_SLASH}{_SLASH}\s{{1,4}})"
_WWW = r"(?:w\.?\s{0,4}w\.?\s{0,4}w\.?|(?:triple|dreimal|triple-)\s?w|(?:double[- ]?(?:u|you)[\s,]*){3})"
_URL = re.compile(
    r"\b(?:https?|ftp)://[^\s<>\[\]]+"
    rf"|{_SCHEME}?\b{_WWW}{_DOT}?\s?{_LABEL}(?:{_DOT}(?:(?:{_SPELT_ENDS})\b|{_LABEL})){{0,3}}{_PATH}"
    rf"|{_SCHEME}{_LABEL}(?:{_DOT}{_LABEL}){{1,3}}{_PATH}"
    rf"|(?<![\w@.-])[^\W_][\w-]{{0,62}}(?:\.[\w-]{{1,63}}){{0,3}}\.(?:{_ENDS})\b(?!\.?\w){_PATH}"
    r"|(?<![\w@.-])[^\W_][\w-]{0,62}(?:\.[\w-]{1,63}){0,3}\.[a-z]{2,10}/[^\s\[\]]+"
    rf"|\b(?:(?!(?:the|a|an|this|my|your|every)\b)[^\W_][\w-]{{0,62}}){_SPOKEN_DOT}(?:{_LABEL}{_SPOKEN_DOT})?"
    rf"(?:{_PLAIN_ENDS}|{_SPELT_ENDS})\b{_PATH}",
    re.IGNORECASE,
)
_URL_SIGN = re.compile(
    r"(?=[:.wtdc\s])(?:://|\.\w|w\.?\s{0,4}w\.?\s{0,4}w|triple|dreimal|double|colon|doppelpunkt"
    rf"|\s(?:{_DOT_WORDS}|point)\s)",
    re.IGNORECASE,
)
"""One of these is in every URL, and none in most memos, which then need no closer look."""
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)")
_IPV6 = re.compile(
    r"(?<![\w:.])(?=[0-9a-f:.]*:[0-9a-f]*:)[0-9a-f:]{2,39}(?:\d{1,3}(?:\.\d{1,3}){3})?(?![\w:])", re.IGNORECASE
)
_WORD = re.compile(r"[\w.+'-]+")
_JOINERS = {
    "dot": ".", "punkt": ".", "point": ".", "punto": ".", "period": ".", "punt": ".", "ponto": ".", "kropka": ".",
    "underscore": "_", "unterstrich": "_", "dash": "-", "hyphen": "-", "minus": "-", "bindestrich": "-", "tiret": "-",
    "guion": "-", "guión": "-", "trattino": "-", "streepje": "-", "hífen": "-", "myślnik": "-", "plus": "+",
}  # fmt: skip
_TOLD = frozenset("is it's ist est es to lautet".split())
_CUES = _TOLD | frozenset("email e-mail mail address adresse correo courriel gmail".split())
_NO_NAMES = (STOPWORDS | _CUES | frozenset(
    "look find website site page buy order check write contact visit store account book meet met work works working "
    "message download available online shop und oder mich mir auf der die das bei unter le la les sur mon ma moi sa "
    "son el los las mi su en y et ou".split()
))  # fmt: skip
_JOINED_LINES = re.compile(rf"\b(?:{'|'.join(_JOINERS)})\n|\n(?:{'|'.join(_JOINERS)})\b", re.IGNORECASE)
_LOOK_BACK = 96
_MOST_WORDS = 10


def find_internet(text: str, stretches: Sequence[Stretch]) -> Iterator[Hit]:
    """Emails, URLs and IP addresses, emails first."""
    emails = _WRITTEN_EMAIL.finditer(text) if "@" in text else ()
    written = [Hit(*match.span(), "EMAIL", match[0].casefold()) for match in emails]
    yield from written
    yield from _spoken_emails(text, stretches, known={hit.end for hit in written})
    yield from _ips(text, stretches)
    for match in _URL.finditer(text) if _URL_SIGN.search(text) else ():
        words = match[0].rstrip(".,;:!?)'\"")
        yield Hit(match.start(), match.start() + len(words), "URL", _fold_domain(words))


def _spoken_emails(text: str, stretches: Sequence[Stretch], known: set[int]) -> Iterator[Hit]:
    for match in _ANCHOR.finditer(text):
        if match.end() in known:
            continue
        language = language_at(stretches, match.start())
        start = _local_start(text, match.start(), language)
        if start < match.start() and (match["domain"] or _is_sure(text, start, match, language)):
            local = _fold_local(text[start : match.start()], language)
            yield Hit(start, match.end(), "EMAIL", f"{local}@{_fold_domain(match['domain'] or match['service'])}")


def _is_sure(text: str, start: int, match: re.Match[str], language: str) -> bool:
    """Whether what stands before "at gmail" is said like an address, or called one."""
    words = text[start : match.start()].lower().split()
    if _MAIL_CUE.search(text, max(0, start - _LOOK_BACK), start) or any(
        word in _JOINERS or word in number_words(language) or not word.isalpha() for word in words
    ):
        return True
    before = _WORD_BEFORE.search(text, max(0, start - _LOOK_BACK), start)
    is_told = before is not None and before[1].lower() in _TOLD
    return bool(match["mail"]) and (is_told or not given_names().isdisjoint(words))


def _local_start(text: str, end: int, language: str) -> int:
    """Where the name before an "at" begins; `end` itself where no name stands there."""
    # a name goes on from one segment to the next only around a "dot"
    first = max(0, end - _LOOK_BACK)
    line = text.rfind("\n", first, end)
    if line >= 0 and not _JOINED_LINES.search(text, first, end):
        first = line
    words = [(first + match.start(), match[0]) for match in _WORD.finditer(text[first:end])][-_MOST_WORDS - 1 :]
    if not words or not _may_be_name(words[-1][1]):
        return end
    place = len(words) - 1
    while place > 0:
        before, word = words[place - 1][1], words[place][1]
        if before.lower() in _JOINERS and place > 1 and _may_be_name(words[place - 2][1]):
            place -= 2
        elif _goes_on(before, word, language) and not text[words[place - 1][0] + len(before) : words[place][0]].strip(
            " ,"
        ):
            place -= 1
        else:
            break
    return words[_reach_cue(words, place)][0]


def _goes_on(before: str, word: str, language: str) -> bool:
    if before[-1] == ".":
        return False
    folded = before.lower()
    if folded in number_words(language) or before.isdecimal():
        return True
    if len(before) == 1:
        return folded not in ("a", "i") or len(word) == 1
    return folded in given_names() or (before[0].isupper() and word[0].isupper() and _may_be_name(before))


def _may_be_name(word: str) -> bool:
    return (len(word) == 1 or word.lower() not in _NO_NAMES) and word[-1] != "."


def _reach_cue(words: list[tuple[int, str]], place: int) -> int:
    """Behind "email is" up to three words more belong to the name: "my email is smith family at ..."."""
    for back in range(place - 1, max(-1, place - 4), -1):
        word = words[back][1].lower().rstrip(".,")
        if word in _CUES:
            return back + 1
        if not _may_be_name(words[back][1]):
            break
    return place


def _ips(text: str, stretches: Sequence[Stretch]) -> Iterator[Hit]:
    for pattern in (_IPV4, _IPV6) if ":" in text else (_IPV4,):
        for match in pattern.finditer(text):
            words = match[0]
            if _is_ip(words):
                yield Hit(match.start(), match.end(), "IP", words.lower())
    if not re.search(_SPOKEN_DOT, text, re.IGNORECASE):
        return
    for start, end, language in stretches:
        for match in _spoken_ip(language).finditer(text, start, end):
            groups = re.split(_SPOKEN_DOT, match[0], flags=re.IGNORECASE)
            address = ".".join(_read_figures(group, language) for group in groups)
            if _is_ip(address):
                yield Hit(*match.span(), "IP", address)


def _is_ip(words: str) -> bool:
    try:
        ip_address(".".join(part.lstrip("0") or "0" for part in words.split(".")) if "." in words else words)
    except ValueError:
        return False
    return any(sign.isdigit() for sign in words)


def _read_figures(words: str, language: str) -> str:
    """The figures that are said one by one or as one number: "one ninety two" and "one nine two" are 192."""
    figures, times = "", 1
    for word in re.findall(rf"\d+|{double_pattern()}|{number_pattern(language)}", words, re.IGNORECASE):
        if re.fullmatch(double_pattern(), word, re.IGNORECASE):
            times = read_double(word)
        else:
            figures += (word if word.isdecimal() else read_number(word, language)) * times
            times = 1
    return figures


@cache
def _spoken_ip(language: str) -> re.Pattern[str]:
    number = rf"(?:\b\d{{1,3}}\b|{number_pattern(language)})"
    number = rf"(?:{double_pattern()}[ -])?{number}"
    group = rf"{number}(?:[ -]{number}){{0,2}}"
    return re.compile(rf"{group}(?:{_SPOKEN_DOT}{group}){{3}}", re.IGNORECASE)


def _fold_local(words: str, language: str) -> str:
    parts = re.split(r"[\s,]+", words.lower().strip())
    numbers = number_words(language)
    return "".join(_JOINERS.get(part) or numbers.get(part, part) for part in parts)


def _fold_domain(words: str) -> str:
    folded = re.sub(rf"[\s(\[{{]*(?:\b(?:{_DOT_WORDS}|point)\b|\.)[\s)\]}}]*", ".", words.lower())
    return re.sub(r"\s+", "", re.sub(r"\s+slash\s+", "/", folded))
