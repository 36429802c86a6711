"""Whether the date by which something is to be done was said.

Reckons from the memo's day where the words for days are known: in English and the languages that can be written as it
does. In Chinese and Japanese it knows only whether any day was spoken of.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Literal, TypeAlias

from diarynotes.diary.dates import find_dates
from diarynotes.diary.grounding.gloss import GLOSSED
from diarynotes.diary.grounding.memo import Memo
from diarynotes.diary.grounding.spans import is_within

Verdict: TypeAlias = Literal["said", "not said", "unknown"]

_RECKONED = GLOSSED | {"en"}
_ANY_DAY = {
    "zh": re.compile("[今明后後昨]天|[今明]晚|[周週]|星期|礼拜|禮拜|月|[号號日]|年底|节|節"),
    "ja": re.compile("今日|明日|あした|あす|明後日|あさって|今晩|今夜|来?週|曜|月|日|末|まで"),
}
"""Words of a day, wherever they stand in a text that has no blanks."""


def judge_due(due: date, memo: Memo, day: date) -> Verdict:
    """Whether `due` was said, reckoned from the memo's `day`; unknown where some of the speech cannot be read."""
    facts = memo.whole.facts
    if due in find_dates(facts.text, day) or is_within(due, facts.text, day):
        return "said"
    others = set(memo.languages) - _RECKONED
    if any(language not in _ANY_DAY for language in others):
        return "unknown"
    return "unknown" if any(_ANY_DAY[language].search(memo.whole.text) for language in others) else "not said"
