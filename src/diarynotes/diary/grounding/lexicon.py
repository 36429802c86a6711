"""Which words of English stand for the same thing: their roots, synonyms, opposites, and kinds.

The lists lie beside this module as text. Knows nothing of sentences.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.resources import files

from diarynotes.diary.words import stem

_NEGATING_PREFIXES = ("un", "in", "im", "dis", "ir", "non")
_DEGREES = ("er", "est")


@lru_cache(maxsize=8192)
def lemma(word: str) -> str:
    """The root of a folded word: "stopped" and "stop", "wrote" and "write", "easily" and "easier" meet."""
    word = word.removesuffix("'s")
    root = stem(_forms().get(word, word))
    for ending in _DEGREES:
        if root.endswith(ending) and len(root) - len(ending) >= 3:
            root = root[: -len(ending)]
    if len(root) > 3 and root[-1] == "i":
        root = root[:-1]
    return root[:-1] if len(root) > 3 and root[-1] == root[-2] else root


@lru_cache(maxsize=8192)
def synonyms(root: str) -> frozenset[str]:
    """The roots that may stand for this one, itself not among them."""
    return _synonyms().get(root, frozenset())


@lru_cache(maxsize=8192)
def opposites(root: str) -> frozenset[str]:
    """The roots that say the contrary of this one: listed pairs, and what a prefix such as "un" makes or unmakes."""
    prefixed = {prefix + root for prefix in _NEGATING_PREFIXES}
    bare = {root[len(prefix) :] for prefix in _NEGATING_PREFIXES if root.startswith(prefix) and len(root) > 5}
    return _opposites().get(root, frozenset()) | prefixed | bare


@cache
def kinds() -> dict[str, tuple[int, int]]:
    """Roots of words of which one cannot stand for another: the number of the kind, and of the word in it."""
    return {
        lemma(word): (kind, place)
        for kind, line in enumerate(_read_lines("kinds.txt"))
        for place, words in enumerate(line.split())
        for word in words.split("/")
    }


def narrower(root: str) -> frozenset[str]:
    """The roots that are enough for a topic of this root: "doctor" for "health"."""
    return _narrower().get(root, frozenset())


@cache
def _narrower() -> dict[str, frozenset[str]]:
    lines = (tuple(map(lemma, line.split())) for line in _read_lines("broader.txt"))
    return {topic: frozenset(words) for topic, *words in lines}


@cache
def _forms() -> dict[str, str]:
    return {form: base for base, *forms in map(str.split, _read_lines("forms.txt")) for form in forms}


def is_past(word: str) -> bool:
    """Whether a folded word is a verb in a past form, so that it may begin a clause after "and"."""
    return (word.endswith("ed") and len(word) > 4) or word in _forms()


@cache
def _synonyms() -> dict[str, frozenset[str]]:
    return _link([frozenset(map(lemma, line.split())) for line in _read_lines("synonyms.txt")])


@cache
def _opposites() -> dict[str, frozenset[str]]:
    return _link([frozenset(map(lemma, line.split())) for line in _read_lines("opposites.txt")])


def _link(groups: list[frozenset[str]]) -> dict[str, frozenset[str]]:
    """Each root with all that share a group with it."""
    linked: dict[str, frozenset[str]] = {}
    for group in groups:
        for root in group:
            linked[root] = linked.get(root, frozenset()) | (group - {root})
    return linked


def _read_lines(name: str) -> list[str]:
    lines = (files(__package__) / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]
