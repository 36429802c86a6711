"""Finds the places that were spoken of: towns, and the everyday places one is in, at, or on the way to.

Works with and without capitals. A town that is neither in the list nor written with a capital behind a telling word is
not seen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from diarynotes.diary.lists import given_names, toponyms
from diarynotes.diary.tokens import Token
from diarynotes.diary.words import DETERMINERS, MONTHS, STOPWORDS, WEEKDAYS

_NOUNS = frozenset(
    "garden kindergarten cemetery office train flat park beach hospital station airport gym school church market "
    "supermarket library cafe café kitchen bakery dentist's lake river cinema museum restaurant pub bar pool hotel "
    "farm town village bank pharmacy university campus court bus plane ferry boat mountains mountain hill seaside sea "
    "coast balcony playground nursery clinic surgery workshop studio allotment shop mall theatre theater stadium "
    "harbour harbor bridge apartment house woods forest zoo castle palace gallery cathedral mosque temple synagogue "
    "dentist vet hairdresser barber hostel campsite tram tube underground car canteen lab laboratory warehouse site "
    "street square terrace attic basement cellar garage shed greenhouse bedroom bathroom cabin cottage island valley "
    "desert border embassy consulate ward motorway highway platform terminal monastery fair festival stage club "
    "countryside city hall tower roof bookshop store factory plant "
    "college classroom cliffs waterfall trail orchard vineyard field fields meadow hills canal port marina".split()
)
_PAIRS = frozenset(
    {
        ("post", "office"),
        ("town", "hall"),
        ("living", "room"),
        ("waiting", "room"),
        ("meeting", "room"),
        ("car", "park"),
    }
    | {("swimming", "pool"), ("train", "station"), ("bus", "stop"), ("bus", "station"), ("petrol", "station")}
    | {("city", "hall"), ("city", "centre"), ("town", "centre"), ("shopping", "centre"), ("coffee", "shop")}
    | {("old", "town"), ("operating", "room"), ("emergency", "room"), ("police", "station"), ("health", "centre")}
    | {
        ("care", "home"),
        ("nursing", "home"),
        ("ice", "rink"),
        ("concert", "hall"),
        ("book", "shop"),
        ("gas", "station"),
    }
)
_NEAR = frozenset(
    "in at to from near through into on onto around by outside inside behind across along past towards toward under "
    "of off over leave left reached visited visit visiting about with before".split()
)
_LOOSE = frozenset("of about with before over by on".split())
"""Prepositions that place something only before what one lives or travels in: "the thing with the flat"."""
_LIVED_IN = frozenset(
    "flat house apartment garden train bus plane ferry boat tram kitchen office farm allotment".split()
)
_ON = frozenset("train bus plane ferry boat tram tube balcony beach coast terrace island roof bridge platform".split())
_QUALITIES = frozenset("new old big small little local same whole other next nice empty tiny lovely main".split())
_BARE = frozenset("kindergarten school church university nursery college hospital campus town".split())
_TRAVEL = frozenset(
    "went go going gone goes drive drove driving fly flew flying flight travel travelled traveled travelling train "
    "trip journey moved move moving way back bus ferry walked cycled headed heading sail sailed arrived ticket "
    "tickets road photos pictures postcard come came".split()
)
_GROUPS = frozenset("team office plant branch site trip train flight people conference project factory store".split())
_INTO = frozenset("in near through across around outside via".split())
_HAS_PLACE = frozenset("place house flat apartment garden kitchen office room farm parents".split())
_NAMED_BEFORE = frozenset("lake mount loch cape port saint st san santa".split())
_NAMED_AFTER = frozenset(
    "street road avenue park square station beach bridge castle hospital airport market hall island valley bay hill "
    "river lake museum library university school church cathedral hotel garden gardens".split()
)
_NO_TOWN = (
    STOPWORDS | frozenset(WEEKDAYS) | frozenset(MONTHS)
    | frozenset("english german french spanish italian polish dutch christmas easter god mum mom dad".split())
)  # fmt: skip


def find_places(
    sentences: Iterable[Sequence[Token]], *, people: Collection[str], cased: bool
) -> tuple[str, ...]:  # fmt: skip
    """The places in the order of their first mention, each once; `people` are the names that are no places."""
    persons = {word.lower() for name in people for word in name.split()}
    found: dict[str, str] = {}
    for tokens in sentences:
        index = 0
        while index < len(tokens):
            place, length = _read_place(tokens, index, persons, cased=cased)
            if place:
                found.setdefault(place.lower(), place)
            index += length or 1
    return tuple(found.values())


def _read_place(
    tokens: Sequence[Token], index: int, persons: Collection[str], *, cased: bool
) -> tuple[str, int]:  # fmt: skip
    return (
        _read_toponym(tokens, index, persons, cased=cased)
        or _read_owned(tokens, index, cased=cased)
        or _read_named(tokens, index, cased=cased)
        or _read_noun(tokens, index)
        or (_read_unknown(tokens, index, persons) if cased else None)
        or ("", 0)
    )


def _read_toponym(
    tokens: Sequence[Token], index: int, persons: Collection[str], *, cased: bool
) -> tuple[str, int] | None:  # fmt: skip
    for length in (3, 2, 1):
        part = tokens[index : index + length]
        words = tuple(token.word for token in part)
        if len(part) < length or words not in toponyms() or (cased and not part[-1].is_capital):
            continue
        before = tokens[index - 1].word if index else ""
        is_person = length == 1 and (words[0] in persons or words[0] in given_names()) and before not in _INTO | {"to"}
        if not is_person:
            return " ".join(word.capitalize() for word in words), length
    return None


def _read_owned(tokens: Sequence[Token], index: int, *, cased: bool) -> tuple[str, int] | None:
    """ "Hana's place", "my parents' house" """
    if index + 1 >= len(tokens):
        return None
    owner, thing = tokens[index], tokens[index + 1]
    is_owner = owner.is_possessive and (owner.is_capital if cased else owner.word in given_names())
    if not is_owner or owner.word in _NO_TOWN - {"mum", "mom", "dad"} or thing.word not in _HAS_PLACE:
        return None
    return f"{owner.text[:1].upper()}{owner.text[1:]}'s {thing.word}", 2


def _read_named(tokens: Sequence[Token], index: int, *, cased: bool) -> tuple[str, int] | None:
    """ "Lake Como", "Hyde Park", "King Street": a common word that a name makes a place."""
    pair = tokens[index : index + 2]
    if len(pair) < 2 or pair[1].follows_sign or pair[0].is_possessive or pair[0].word in _NO_TOWN:
        return None
    is_street = (
        pair[1].word in ("street", "avenue", "road") and index > 0 and tokens[index - 1].word in ("on", "in", "at")
    )
    is_name = pair[1].is_capital and (
        (pair[0].is_capital and pair[1].word in _NAMED_AFTER) or pair[0].word in _NAMED_BEFORE
    )
    if not (is_name if cased else is_street) and not (is_street and pair[1].is_capital):
        return None
    return " ".join(token.text[:1].upper() + token.text[1:] for token in pair), 2


def _read_noun(tokens: Sequence[Token], index: int) -> tuple[str, int] | None:
    words = [token.word for token in tokens[index : index + 2]]
    length = 2 if tuple(words) in _PAIRS else 1
    if length == 1 and words[0] not in _NOUNS and words[0] != "home":
        return None
    place = index - 1
    while place >= 0 and tokens[place].word in _QUALITIES and not tokens[place + 1].follows_sign:
        place -= 1
    has_determiner = place >= 0 and tokens[place].word in DETERMINERS
    lead = tokens[place - 1].word if has_determiner and place else tokens[place].word if place >= 0 else ""
    if words[0] == "home":
        return ("home", 1) if lead == "at" and not has_determiner else None
    if tokens[index].is_possessive or not _is_led(lead, words[0], length, has_determiner=has_determiner):
        return None
    return " ".join(words[:length]), length


def _is_led(lead: str, noun: str, length: int, *, has_determiner: bool) -> bool:
    if lead not in _NEAR or (lead == "on" and noun not in _ON):
        return False
    if lead in _LOOSE - {"on"} and noun not in _LIVED_IN:
        return False
    return has_determiner or noun in _BARE or length == 2


def _read_unknown(tokens: Sequence[Token], index: int, persons: Collection[str]) -> tuple[str, int] | None:
    """Capitals behind "in", behind "to" or "from" on a journey, or between "the" and a word such as "team"."""
    end = index
    while end < len(tokens) and _may_be_town(tokens[end], persons) and (end == index or not tokens[end].follows_sign):
        end += 1
    if end == index or not index or tokens[index].is_first:
        return None
    before, after = tokens[index - 1].word, tokens[end].word if end < len(tokens) else ""
    recent = {token.word for token in tokens[max(0, index - 5) : index - 1]}
    is_town = (
        before in _INTO
        or (before in ("to", "from", "at", "for", "towards") and bool(recent & _TRAVEL))
        or (before == "the" and after in _GROUPS)
        or (before == "the" and index > 1 and tokens[index - 2].word in _INTO)
    )
    return (" ".join(token.text for token in tokens[index:end]), end - index) if is_town else None


def _may_be_town(token: Token, persons: Collection[str]) -> bool:
    is_free = token.word not in _NO_TOWN and token.word not in persons and token.word not in given_names()
    return token.is_capital and is_free and not token.is_possessive and len(token.word) > 2
