"""The lists of names and towns that lie beside this module, read once.

Knows nothing of sentences.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def given_names() -> frozenset[str]:
    """Given names, in lower case, that are seldom ordinary words."""
    return frozenset(name for name in _read_names() if not name.startswith("?"))


@cache
def doubtful_names() -> frozenset[str]:
    """Given names, in lower case, that are ordinary words too, such as "rose" and "will"."""
    return frozenset(name[1:] for name in _read_names() if name.startswith("?"))


@cache
def toponyms() -> frozenset[tuple[str, ...]]:
    """Towns and countries, each as its words in lower case."""
    return frozenset(tuple(line.split()) for line in _read_lines("toponyms.txt"))


def _read_names() -> list[str]:
    return [name for line in _read_lines("names.txt") for name in line.split()]


def _read_lines(name: str) -> list[str]:
    lines = (files(__package__) / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]
