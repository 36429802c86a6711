"""Finds where one sentence ends and the next begins in words without punctuation.

Goes by the small words of English: a subject that nothing before it asks for begins a sentence. It would rather leave
two sentences in one than cut one in two.
"""

from __future__ import annotations

from diarynotes.diary.figures import is_number_word
from diarynotes.diary.words import AUXILIARIES, CONJUNCTIONS, DETERMINERS, PREPOSITIONS, PRONOUNS, fold

_SUBJECTS = PRONOUNS | {word for word in AUXILIARIES if "'" in word and not word.endswith("n't")}
_LINKS = frozenset("and but so then because".split())
_MINDS = frozenset(
    "think thinks thought know knows knew say says said hope hoped guess wish feel feels felt tell told mean means "
    "believe wonder see saw hear heard suppose remember forget promised realised realized sure glad sorry afraid "
    "proud happy sad worried way time day thing things everything something anything what how where why whatever "
    "all like as not let lets make makes made ask asked".split()
)
_DAYS = frozenset("today tomorrow yesterday tonight now then maybe".split())
_BINDERS = CONJUNCTIONS | PREPOSITIONS | AUXILIARIES | DETERMINERS | _MINDS | _DAYS | {"i", "we", "he", "she", "they"}
_HANGING = (CONJUNCTIONS | PREPOSITIONS | DETERMINERS | AUXILIARIES | {"i", "we", "he", "she", "they"}) - frozenset(
    "in on about by near over under after before around through along across since though that this those these her "
    "am is are was were be do does did have has had can could will would should may might must".split()
)  # fmt: skip
_AHEAD = frozenset("will i'll we'll he'll she'll they'll to must should gonna call email buy".split())
_SHORT, _LONG, _LONGEST = 5, 25, 45
"""Words: none is cut off shorter than the first; from the second on cuts are bolder; the third is never passed."""


def hangs(text: str) -> bool:
    """Whether the last word of `text` asks for more, so that a sentence cannot end there."""
    words = fold(text)
    return bool(words) and (words[-1] in _HANGING or text.rstrip().endswith(","))


def split_run(words: list[str]) -> list[str]:
    """Cuts a run of words into sentences of at most 45 words, numbers never in two; joined again they are the run."""
    folded = [next(iter(fold(word)), "") for word in words]
    parts, begin = [], 0
    for index in range(1, len(words)):
        length, left = index - begin, len(words) - index
        if length < _SHORT or (left < 3 and length < _LONGEST):
            continue
        if _may_cut(folded, index, length):
            parts.append(" ".join(words[begin:index]))
            begin = index
    return [*parts, " ".join(words[begin:])]


def _may_cut(words: list[str], index: int, length: int) -> bool:
    word, before = words[index], words[index - 1]
    after = words[index + 1] if index + 1 < len(words) else ""
    if is_number_word(before) and (is_number_word(word) or (word == "and" and is_number_word(after))):
        return False
    if length >= _LONGEST:
        return True
    if word in _LINKS and before not in _LINKS:
        wanted = _SHORT if word == "and" else _SHORT + 3
        return length >= wanted and word != "because" and (after in _SUBJECTS or after == "then" or length >= _LONG)
    if word == "tomorrow" and after in _SUBJECTS:
        # the day goes with what is still to come, unless what came before it is still to come as well
        return not _AHEAD & set(words[index - length : index])
    if word not in _SUBJECTS or before in (CONJUNCTIONS | PREPOSITIONS | DETERMINERS | AUXILIARIES):
        return False
    # "the book i read": a subject after "the" and a noun may belong to the noun
    relative = words[index - 2] in DETERMINERS
    return length >= _LONG or not (before in _BINDERS or relative)
