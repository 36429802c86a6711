"""The words of a text and the small closed classes of English that the writer needs.

Knows nothing of transcripts.
"""

from __future__ import annotations

import re

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
"""A word, its apostrophes included; any script."""

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
PRONOUNS = frozenset("i we he she they you it".split())
DETERMINERS = frozenset("the a an my our his her their your its this that these those another".split())
PREPOSITIONS = frozenset(
    "in at on with from to of for about by near into onto over under after before during around through without "
    "behind between beside across along against towards toward until since".split()
)
AUXILIARIES = frozenset(
    "am is are was were be been being do does did have has had will would can could shall should may might must "
    "isn't aren't wasn't weren't don't doesn't didn't haven't hasn't hadn't won't wouldn't can't cannot couldn't "
    "shouldn't mustn't needn't i'm i've i'll i'd we're we've we'll we'd he's he'll he'd she's she'll she'd it's it'll "
    "they're they've they'll they'd you're you've you'll you'd that's there's what's let's".split()
)
CONJUNCTIONS = frozenset("and or but so because if when while that which who than as though although".split())
NEGATIONS = frozenset("not no never none nothing nobody neither nor cannot without hardly".split())
_ADVERBS = frozenset(
    "really very so much just even again also too only still already yet now then here there today tonight yesterday "
    "tomorrow maybe perhaps quite pretty rather almost always ever often sometimes mostly mainly actually basically "
    "honestly probably finally anyway well like okay ok yeah yes oh um uh er erm hmm back up down out off away first "
    "longer later soon ago else instead together more most less least all both each every some any many few little "
    "lot lots bit kind sort".split()
)
_OTHER = frozenset(
    "me him us them myself himself herself itself ourselves themselves mine ours hers theirs yours what where why how "
    "whom whose something anything everything someone anyone everyone somebody anybody everybody thing things stuff "
    "way one ones going gonna got get gets getting go goes went gone come comes came make makes made take takes took "
    "say says said tell told think thought know knew want wanted need needed feel felt see saw seen keep kept give "
    "gave let put don t s re ve ll d m".split()
)
STOPWORDS = (
    PRONOUNS | DETERMINERS | PREPOSITIONS | AUXILIARIES | CONJUNCTIONS | NEGATIONS | _ADVERBS | _OTHER
)  # fmt: skip
"""Words that say nothing on their own about what a text is about."""

_ENGLISH = STOPWORDS - frozenset("um uh er erm hmm am in so an war on me".split())
"""Without small words that are small words of the neighbours of English too, and so prove nothing."""
_ENOUGH_WORDS, _ENGLISH_SHARE = 6, 0.2
_ENDINGS = ("ingly", "edly", "ings", "ing", "ied", "ies", "ed", "es", "ly", "s", "e", "y")


def fold(text: str) -> list[str]:
    """The words of `text`, case folded, with straight apostrophes."""
    return [match.casefold() for match in WORD.findall(text.replace("’", "'"))]


def looks_english(text: str) -> bool:
    """Whether a text may be English: a fifth of its words are small English ones; too few words are never doubted."""
    words = fold(text[:20_000])
    small = sum(word in _ENGLISH for word in words)
    return bool(words) and (len(words) < _ENOUGH_WORDS or small >= _ENGLISH_SHARE * len(words))


def stem(word: str) -> str:
    """A rough stem of a folded word: "planted", "plants" and "planting" meet; short words stay whole."""
    word = word.removesuffix("'s")
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def capitalise(text: str) -> str:
    """The text with its first letter in upper case; everything else stays."""
    return text[:1].upper() + text[1:]
