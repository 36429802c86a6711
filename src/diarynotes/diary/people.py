"""Finds the people that were spoken of: by kinship, by title, by given names, and by the words around them.

Works with and without capitals. A name that neither stands in the list nor behind a telling word is not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from diarynotes.diary.lists import doubtful_names, given_names, toponyms
from diarynotes.diary.tokens import Token
from diarynotes.diary.words import AUXILIARIES, DETERMINERS, MONTHS, STOPWORDS, WEEKDAYS

_TITLES = frozenset(
    "doctor dr professor prof mr mrs ms miss mister aunt auntie uncle sister father nurse coach".split()
)
_PARENTS = frozenset(
    "mum mom mam mama mummy mommy dad daddy papa grandma grandpa granny granddad grandad nan nana gran".split()
)
_KIN = frozenset(
    "mother father brother sister wife husband son daughter partner girlfriend boyfriend uncle aunt auntie cousin "
    "nephew niece grandmother grandfather boss manager colleague neighbour neighbor friend landlord landlady "
    "therapist flatmate roommate twin fiance fiancee godmother godfather teacher".split()
)
_STEPS = frozenset("big little older younger eldest oldest youngest best old twin half former new".split())
_WITH = frozenset("with told tell met meet meeting asked ask thanked hugged kissed invited named saw and".split())
_NAMING = frozenset("called named".split())
_NAMED = _KIN | frozenset(
    "boy girl man woman guy lady kid baby dog cat puppy kitten someone somebody bloke person student child".split()
)
_DOES = frozenset(
    "said says told tells asked asks called calls rang rings came comes laughed laughs cried cries smiled wants wanted "
    "thinks thought texted texts emailed wrote writes sent sends brought brings promised agreed offered hugged "
    "answered replied explained invited suggested moved married knows knew loves loved hates felt feels looked will "
    "would hasn't has had didn't doesn't can can't cannot is was and".split()
)
_SPEAKS = frozenset(
    "said says asked asks laughed laughs cried smiled thinks texted emailed wrote promised hugged answered replied "
    "explained invited suggested married told tells rang sends".split()
)
_NO_NAMES = (
    STOPWORDS | frozenset(WEEKDAYS) | frozenset(MONTHS) | _PARENTS | _KIN | _TITLES
    | frozenset("god christmas easter english german french spanish italian polish dutch work traffic dinner".split())
)  # fmt: skip
_STRANGE = frozenset("the a an his their your".split())
"""Before "mum" these say that it is not the speaker's; "her mum" is let through, for "that's her, Mum" is likelier."""
_IN_ANY_CASE = _PARENTS | _TITLES | {"my"}
"""With these a person begins, whether the engine wrote a capital or not."""
_WHERE = frozenset("in from to near at through via towards around".split())


def find_people(sentences: Iterable[Sequence[Token]], *, cased: bool) -> tuple[str, ...]:
    """The people in the order of their first mention, each once, with capitals; "my sister" where no name is known.

    `cased` says whether the engine wrote capitals, so that they mean something.
    """
    found: dict[str, str] = {}
    for tokens in sentences:
        index = 0
        while index < len(tokens):
            name, length = _read_person(tokens, index, cased=cased)
            if name:
                found.setdefault(name.lower(), name)
            index += length or 1
    return _merge(found)


def _read_person(tokens: Sequence[Token], index: int, *, cased: bool) -> tuple[str, int]:
    """The person that begins at `index` and how many words name them; ("", 0) for none."""
    token = tokens[index]
    if cased and not token.is_capital and token.word not in _IN_ANY_CASE:
        return "", 0
    before = tokens[index - 1].word if index and not token.follows_sign else ""
    if token.word in _PARENTS:
        return (token.word.capitalize(), 1) if before not in _STRANGE else ("", 0)
    if token.word in _TITLES and before not in DETERMINERS and index + 1 < len(tokens):
        return _read_titled(tokens, index, cased=cased)
    if token.word == "my":
        return _read_kin(tokens, index, cased=cased)
    if _is_name(tokens, index, cased=cased):
        surname = _surname(tokens, index, cased=cased)
        return " ".join([token.text.capitalize() if not cased else token.text, *surname]), 1 + len(surname)
    return "", 0


