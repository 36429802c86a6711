"""Memos made by chance from a seed, and the falsehoods and paraphrases that are made of their notes.

Knows nothing of how a note is checked: what is changed is known from how the memo was made, not read by the checks.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from diarynotes.models import Segment, Sentence, Transcript
from diarynotes.testing import SENTENCES

PEOPLE = "Anna Marcus Priya Tomas Hana Leo Sofia Ewa Ben Lucia Pavel Greta Omar Ines Yusuf Clara".split()
STRANGERS = "Walter Bettina Rashid Noemi Gustav Zelda Ambrose Keiko".split()
TOWNS = "Lisbon Leeds Vienna Bristol Krakow Ghent Oslo Turin".split()
FAR_TOWNS = "Madrid Glasgow Berlin Prague Dublin Boston".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February April June July August September October November December".split()
NUMBERS = {
    "three": "3",
    "four": "4",
    "six": "6",
    "seven": "7",
    "twelve": "12",
    "fifteen": "15",
    "eighteen": "18",
    "twenty two": "22",
    "thirty five": "35",
    "forty": "40",
    "fifty six": "56",
    "eighty": "80",
    "a hundred and ten": "110",
    "two hundred and forty": "240",
    "three thousand": "3,000",
}
ORDINALS = {
    "third": "3rd",
    "fifth": "5th",
    "ninth": "9th",
    "twelfth": "12th",
    "fourteenth": "14th",
    "nineteenth": "19th",
    "twenty first": "21st",
    "twenty eighth": "28th",
}
TIMES = {
    "half past seven": "7:30",
    "half past nine": "9:30",
    "quarter to six": "5:45",
    "quarter past ten": "10:15",
    "eight thirty": "8:30",
    "ten to four": "3:50",
    "five past two": "2:05",
    "eleven fifteen": "11:15",
}
TEMPLATES = tuple(
    """{p} called at {time} and we talked about the move to {town}.
We planted {n} strawberry plants and I watered all of them.
The appointment with Doctor {p} is on {day} at {time}.
I didn't go to the gym because my knee was hurting again.
I haven't told {p} about the letter yet.
The landlord wants {n} euros more, and I think that is too much.
{p} was in a bad mood and did not say a word at dinner.
I have to send the form before the {ord} of {month}.
The train to {town} was {n} minutes late.
I really liked the soup that {p} made.
I don't think the new software is any better than the old one.
My sister is coming on {day} and she is bringing the children.
We walked {n} kilometres along the river and saw two herons.
{p} said that the report was good but the numbers were wrong.
I never got an answer from the bank.
I'm not going to buy the car after all.
The kids were not tired at all, so we read {n} stories.
I woke up at {time} and couldn't fall asleep again.
Yesterday I finally finished the book that {p} gave me.
Tomorrow I want to bake the cake for the party in {town}.
The heating broke, and the plumber can't come before {day}.
I paid {n} euros for the ticket to {town}.
It was the best concert I have ever been to.
There was nobody in the office apart from {p}.
I am worried about the exam on the {ord}.
{p} and I had an argument about money, and I felt awful.
We need {n} chairs and {m} tables for the wedding.
The doctor says that my blood pressure is fine.
My boss was not happy with the presentation on {day}.
I lost my keys somewhere between the shop and the station.
The flight leaves at {time} on the {ord} of {month}.
I spoke with {p} for {n} minutes and it helped.
The dog wouldn't eat anything, so I phoned the vet.
We moved the meeting from {day} to {otherday}.
I was proud of {p} because she passed the test.
I can't find the passport anywhere.
We stayed in {town} for {n} days and it never rained.
I forgot to cancel the subscription again.
It will be {n} years in {month} since grandpa died.
I don't regret the decision at all.
{p} wants to open a small bakery in {town}.
I slept only {n} hours, but I feel surprisingly good.
The neighbours complained about the noise in the evening.
I am not angry with {p} anymore.
I decided to start piano lessons in {month}.
The parcel for {p} has still not arrived.
I ran {n} kilometres this morning and my legs are heavy.
{p} will pick me up at the station at {time}.
Nobody remembered my birthday except {p}.
The garden looks wonderful after the rain.
I need to buy bread, {n} eggs and coffee.
Mum is having her operation on {day}, and I am nervous.""".splitlines()
)
FILLERS = ("", "", "", "", "Um, ", "So ", "Okay so ", "Well, ", "And ")
EVENTS = tuple(
    """The fire brigade had to rescue a cat from the roof.
