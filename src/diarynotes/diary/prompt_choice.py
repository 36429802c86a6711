"""Which prompt a transcript wants: that of a day for the notes of one, else by its shape: long, a list, a meeting.

Knows no prompt's text. Lists and meetings are recognised in English; other languages go by length alone.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from diarynotes.diary.numbered import number_lines
from diarynotes.diary.orders import is_order
from diarynotes.diary.words import fold
from diarynotes.models import Transcript

PromptName: TypeAlias = Literal["memo", "ramble", "meeting", "todo", "day"]
STYLES: tuple[PromptName, ...] = ("memo", "ramble", "meeting", "todo")
"""Those that an owner may choose for every note."""
PROMPTS: tuple[PromptName, ...] = (*STYLES, "day")

OF_A_DAY = "diary"
"""The engine of a transcript that is made of the notes of a day."""

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


def choose_prompt(transcript: Transcript, style: PromptName | None = None) -> PromptName:
    """The prompt for this transcript: that of a day for the notes of one, else `style`, else by its shape.

    By shape it is a list of orders, else a meeting, else a long ramble, else a short memo.
    """
    if transcript.engine == OF_A_DAY:
        return "day"
    return style or _read_shape(transcript)


def _read_shape(transcript: Transcript) -> PromptName:
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
