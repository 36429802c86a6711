"""500 private things of ten kinds in made-up transcripts, written by three clouds: none leaves, all come back.

The clouds fail now and then, so that retries, answers that go back, halves and headings are sent too. What they were
sent is searched for each thing, and for any part of it that tells whose it is.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest

from diarynotes.cost import price
from diarynotes.diary import Answer, Exchange, Private, Writer, ask_writers, open_writer
from diarynotes.diary.masking.placeholders import find_placeholders, kind_of
from diarynotes.models import Segment, Transcript
from diarynotes.settings import load_settings
from diarynotes.testing import SENTENCES, MemoryDesk
from tests.integration.vendor_server import Answer as Sent
from tests.integration.vendor_server import Seen, Vendor, rerouted, serve
from tests.integration.vendor_wire import KEY, WIRES, Wire, conversation, write_down
from tests.unit.test_masking_recall import (
    CUED,
    LISTED,
    SAID,
    STRANGE,
    SURNAMES,
    WORDS,
    address,
    card,
    dictate,
    email,
    grouped_iban,
    iban,
    ipv4,
    ipv6,
    national_id,
    phone,
    say_address,
    spoken_ip,
    spoken_phone,
    spoken_street,
    spoken_url,
    url,
)

pytestmark = pytest.mark.slow

DAY = date(2026, 11, 21)
OWNERS_LIST = tuple(f"{given} {surname}" for given in STRANGE[:6] for surname in SURNAMES)
"""Names that the owner has listed; they are said without any cue."""
CUE_NAMES = (*LISTED, *STRANGE[6:])
KINDS = ("email", "phone", "card", "iban", "id", "address", "url", "ip", "listed name", "name from a cue")
EACH = 50
LONG_SEGMENTS = 260
"""So many make a transcript that is written in parts."""
CONTEXT_TOKENS = 8_192

Maker = Callable[[random.Random], str]


def _spoken(make: Maker) -> Maker:
    """Its figures and letters, said one by one."""
    return lambda rng: dictate(re.sub(r"[ -]", "", make(rng)), rng)


MAKERS: dict[str, tuple[Maker, Maker]] = {
    "email": (email, lambda rng: say_address(email(rng))),
    "phone": (phone, spoken_phone),
    "card": (card, _spoken(card)),
    "iban": (grouped_iban, _spoken(iban)),
    "id": (national_id, _spoken(national_id)),
    "address": (address, spoken_street),
    "url": (url, spoken_url),
    "ip": (lambda rng: rng.choice([ipv4, ipv6])(rng), spoken_ip),
    "listed name": (lambda rng: rng.choice(OWNERS_LIST), lambda rng: rng.choice(OWNERS_LIST).lower()),
    "name from a cue": (lambda rng: rng.choice(CUE_NAMES), lambda rng: rng.choice(CUE_NAMES)),
}
"""How each kind is written, and how it is said."""
TEMPLATES = {kind: SAID[kind.upper()] for kind in KINDS[:8]} | {
    "listed name": ["Later {} came by.", "It rained, so {} drove home.", "The gift was from {} though."],
    "name from a cue": CUED,
}
ABROAD: dict[str, tuple[list[str], list[str], Maker]] = {
    "de": (
        ["Ich habe {} auf einen Zettel geschrieben.", "Auf dem Brief stand {} und sonst nichts."],
        ["Gestern war ich mit meinem Bruder {} am See.", "Meine Schwester {} hat gekocht."],
        lambda rng: f"Lindenallee {rng.randint(1, 99)}, {rng.randint(10000, 99999)} Kassel",
    ),
    "fr": (
        ["J'ai noté {} sur une carte.", "Il y avait {} sur la lettre."],
        ["Hier j'ai vu mon frère {} au marché.", "Ma sœur {} a fait la cuisine."],
        lambda rng: f"{rng.randint(1, 99)} rue de la {rng.choice(WORDS).title()}, {rng.randint(10000, 95000)} Lyon",
    ),
    "es": (
        ["He apuntado {} en una tarjeta.", "En la carta ponía {} y nada más."],
        ["Ayer vi a mi hermano {} en el mercado.", "Mi hermana {} hizo la cena."],
        lambda rng: f"Calle de {rng.choice(WORDS).title()} {rng.randint(1, 99)}",
    ),
}
"""For each language: what things stand in, what names stand in, its addresses."""
FILLERS = {
    "en": SENTENCES,
    "de": ("Es hat den ganzen Tag geregnet.", "Das Brot ist mir gut gelungen.", "Ich bin früh ins Bett gegangen."),
    "fr": ("Il a plu toute la journée.", "Le pain était très bon.", "Je me suis couché tôt."),
    "es": ("Ha llovido todo el día.", "El pan salió muy bueno.", "Me acosté temprano."),
}


@dataclass(frozen=True)
class Planted:
    """A private thing and how it stands in the transcript."""

    kind: str
    value: str


@dataclass
class Memo:
    """A transcript and what was planted in it."""

    transcript: Transcript
    planted: list[Planted] = field(default_factory=list)


# -- the memos --------------------------------------------------------------------------------------------------------


def make_memos(seed: int = 11) -> list[Memo]:
    """All things in memos of different lengths and languages, each once a memo."""
    rng = random.Random(seed)
    kinds = [kind for _ in range(EACH) for kind in rng.sample(KINDS, len(KINDS))]
    memos: list[Memo] = []
    while kinds:
        language = "en" if not memos else rng.choice(("en", "en", "de", "fr", "es"))
        count = 40 if not memos else rng.choice((1, 2, 5, 9, 14, 20))
        memos.append(_make_memo(rng, len(memos), language, kinds[:count]))
        del kinds[:count]
    return memos


def _make_memo(rng: random.Random, number: int, language: str, kinds: Sequence[str]) -> Memo:
    planted: list[Planted] = []
    said: list[str] = []
    for kind in kinds:
        sentence, thing = _plant(rng, kind, language, planted)
        planted.append(thing)
        said.append(sentence)
    wanted = LONG_SEGMENTS if number == 0 else len(said) + rng.randint(0, 6)
    said += [rng.choice(FILLERS[language]) for _ in range(wanted - len(said))]
    rng.shuffle(said)
    segments = tuple(Segment(float(place), place + 1.0, text) for place, text in enumerate(said))
    return Memo(Transcript(f"t{number}", f"r{number}", "file", "", language, segments, 1.0), planted)


def _plant(rng: random.Random, kind: str, language: str, before: Sequence[Planted]) -> tuple[str, Planted]:
    while True:
        sentence, value = _say(rng, kind, language)
        if value.endswith("000"):  # passes for a sum
            continue
        if not {_key(kind, value)} & {_key(thing.kind, thing.value) for thing in before}:
            return sentence, Planted(kind, value)


def _say(rng: random.Random, kind: str, language: str) -> tuple[str, str]:
    written, spoken = MAKERS[kind]
    if language == "en":
        value = rng.choice([written, spoken])(rng)
        return rng.choice(TEMPLATES[kind]).format(value), value
    things, names, street = ABROAD[language]
    value = street(rng) if kind == "address" else written(rng)
    return rng.choice(names if kind == "name from a cue" else things).format(value), value


def _key(kind: str, value: str) -> str:
    """What two ways to say the same thing have in common."""
    plain = value.lower().replace(" dot ", ".").replace(" at ", "@").replace("w w w", "www")
    if kind == "url":
        return re.sub(r"^(https?://)?(www\.)?|/.*| slash .*", "", plain)
    return kind.partition(" ")[0] + re.sub(r"\W", "", plain)


# -- the clouds -------------------------------------------------------------------------------------------------------


@dataclass
class Cloud:
    """A vendor whose model keeps every placeholder, at the second or third attempt."""

    wire: Wire
    deeds: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)

    def answer(self, seen: Seen) -> Sent:
        fault = self.wire.find_fault(seen)
        assert fault is None, fault
        asked = json.dumps(seen.body)
        self.asked[asked] += 1
        deed = random.Random(f"{self.wire.name} {asked}").choice(["well", "429", "broken", "slip", "long"])
        if self.asked[asked] > 1 or len(conversation(seen)) > 1 or "<parts>" in asked:
            deed = "well"
        if deed == "long" and conversation(seen)[0].count(" | ") < 4:
            deed = "well"
        self.deeds[deed] += 1
        return self._do(deed, seen)

    def _do(self, deed: str, seen: Seen) -> Sent:
        note = self._write(seen)
        match deed:
            case "429":
                return self.wire.refuse(429, json.dumps(seen.body["messages"]))
            case "broken":
                return self.wire.speak(seen, json.dumps(note)[:-20])
            case "slip":
                note["body"][0]["segments"] = [99_999]
            case "long":
                ends = {"stop": "max_tokens"} if self.wire.name == "anthropic" else {"finish": "length"}
                return self.wire.speak(seen, json.dumps(note)[:40], **ends)
        return self.wire.speak(seen, note)

    def _write(self, seen: Seen) -> dict[str, Any]:
        """Every line, with each person among the people and each thing to be done about it."""
        note = write_down(seen)
        if "body" not in note:
            return note
        told = [
            text[start:end]
            for text in (part["text"] for part in note["body"])
            for start, end, _ in find_placeholders(text)
        ]
        note["people"] = [placeholder for placeholder in told if kind_of(placeholder) == "PERSON"]
        note["todos"] = [{"text": f"Think of {placeholder}", "due": None} for placeholder in told]
        return note


@dataclass
class Written:
    """A memo as one writer wrote it, and its lines in the ledger."""

    memo: Memo
    answer: Answer
    masked: list[dict[str, int]]


@dataclass
class Outside:
    """All that was written, and all that was sent for it."""

    memos: list[Memo]
    clouds: dict[str, Cloud]
    vendors: dict[str, Vendor]
    written: dict[str, list[Written]]


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    options = load_settings(
        {f"{name.upper()}_API_KEY": KEY for name in WIRES}, home=tmp_path_factory.mktemp("home")
    ).writer_options
    memos = make_memos()
    clouds = {name: Cloud(wire) for name, wire in WIRES.items()}
    with ExitStack() as running:
        vendors = {name: running.enter_context(serve()) for name in WIRES}
        for name, vendor in vendors.items():
            vendor.answers = [clouds[name].answer]
        running.enter_context(rerouted({wire.host: vendors[name] for name, wire in WIRES.items()}))
        written = {}
        for name in WIRES:
            writer = open_writer(name, **options[name] | {"context_tokens": CONTEXT_TOKENS})
            with ThreadPoolExecutor(4) as pool:
                written[name] = list(pool.map(lambda memo, writer=writer: write(memo, writer), memos))
            writer.close()
        yield Outside(memos, clouds, vendors, written)


def write(memo: Memo, writer: Writer) -> Written:
    desk = MemoryDesk()
    exchange = Exchange(desk, price, "me", memo.transcript.recording_id, sleep=lambda _: None)
    private = Private(names=OWNERS_LIST, region=None)
    answer = ask_writers([writer], memo.transcript, day=DAY, private=private, exchange=exchange)
    return Written(memo, answer, [dict(line.call.masked) for line in desk.ledger()])


# -- what is looked for -----------------------------------------------------------------------------------------------


def tell_parts(thing: Planted) -> set[tuple[str, ...]]:
    """The runs of words that give a thing away: three of its words, its figures from five on, a mail's first part."""
    words = re.findall(r"\w+", thing.value.lower())
    size = 1 if "name" in thing.kind else min(3, len(words))
    parts = {tuple(words[place : place + size]) for place in range(len(words) - size + 1)}
    parts |= {(word,) for word in words if len(re.findall(r"\d", word)) >= 5}
    if thing.kind == "email":
        parts.add(tuple(re.findall(r"\w+", re.split(r"@| at ", thing.value.lower())[0])))
    return parts


