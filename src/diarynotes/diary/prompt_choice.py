"""Which prompt a transcript wants, by its shape: how long it is, and whether it lists orders or tells of a meeting.

Knows no prompt's text. Lists and meetings are recognised in English; other languages go by length alone.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from diarynotes.diary.numbered import number_lines
from diarynotes.diary.orders import is_order
from diarynotes.diary.words import fold
from diarynotes.models import Transcript

PromptName: TypeAlias = Literal["memo", "ramble", "meeting", "todo"]
PROMPTS: tuple[PromptName, ...] = ("memo", "ramble", "meeting", "todo")

_LONG_WORDS = 450
"""About three minutes of speech; from there on people come back to what they said before."""
_LEAST_ORDERS, _ORDER_SHARE = 3, 0.4
_LEAST_MEETING_SIGNS = 2
_LEAD = re.compile(r"^(?:(?:and|also|then|please|oh|next|first|second|third|lastly|finally|okay|um)[,:]?\s+)+", re.I)
_DUTY = re.compile(r"\b(?:I|we) (?:have to|need to|must)\b|\b(?:don['’]t forget|remember|remind me) to\b", re.I)
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_MEETING = (
    r"\b(?:meeting|stand-?up|conference call|call with (?!mum|mom|dad)|retro(?:spective)?|workshop)\b",
    r"\b(?:agenda|minutes|attendees|participants|action items?|next steps|follow-?ups?)\b",
    r"\b(?:we|they|everyone|the team) (?:all )?(?:agreed|decided|settled|voted|signed off)\b",
    r"\b(?:budget|deadline|milestone|deliverables?|contract|supplier|client|customer|roadmap|sprint|quarter)\b",
    r"\b[A-Z]\w+ (?:will|is going to|takes over|takes care of|owns|sends|delivers|reports)\b",
)
_MEETING_SIGNS = tuple(re.compile(sign) if "[A-Z]" in sign else re.compile(sign, re.I) for sign in _MEETING)


def choose_prompt(transcript: Transcript) -> PromptName:
    """The prompt for this transcript: a list of orders, else a meeting, else a long ramble, else a short memo."""
    lines = [line.text for line in number_lines(transcript)]
    sentences = [sentence for line in lines for sentence in _SENTENCE.split(line)]
    orders = sum(bool(is_order(_LEAD.sub("", sentence)) or _DUTY.search(sentence)) for sentence in sentences)
    if orders >= _LEAST_ORDERS and orders >= _ORDER_SHARE * len(sentences):
        return "todo"
    text = " ".join(lines)
    if sum(bool(sign.search(text)) for sign in _MEETING_SIGNS[:3]) and _count_signs(text) > _LEAST_MEETING_SIGNS:
        return "meeting"
    return "ramble" if len(fold(text)) >= _LONG_WORDS else "memo"


def _count_signs(text: str) -> int:
    return sum(bool(sign.search(text)) for sign in _MEETING_SIGNS)