def _read_titled(tokens: Sequence[Token], index: int, *, cased: bool) -> tuple[str, int]:
    title, following = tokens[index], tokens[index + 1]
    if following.follows_sign and title.word not in ("dr", "mr", "mrs", "ms", "prof"):
        return "", 0
    if following.word in _NO_NAMES or (cased and not following.is_capital) or following.word[0].isdigit():
        return "", 0
    if (
        not cased
        and not (following.word in given_names() or following.word in doubtful_names())
        and title.word in ("sister", "father", "coach", "nurse")
    ):
        return "", 0
    surname = _surname(tokens, index + 1, cased=cased)
    return " ".join([title.word.capitalize(), _capital(following.text), *surname]), 2 + len(surname)


def _read_kin(tokens: Sequence[Token], index: int, *, cased: bool) -> tuple[str, int]:
    place = index + 1
    while place < len(tokens) and tokens[place].word in _STEPS:
        place += 1
    if place >= len(tokens) or tokens[place].word not in _KIN or any(t.follows_sign for t in tokens[index + 1 : place]):
        return "", 0
    if place + 1 < len(tokens) and not tokens[place].is_possessive:
        following = tokens[place + 1]
        is_known = following.word in given_names() or (
            following.word in doubtful_names() and following.word not in ("will", "may")
        )
        if not following.follows_sign and (is_known or (cased and _is_free_capital(following))):
            surname = _surname(tokens, place + 1, cased=cased)
            return " ".join([_capital(following.text), *surname]), place + 2 - index + len(surname)
    return " ".join(["my", *(token.word for token in tokens[index + 1 : place + 1])]), place + 1 - index


def _is_name(tokens: Sequence[Token], index: int, *, cased: bool) -> bool:
    token = tokens[index]
    before = tokens[index - 1].word if index else ""
    after = tokens[index + 1].word if index + 1 < len(tokens) else ""
    if (cased and not token.is_capital) or (token.word in _NO_NAMES and token.word not in doubtful_names()):
        return False
    if (token.word,) in toponyms() and before in _WHERE:
        return False
    if token.word in given_names():
        return before not in ("the", "a", "an") or not cased
    is_named = before in _NAMING and index > 1 and tokens[index - 2].word in _NAMED
    if token.word in doubtful_names():
        return _is_doubtful_name(token, before, after, is_named=is_named, cased=cased)
    if not cased:
        return is_named and token.word not in STOPWORDS
    return _is_free_capital(token) and (
        is_named or (not token.is_first and before in _WITH and after not in ("team", "office")) or _acts(token, after)
    )


def _is_doubtful_name(token: Token, before: str, after: str, *, is_named: bool, cased: bool) -> bool:
    is_led = before in _WITH - {"and", "saw", "meeting"} or is_named
    if not cased:
        return is_led and token.word not in ("will", "may", "art", "till") and after != "of"
    if token.word in MONTHS or (token.word,) in toponyms():
        return is_led
    return not token.is_first or after in _SPEAKS or after in AUXILIARIES - {"be", "have", "do"} or token.is_possessive


def _acts(token: Token, after: str) -> bool:
    """Whether what follows a capital is what only people do; at a sentence's start more must speak for a name."""
    if (token.word,) in toponyms():
        return False
    return after in (_SPEAKS if token.is_first else _DOES - {"and", "is", "was", "has", "had"})


def _is_free_capital(token: Token) -> bool:
    return token.is_capital and token.word not in _NO_NAMES and len(token.word) > 1 and not token.text.isupper()


def _surname(tokens: Sequence[Token], index: int, *, cased: bool) -> list[str]:
    if not cased or index + 1 >= len(tokens) or tokens[index].is_possessive:
        return []
    following = tokens[index + 1]
    is_surname = _is_free_capital(following) and not following.follows_sign and not following.is_first
    return [following.text] if is_surname else []


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _merge(found: dict[str, str]) -> tuple[str, ...]:
    """Without the short form of a name that is also there in full: "Anna" beside "Anna Berg"."""
    return tuple(
        name
        for key, name in found.items()
        if not any(key != other and f" {key} " in f" {other} " for other in found)
    )  # fmt: skip