def runs_of(text: str, size: int) -> set[tuple[str, ...]]:
    """All runs of so many words in a text."""
    words = re.findall(r"\w+", text.lower())
    return set(zip(*(words[place:] for place in range(size)), strict=False))


def sent_to(vendor: Vendor) -> str:
    """All that a vendor was sent, headers and paths too; what was sent many times once."""
    strings = (part for seen in vendor.seen for part in (seen.path, *seen.headers.values(), *_strings(seen.body)))
    return "\n".join(dict.fromkeys(strings))


def _strings(body: Any) -> Iterator[str]:
    if isinstance(body, dict):
        yield from body
        for part in body.values():
            yield from _strings(part)
    elif isinstance(body, list):
        for part in body:
            yield from _strings(part)
    else:
        yield str(body)


def find_leaks(memos: Sequence[Memo], text: str) -> list[Planted]:
    runs = {size: runs_of(text, size) for size in range(1, 6)}
    plain = " ".join(text.lower().split())
    return [
        thing
        for memo in memos
        for thing in memo.planted
        if (" " in thing.value and thing.value.lower() in plain)
        or any(part in runs.get(len(part), ()) for part in tell_parts(thing))
    ]


# -- what came of it --------------------------------------------------------------------------------------------------


def test_five_hundred_things_of_ten_kinds_are_planted(outside: Outside) -> None:
    planted = Counter(thing.kind for memo in outside.memos for thing in memo.planted)
    assert planted == dict.fromkeys(KINDS, EACH)
    assert planted.total() == 500
    lengths = {len(memo.transcript.segments) for memo in outside.memos}
    assert min(lengths) < 5
    assert max(lengths) == LONG_SEGMENTS
    assert {memo.transcript.language for memo in outside.memos} == {"en", "de", "fr", "es"}


