"""Finds what the speaker means to do: intentions, reminders, lists and appointments, with the date that was said.

What was done, refused, wondered about or promised by others is no todo. Works on tidied sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date

from diarynotes.diary.corrections import is_corrected
from diarynotes.diary.dates import find_date
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
_MUST = (
    r"(?:have to|need to|must|should|ought to|have got to|gotta|got to|had better|(?:promised|plan|intend|mean)(?: \w+)? to|"
    r"want to|(?:will|am going to|are going to|am gonna))"
)
_CUE = re.compile(
    rf"\b(?:(?:I|we)\s+{_SOMETIMES}(?P<must>{_MUST})"
    r"|(?P<short>(?:I|we)['’](?:ll|ve got to|ve promised to|d better)|(?:I['’]m|we['’]re) (?:going to|gonna|supposed to))"
    rf")\s+{_SOMETIMES}(?=[a-z])"
    r"|\b(?P<note>remember to|(?:don['’]t|do not|mustn['’]t|must not|can['’]t|cannot) forget (?:to|about)?|"
    r"don['’]t let me forget to|remind me to|"
    r"make sure (?:to|I|we)|note to self,?:?|to[ -]do:?)\s+",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(
    r"[.!?;]|,?\s+(?:but|because|since|although|though|so that|so (?=I\b|we\b|he\b|she\b|they\b|it\b)|which|otherwise|or else)\b"
    r"|,\s+(?=(?:the|it|it's|its|that|that's|he|she|they|there|there's|i|i'm|i've|we|we're|my|and i|and we|and then i|and the|and it|and he|and she|and they)\b)"
    r"|\s+(?=and (?:then )?(?:i|we|he|she|they|it)\b)|\s+(?=then (?:i|we)\b)",
    re.IGNORECASE,
)
_DEADLINE = re.compile(
    r"\b(?:runs? out|expires?|due|deadline|ends|closes?|last day|until|by|before|is on)\b", re.IGNORECASE
)
_CONDITION = re.compile(r"\bif\b[^,.;!?]*$", re.IGNORECASE)
_NO_CUE_BEFORE = frozenset(
    "if when what whether how why where all thing things everything whatever that's until unless who than think's".split()
)
_NO_ACTION = re.compile(
    r"(?:say|admit|see\b(?! (?:the|a|my|dr|doctor|him|her|them)\b)|never|always|not|laugh|confess|wonder|"
    r"be (?:honest|fair|fine|ok|okay|able|glad|happy|sad|sorry|sure|careful what)|have (?:been|done|gone|said|\w+ed)|"
    r"miss|know|feel|believe|love|like|hate|cry|scream|die|sleep for|be (?:a|the)|remember (?:this|that|it|how|what)|"
    r"hope|guess|think|forget|live with)\b",
    re.IGNORECASE,
)
_BE = re.compile(r"be (?:there|back|at|in|on|home|ready|up|out)\b", re.IGNORECASE)
_VERBS = frozenset(
    "add apologise apologize apply arrange ask assemble bake back bring brush build buy cancel catch change charge check "
    "choose clean clear close collect compare confirm contact cook copy cut decide defrost deliver deposit describe dig "
    "discuss download draw drive drop dust email empty enrol exchange explain feed figure file fill find finish fix fetch "
    "fold follow forward get give go grab hand hang help hire iron invite install inform join keep knit learn leave lend "
    "let listen look mail make measure meet mend message move mow negotiate notify open order organise organize pack "
    "paint pay phone pick plan plant post practise practice prepare print publish put read rebook recharge record refill "
    "register remind remove renew rent repair replace reply report request reschedule research reserve return review "
    "ring rinse run schedule scan sell send set shave sign sort speak start stop store submit sweep swap take talk tell "
    "test text thank throw tidy top train transfer translate try turn unpack unplug update upload use vacuum visit wait "
    "walk wash watch water weed weigh wipe withdraw work wrap write book call".split()
)
_ALSO_NOUNS = frozenset(
    "back book build call catch change charge check clean close cook copy cut dig draw drive drop dust email empty file "
    "fill find fix fold forward help hire iron keep look mail measure message move open order pack paint pay phone pick "
    "plan plant post practice print put read record rent repair reply report request research return review ring run "
    "scan set sign sort start stop store sweep swap talk test text top train transfer turn try update use visit wait "
    "walk wash watch water weed work wrap go get let clear train leave take make learn join".split()
)
_PARTICLES = frozenset("up out off down back over away through round around in on to for him her them it me us".split())
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
_PAST = re.compile(r"\b(?:was|were|had|went|did|didn['’]t|wasn['’]t|got|if|no longer|not)\b", re.IGNORECASE)


def find_todos(sentences: Iterable[str], day: date) -> tuple[Todo, ...]:
    """The todos in the order said, each once; "tomorrow" and the like count from `day`."""
    texts = list(sentences)
    in_list = any(_LIST.search(text) for text in texts[:2])
    found: dict[str, Todo] = {}
    for number, text in enumerate(texts):
        if not text.endswith("?") and not is_corrected(text):
            for todo in _read_sentence(text, day, in_list=in_list and len(texts) > 1, is_heading=number == 0):
                found.setdefault(" ".join(fold(todo.text)), todo)
    return tuple(found.values())


def _read_sentence(text: str, day: date, *, in_list: bool, is_heading: bool) -> list[Todo]:
    cues = list(_CUE.finditer(text))
    todos = [
        todo
        for cue, end in zip(cues, [*(cue.start() for cue in cues[1:]), len(text)], strict=False)
        if (todo := _read_intention(text, cue, end, day))
    ]
    if todos or cues:
        return todos
    bare = _LEADS.sub("", text)
    if _is_imperative(bare):
        return _read_orders(bare, day)
    event = _EVENT.search(text)
    if event and not _PAST.search(text) and find_date(text, day):
        return [Todo(_finish(text), find_date(text, day))]
    if in_list and not is_heading and _is_item(bare):
        return [Todo(_finish(bare), find_date(bare, day))]
    return []


def _read_intention(text: str, cue: re.Match[str], end: int, day: date) -> Todo | None:
    lead = text[: cue.start()]
    last = (fold(lead) or [""])[-1]
    rest = text[cue.end() : end]
    action = _cut(rest)
    if last in _NO_CUE_BEFORE or (last == "that" and cue["must"]) or not _is_action(action, cue):
        return None
    condition = _CONDITION.search(lead)
    if condition:
        action = f"{condition[0].strip(' ,')}, {action}"
    due = find_date(action, day) or _find_deadline(rest, day) or find_date(re.split(r"[,;]| and ", lead)[-1], day)
    return Todo(_finish(action), due)


def _is_action(action: str, cue: re.Match[str]) -> bool:
    words = fold(action)
    if not words or _NO_ACTION.match(action) or words[0] in PRONOUNS | CONJUNCTIONS | DETERMINERS:
        return bool(words) and cue["note"] is not None and words[0] not in CONJUNCTIONS
    must = (cue["must"] or cue["short"] or "").lower()
    if words[0] == "be":
        return bool(_BE.match(action)) and must not in ("should", "want to")
    if "going" in must or "gonna" in must or must.startswith(("want", "should")):
        return words[0] in _VERBS or (must.startswith("should") and words[0] not in PREPOSITIONS)
    return words[0] not in PREPOSITIONS and (len(words) > 1 or words[0] in _VERBS)


def _cut(text: str) -> str:
    """The clause up to where the speaker goes on to something else."""
    match = _CLAUSE_END.search(text)
    return (text[: match.start()] if match else text).strip(" ,")


def _find_deadline(text: str, day: date) -> date | None:
    match = _DEADLINE.search(text)
    return find_date(text[match.start() :], day) if match else None


def _is_imperative(text: str) -> bool:
    """Whether a sentence begins with a verb in its plain form and something to do it to."""
    words = fold(text)
    if len(words) < 2 or words[0] not in _VERBS:
        return words[:2] == ["don't", "forget"]
    following = words[1]
    if following in AUXILIARIES | {"and", "or", "is", "was"}:
        return False
    if words[0] not in _ALSO_NOUNS:
        return True
    return following in DETERMINERS | _PARTICLES or text.split()[1][:1].isupper()


def _read_orders(text: str, day: date) -> list[Todo]:
    """One todo for each order in a row: "call the dentist, renew the permit and buy milk"."""
    parts = [part for part in re.split(r",\s+(?:and\s+)?(?:then\s+)?|\s+and\s+(?:then\s+)?", text) if part]
    orders: list[str] = []
    for part in parts:
        if not orders or (_is_imperative(part) and fold(part)[:1] != fold(orders[-1])[:1]):
            orders.append(part)
        else:
            begin = text.index(orders[-1])
            orders[-1] = text[begin : text.index(part, begin + len(orders[-1])) + len(part)]
    due = _find_deadline(text, day)
    return [
        Todo(_finish(_cut(order)), find_date(_cut(order), day) or (due if len(orders) == 1 else None))
        for order in orders
    ]


def _is_item(text: str) -> bool:
    """Whether a sentence of a list names a thing and no more: "Two litres of milk." """
    words: Sequence[str] = fold(text)
    return 0 < len(words) <= 10 and not (set(words) & (PRONOUNS | AUXILIARIES))


def _finish(text: str) -> str:
    return capitalise(text.strip(" ,;.!"))
