"""Finds what the speaker means to do: intentions, reminders, lists and appointments, with the date that was said.

What was done, refused, wondered about or promised by others is no todo. Works on tidied sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date

from diarynotes.diary.corrections import is_corrected
from diarynotes.diary.dates import find_date
from diarynotes.diary.orders import ERRANDS, is_order, split_orders
from diarynotes.diary.words import (
    AUXILIARIES,
    CONJUNCTIONS,
    DETERMINERS,
    PREPOSITIONS,
    PRONOUNS,
    capitalise,
    fold,
)
from diarynotes.models import Todo

_SOMETIMES = r"(?:(?:really|also|still|just|definitely|probably|absolutely|then|finally|seriously|only)\s+)?"
_CUE = re.compile(
    rf"""\b(?:
        (?:I|we)\s+{_SOMETIMES}(?P<must>
            (?:have|need|ought|want|have\ got|got)\ to | must | should | gotta | had\ better | will
            | (?:promised|plan|intend|mean)(?:\ \w+)?\ to | (?:am|are)\ going\ to | am\ gonna )
        | (?P<short>
            (?:I|we)['’](?:ll|ve\ got\ to|ve\ promised\ to|d\ better)
            | (?:I['’]m|we['’]re)\ (?:going\ to|gonna|supposed\ to) )
        | (?P<vow>
            I(?:\ have|['’]ve)?\ (?:promised|told)\ (?:my\ )?\w+\ (?:that\ )?I(?:['’]d|\ would|['’]ll|\ will)
            | I\ promised\ (?:my\ )?\w+\ to )
        )\s+{_SOMETIMES}(?:(?:have|need)\ to\s+)?(?=[a-z])
    | (?:^|(?<=[,;]\s))(?:(?:and|so|just|still|also|then)\s+)?(?P<bare>(?:have|need|got)\ to | must | gotta)\s+(?=[a-z])
    | \b(?P<note>
        remember\ to | remind\ me\ to | don['’]t\ let\ me\ forget\ to | make\ sure\ (?:to|I|we)
        | (?:don['’]t|do\ not|mustn['’]t|must\ not|can['’]t|cannot)\ forget(?:\ to|\ about|:)?
        | note\ to\ self,?:? | to[ -]do:? )\s+""",
    re.IGNORECASE | re.VERBOSE,
)
_CLAUSE_END = re.compile(
    r"""[.!?;]
    | ,?\s+but\ (?=(?:I|we|he|she|they|it|you|the|that|there|my|not)\b)
    | ,?\s+(?:because|since|although|though|so\ that|which|otherwise|or\ else)\b
    | ,?\s+so\ (?=(?:I|we|he|she|they|it)\b)
    | ,\s+(?=(?:and\ )?(?:then\ )?(?:the|it|its|it's|that|that's|he|she|they|there|there's|i|i'm|i've|we|we're|my)\b)
    | \s+(?=(?:and\ )?then\ (?:i|we|he|she|they|it)\b)
    | \s+(?=and\ (?:i|we|he|she|they|it)\b)""",
    re.IGNORECASE | re.VERBOSE,
)
_DEADLINE = re.compile(
    r"\b(?:runs? out|expires?|due|deadline|ends|closes?|last day|until|by|before|is on)\b", re.IGNORECASE
)
_CONDITION = re.compile(r"\bif\b[^,.;!?]*$", re.IGNORECASE)
_NO_CUE_BEFORE = frozenset(
    "if when what whether how why where all thing things everything whatever that's until unless who than".split()
)
_NO_ACTION = re.compile(
    r"(?:say|admit|confess|wonder|laugh|never|always|not|see\b(?! (?:the|a|my|dr|doctor|him|her|them)\b)|"
    r"keep (?:this|it) (?:short|brief|quick)|be (?:a|the|honest|fair|fine|ok|okay|able|glad|happy|sad|sorry|sure)|"
    r"miss|know|feel|believe|love|like|hate|cry|scream|die|sleep for|remember (?:this|that|it|how|what)|"
    r"hope|guess|think|forget|live with)\b",
    re.IGNORECASE,
)
_BE = re.compile(r"be (?:there|back|at|in|on|home|ready|up|out)\b", re.IGNORECASE)
_LIST = re.compile(
    r"\b(?:list|to[ -]do|to[ -]dos|shopping|groceries|before i forget|reminders?|errands|need from|things to)\b",
    re.IGNORECASE,
)
_LEADS = re.compile(
    r"^(?:(?:and|also|then|please|plus|oh|next|finally|first|second|third|lastly)[,:]?\s+)+", re.IGNORECASE
)
_EVENT = re.compile(
    r"\b(?:appointment|meeting|interview|exam|flight|train|deadline|party|wedding|funeral|concert|class|course|lesson|"
    r"dentist|surgery|operation|scan|check-?up|rehearsal|viewing|delivery|inspection|presentation|hearing)\b"
    r"(?P<rest>.*\b(?:is|are|starts|leaves|begins|moved to|will be|at)\b.*)",
    re.IGNORECASE,
)
_PLAN = re.compile(r"\b(?:I['’]m|we['’]re|I am|we are) (?!going to|supposed)\w+ing\b", re.IGNORECASE)
_LOOSE_END = re.compile(r"(?:[\s,]+(?:and then|and|or|but|so|also|maybe|I think|I guess))+$", re.IGNORECASE)
_LAST_CLAUSE = re.compile(r"[,;]| and ")
_PAST = re.compile(r"\b(?:was|were|had|went|did|didn['’]t|wasn['’]t|got|if|no longer|not)\b", re.IGNORECASE)


def find_todos(sentences: Iterable[str], day: date) -> tuple[Todo, ...]:
    """The todos in the order said, each once; "tomorrow" and the like count from `day`."""
    texts = list(sentences)
    in_list = len(texts) > 1 and any(_LIST.search(text) for text in texts[:2])
    found: dict[str, Todo] = {}
    for number, text in enumerate(texts):
        if not text.endswith("?"):
            for todo in _read_sentence(text, day, in_list=in_list and number > 0):
                found.setdefault(" ".join(fold(todo.text)), todo)
    return tuple(found.values())


def _read_sentence(text: str, day: date, *, in_list: bool) -> list[Todo]:
    bare = _LEADS.sub("", text)
    if is_corrected(text):
        # which part still holds is for the reader to say, so all of it stays together
        is_plan = (is_order(bare) or _CUE.search(text)) and "scratch that" not in text.lower()
        return [Todo(_finish(bare))] if is_plan else []
    cues = list(_CUE.finditer(text))
    if cues:
        ends = [*(cue.start() for cue in cues[1:]), len(text)]
        return [it for cue, end in zip(cues, ends, strict=True) for it in _read_intention(text, cue, end, day)]
    if is_order(bare):
        return _read_orders(bare, day)
    due = find_date(text, day)
    if due and due >= day and (_EVENT.search(text) or _PLAN.search(text)) and not _PAST.search(text):
        return [Todo(_finish(_strip_day(text)), due)]
    return [Todo(_finish(bare), find_date(bare, day))] if in_list and _is_item(bare) else []


def _read_intention(text: str, cue: re.Match[str], end: int, day: date) -> list[Todo]:
    lead = text[: cue.start()]
    last = (fold(lead) or [""])[-1]
    rest = text[cue.end() : end]
    if last in _NO_CUE_BEFORE or (last == "that" and cue["must"]):
        return []
    condition = _CONDITION.search(lead)
    before = f"{condition[0].strip(' ,')}, " if condition else ""
    lead_day = find_date(_LAST_CLAUSE.split(lead)[-1], day)
    return [
        Todo(_finish(before + action), find_date(action, day) or _find_deadline(rest, day) or lead_day)
        for action in map(_cut, re.split(r",? and to (?=[a-z])", _cut(rest)))
        if _is_action(action, cue)
    ]


def _is_action(action: str, cue: re.Match[str]) -> bool:
    words = fold(action)
    if not words or words[0] in CONJUNCTIONS:
        return False
    if cue["note"]:
        return True
    if _NO_ACTION.match(action) or words[0] in PRONOUNS | DETERMINERS | PREPOSITIONS:
        return False
    must = (cue["must"] or cue["short"] or cue["vow"] or cue["bare"]).lower()
    if words[0] == "be":
        return bool(_BE.match(action)) and must not in ("should", "want to")
    if words[0] == "have":
        return must.endswith("to")
    if "going" in must or "gonna" in must or must.startswith("want"):
        return words[0] in ERRANDS
    return len(words) > 1 or words[0] in ERRANDS


def _strip_day(text: str) -> str:
    return re.sub(r"^(?:today|tomorrow|tonight),?\s+", "", text, flags=re.IGNORECASE)


def _cut(text: str) -> str:
    """The clause up to where the speaker goes on to something else."""
    match = _CLAUSE_END.search(text)
    return _LOOSE_END.sub("", (text[: match.start()] if match else text).strip(" ,"))


def _find_deadline(text: str, day: date) -> date | None:
    match = _DEADLINE.search(text)
    return find_date(text[match.start() :], day) if match else None


def _read_orders(text: str, day: date) -> list[Todo]:
    orders = [_cut(order) for order in split_orders(text)]
    due = _find_deadline(text, day) if len(orders) == 1 else None
    return [Todo(_finish(order), find_date(order, day) or due) for order in orders]


def _is_item(text: str) -> bool:
    """Whether a sentence of a list names a thing and no more: "Two litres of milk." """
    words: Sequence[str] = fold(text)
    return 0 < len(words) <= 10 and not (set(words) & (PRONOUNS | AUXILIARIES))


def _finish(text: str) -> str:
    return capitalise(text.strip(" ,;.!"))