def test_each_would_be_found_where_it_is_not_masked(outside: Outside) -> None:
    """The search sees what it is to see."""
    for memo in outside.memos:
        assert find_leaks([memo], memo.transcript.text) == memo.planted


@pytest.mark.parametrize("name", WIRES)
def test_none_of_them_leaves(outside: Outside, name: str) -> None:
    sent = sent_to(outside.vendors[name])
    assert find_leaks(outside.memos, sent) == []
    assert not [surname for surname in (*SURNAMES, *STRANGE) if surname.lower() in sent.lower()]


@pytest.mark.parametrize("name", WIRES)
def test_they_were_sent_in_every_way(outside: Outside, name: str) -> None:
    """Retries, answers that go back, halves, parts and headings were among it."""
    deeds, seen = outside.clouds[name].deeds, outside.vendors[name].seen
    assert min(deeds[deed] for deed in ("well", "429", "broken", "slip", "long")) > 2, deeds
    assert [each for each in seen if len(conversation(each)) > 1]
    assert [each for each in seen if "<parts>" in conversation(each)[0]]
    assert [each for each in seen if "part 2 of" in " ".join(_strings(each.body))]


@pytest.mark.parametrize("name", WIRES)
def test_all_of_them_come_back_where_they_were(outside: Outside, name: str) -> None:
    for written in outside.written[name]:
        draft, transcript = written.answer.draft, written.memo.transcript
        assert [part.text for part in draft.body] == [segment.text for segment in transcript.segments]
        assert not written.answer.findings
        assert not find_placeholders(repr(draft))
        # what stood alone in other places of the answer
        assert all(todo.text.removeprefix("Think of ") in transcript.text for todo in draft.todos)
        assert all(name in transcript.text for name in draft.people)
        assert len(draft.todos) >= len({thing.value for thing in written.memo.planted})


@pytest.mark.parametrize("name", WIRES)
def test_the_ledger_counts_what_was_masked(outside: Outside, name: str) -> None:
    """Each call says how many things of each kind it did not show; an id without its checksum's name is a number."""
    for written in outside.written[name]:
        planted = Counter(_kind_of(thing.kind) for thing in written.memo.planted)
        assert written.masked
        for masked in written.masked:
            told = Counter[str]()
            for kind, count in masked.items():
                told[_kind_of(kind.lower())] += count
            assert all(told[kind] >= count for kind, count in planted.items()), (planted, masked)


def _kind_of(kind: str) -> str:
    """Numbers may pass for one another."""
    if "name" in kind or kind == "person":
        return "person"
    return "number" if kind in ("phone", "id", "card", "iban", "number") else kind