I won second prize in a photography competition.
My cousin crashed his motorbike into a fence.
We went to the cinema and watched a western.
The police stopped us on the motorway.
I adopted a parrot from the shelter.
Somebody stole my umbrella at the museum.
I drank far too much wine and danced on the table.
The electricity went out and we lit candles.
I signed a contract for a new apartment.
We ordered pizza and played chess until midnight.
My tooth broke while I was eating nuts.
I burned my hand on the stove.
The boiler exploded and flooded the cellar.
I quit smoking.
I kissed a stranger.
A journalist interviewed me about the strike.
I fell off a ladder and sprained my wrist.""".splitlines()
)
CLAUSES = tuple(
    """and then we went to the cinema
and afterwards I bought an electric guitar
because the police had closed the bridge
which made my colleagues laugh out loud
and later a thunderstorm flooded the cellar
so I ordered a huge pizza
while somebody played the violin
and the waiter spilled wine over my shirt
after a terrible nightmare
and I burst into tears
but the fire alarm interrupted us
and my cousin broke his arm
which cost me a fortune
because I was hungover
and it snowed
as the newspaper had predicted""".splitlines()
)
LIES = (
    "I will never come back here",
    "this is the happiest day of my life",
    "you should be ashamed of yourself",
    "nothing matters anymore",
)
_DROPPED = (
    *(
        (" didn't ", " did "),
        (" did not ", " did "),
        (" don't ", " do "),
        (" can't ", " can "),
        (" haven't ", " have "),
    ),
    *(
        (" couldn't ", " could "),
        (" wouldn't ", " would "),
        (" not ", " "),
        ("I never ", "I "),
        (" never ", " always "),
    ),
    *((" nobody ", " somebody "), ("Nobody ", "Everybody "), ("I'm not ", "I'm "), (" wasn't ", " was ")),
)
_ADDED = (
    *(
        (" was ", " was not "),
        (" is ", " isn't "),
        (" are ", " are not "),
        (" were ", " weren't "),
        (" will ", " won't "),
    ),
    *((" wants ", " doesn't want "), (" have to ", " don't have to "), (" need to ", " don't need to ")),
    *((" can ", " can't "), (" am ", " am not "), (" called", " didn't call"), (" said that", " didn't say that")),
    *(
        (" slept ", " didn't sleep "),
        (" paid ", " did not pay "),
        (" woke ", " did not wake "),
        (" lost ", " didn't lose "),
    ),
    *((" felt ", " did not feel "), (" spoke ", " didn't speak "), (" ran ", " didn't run "), (" had ", " had no ")),
    *((" want to ", " don't want to "), (" looks ", " doesn't look "), (" says ", " doesn't say ")),
)
_PAST = re.compile(r"\b(I|We|we|[A-Z][a-z]+|It|[a-z]+) ((?!need|hundred|tired)[a-z]{2,}[^e\W])ed\b")
_SAME = (
    *(
        (r"\bI'm\b", "I am"),
        (r"n't\b", " not"),
        (r"\bca not\b", "cannot"),
        (r"\bI've\b", "I have"),
        (r"\bwo not\b", "will not"),
    ),
    *((r"\bhave to\b", "must"), (r"\bfinally \b", ""), (r"\breally \b", ""), (r"\bso (?=I|we)", "and therefore ")),
    *((r"\bcalled\b", "phoned"), (r"\btalked\b", "spoke"), (r"\bbuy\b", "get"), (r"\bkids\b", "children")),
    *(
        (r"\bsays that\b", "said"),
        (r"\bis coming\b", "will come"),
        (r"\bwants\b", "wanted"),
        (r"\bawful\b", "terrible"),
    ),
    *(
        (r"\bfinished\b", "finish"),
        (r"\bphoned the vet\b", "called the vet"),
        (r"\bnobody\b", "no one"),
        (r"\bMum\b", "My mother"),
    ),
    *(
        (r"\bspoke with\b", "talked to"),
        (r"\bwonderful\b", "lovely"),
        (r"\bnervous\b", "anxious"),
        (r"\btoo much\b", "too high"),
    ),
)


@dataclass(frozen=True, slots=True)
class Memo:
    """A transcript, and what was filled into its sentences: kind and words, by segment number."""

    transcript: Transcript
    slots: tuple[tuple[int, str, str], ...]


def make_memo(number: int, chance: random.Random) -> Memo:
    """A memo of 6 to 12 segments; every third one as a plain engine writes it, without signs and capitals."""
    bare = number % 3 == 2
    count = chance.randint(6, 12)
    lines = chance.sample(TEMPLATES, count - 2) + chance.sample(SENTENCES, 2)
    chance.shuffle(lines)
    slots: list[tuple[int, str, str]] = []
    segments = []
    for place, line in enumerate(lines):
        text, filled = _fill(line, chance)
        slots += [(place, kind, words) for kind, words in filled]
        filler = chance.choice(FILLERS)
        text = filler + (
            text[0].lower() + text[1:] if filler and text[:2] not in ("I ", "I'") and not _is_name(text) else text
        )
        text = re.sub(r"[.,]", "", text).lower() if bare else text
        segments.append(Segment(place * 5.0, place * 5.0 + 4.5, text))
    return Memo(Transcript(f"t{number}", f"r{number}", "made", "made", "en", tuple(segments), 1.0), tuple(slots))


def _is_name(text: str) -> bool:
    return text.split()[0] in (*PEOPLE, *DAYS, "Mum")


def _fill(line: str, chance: random.Random) -> tuple[str, list[tuple[str, str]]]:
    """A template with its slots filled, and what was put where."""
    day, other = chance.sample(DAYS, 2)
    number, second = chance.sample(list(NUMBERS), 2)
    values = {"p": chance.choice(PEOPLE), "town": chance.choice(TOWNS), "day": day, "otherday": other, "n": number}
    values |= {"m": second, "time": chance.choice(list(TIMES)), "ord": chance.choice(list(ORDINALS))}
    values["month"] = chance.choice(MONTHS)
    used = [key for key in values if f"{{{key}}}" in line]
    return line.format_map(values), [(key, values[key]) for key in used]


def paraphrase(text: str, slots: tuple[tuple[int, str, str], ...]) -> str:
    """The same said otherwise: figures for words, full forms, other words, the reason first."""
    for _, kind, words in slots:
        other = {**NUMBERS, **ORDINALS, **TIMES}.get(words)
        if other and kind in ("n", "m", "ord", "time"):
            text = re.sub(rf"\b{words}\b", other, text, count=1, flags=re.IGNORECASE)
    for pattern, other in _SAME:
        text = re.sub(pattern, other, text)
    reason = re.fullmatch(r"(.+?),? because (.+)\.", text)
    return f"Because {reason[2]}, {reason[1]}." if reason else text


Lie = Callable[[Sentence, Memo, random.Random], Sentence | None]
"""Makes a falsehood of a true sentence; None where it holds nothing to falsify."""


def _swap(
    sentence: Sentence, memo: Memo, kinds: tuple[str, ...], pool: list[str], chance: random.Random
) -> Sentence | None:
    """The sentence with one slot of these kinds filled with something that was not said in its segments."""
    said = " ".join(memo.transcript.segments[number].text for number in sentence.evidence).lower()
    here = [words for place, kind, words in memo.slots if place in sentence.evidence and kind in kinds]
    here = [words for words in here if re.search(rf"\b{words}\b", sentence.text, re.IGNORECASE)]
    others = [other for other in pool if other.lower() not in said and not any(other in words for words in here)]
    if not here or not others:
        return None
    words, other = chance.choice(here), chance.choice(others)
    return Sentence(re.sub(rf"\b{words}\b", other, sentence.text, flags=re.IGNORECASE), sentence.evidence)


def _change_number(sentence: Sentence, memo: Memo, chance: random.Random) -> Sentence | None:
    said = {words for place, kind, words in memo.slots if kind in ("n", "m") and place in sentence.evidence}
    pool = [form for words, figures in NUMBERS.items() if words not in said for form in (words, figures)]
    return _swap(sentence, memo, ("n", "m"), pool, chance)


def _change_time(sentence: Sentence, memo: Memo, chance: random.Random) -> Sentence | None:
    said = {TIMES[words] for place, kind, words in memo.slots if kind == "time" and place in sentence.evidence}
    pool = [form for words, figures in TIMES.items() if figures not in said for form in (words, figures)]
    return _swap(sentence, memo, ("time",), pool, chance)


def _change_date(sentence: Sentence, memo: Memo, chance: random.Random) -> Sentence | None:
    kind, pool = chance.choice([("day", DAYS), ("ord", list(ORDINALS)), ("month", MONTHS)])
    changed = _swap(sentence, memo, (kind,), pool, chance)
    for kinds, others in ((("day", "otherday"), DAYS), (("ord",), list(ORDINALS)), (("month",), MONTHS)):
        changed = changed or _swap(sentence, memo, kinds, others, chance)
    if changed:
        return changed
    text = sentence.text.replace("Tomorrow", "Yesterday") if "Tomorrow" in sentence.text else None
    return Sentence(text, sentence.evidence) if text else None


def _swap_name(sentence: Sentence, memo: Memo, chance: random.Random) -> Sentence | None:
    known = [words for _, kind, words in memo.slots if kind == "p"]
    return _swap(sentence, memo, ("p",), known, chance)


def _invent_name(sentence: Sentence, memo: Memo, chance: random.Random) -> Sentence | None:
    pools = [("p", STRANGERS), ("town", FAR_TOWNS)]
    chance.shuffle(pools)
    found = (_swap(sentence, memo, (kind,), pool, chance) for kind, pool in pools)
    return next((changed for changed in found if changed), None)


def _add_event(sentence: Sentence, memo: Memo, chance: random.Random) -> Sentence:  # noqa: ARG001
    return Sentence(chance.choice(EVENTS), sentence.evidence)


def _add_clause(sentence: Sentence, memo: Memo, chance: random.Random) -> Sentence:  # noqa: ARG001
    sign = chance.choice((" ", ", "))
    return Sentence(f"{sentence.text.rstrip('.!?')}{sign}{chance.choice(CLAUSES)}.", sentence.evidence)


def _drop_not(sentence: Sentence, memo: Memo, chance: random.Random) -> Sentence | None:  # noqa: ARG001
    return _replace_one(sentence, _DROPPED, chance)


def _add_not(sentence: Sentence, memo: Memo, chance: random.Random) -> Sentence | None:  # noqa: ARG001
    if re.search(r"n't\b|\b(?:not|no|nobody|never|only|forgot)\b", sentence.text, re.IGNORECASE):
        return None
    changed = _replace_one(sentence, _ADDED, chance)
    past = _PAST.search(sentence.text)
    if past and (changed is None or chance.random() < 0.5):
        text = f"{sentence.text[: past.start()]}{past[1]} didn't {past[2]}{sentence.text[past.end() :]}"
        changed = Sentence(text, sentence.evidence)
    return changed


def _replace_one(sentence: Sentence, pairs: tuple[tuple[str, str], ...], chance: random.Random) -> Sentence | None:
    fitting = [(old, new) for old, new in pairs if old in sentence.text]
    if not fitting:
        return None
    old, new = chance.choice(fitting)
    return Sentence(sentence.text.replace(old, new, 1), sentence.evidence)


def _misquote(sentence: Sentence, memo: Memo, chance: random.Random) -> Sentence:
    """A lie in quotation marks, or what was said with one of its words left out."""
    words = memo.transcript.segments[sentence.evidence[0]].text.rstrip(".").split()
    if len(words) > 6 and chance.random() < 0.5:
        cut = chance.randrange(3, len(words) - 2)
        cut -= words[cut] == "so"  # a filler may be left out
        return Sentence(f'I said: "{" ".join(words[2:cut] + words[cut + 1 :])}"', sentence.evidence)
    return Sentence(f'{sentence.text.rstrip(".")}: "{chance.choice(LIES)}".', sentence.evidence)


LIES_BY_KIND: dict[str, Lie] = {
    "changed number": _change_number,
    "name of the same memo": _swap_name,
    "foreign name": _invent_name,
    "added event, a sentence": _add_event,
    "added event, a clause": _add_clause,
    "dropped negation": _drop_not,
    "added negation": _add_not,
    "changed date": _change_date,
    "changed time": _change_time,
    "false quote": _misquote,
}
