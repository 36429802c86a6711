"""Whether what a list of a note names was said: people, places, topics.

Goes by words, and in scripts without blanks by characters. A topic may be a broader word for what was said, where the
list `broader.txt` knows it.
"""

from __future__ import annotations

import re

from diarynotes.diary.grounding.content import share_said
from diarynotes.diary.grounding.lexicon import lemma, narrower
from diarynotes.diary.grounding.memo import Memo
from diarynotes.diary.grounding.names import is_said
from diarynotes.diary.grounding.reading import Reading
from diarynotes.diary.grounding.signs import is_unspaced
from diarynotes.diary.words import STOPWORDS

_HALF = 0.5
_LEAST_PART = 4
"""Letters from which on a word may be a part of a longer one, as in German."""
_TITLES = re.compile("(?:さん|さま|様|くん|君|ちゃん|先生|氏|先生|小姐|女士|씨|님)$")


def is_name_said(name: str, memo: Memo) -> bool:
    """Whether a person or place was named so: every word with a capital, and half of all."""
    claim, said = memo.read(name), memo.whole
    if is_unspaced(name):
        return _TITLES.sub("", "".join(name.split())) in said.letters
    small = STOPWORDS if claim.english else frozenset()
    capitals = [token.word for token in claim.tokens if token.is_capital and token.word not in STOPWORDS]
    if not claim.content and not claim.words <= said.words | small:
        return False
    return share_said(claim, said) >= _HALF and all(is_said(word, said) or said.holds(lemma(word)) for word in capitals)


def is_topic_said(topic: str, memo: Memo) -> bool:
    """Whether any word of a topic was said, or one that is enough for it."""
    claim, said = memo.read(topic), memo.whole
    if is_unspaced(topic) and "".join(topic.split()) in said.letters:
        return True
    roots = claim.content or [lemma(word) for word in claim.words]
    return not roots or any(
        said.holds(root) or not said.roots.isdisjoint(narrower(root)) or _is_compound(root, said) for root in roots
    )


def _is_compound(root: str, said: Reading) -> bool:
    """Whether a word of another language than English is made of one that was said: "Arztbesuch" of "Arzt"."""
    return not said.english and any(
        len(word) >= _LEAST_PART and (root.startswith(word) or root.endswith(word)) for word in said.roots
    )
