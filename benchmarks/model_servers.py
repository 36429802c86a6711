"""Servers on this machine that answer over HTTP as a good and as a careless model would, in two vendors' wire formats.

They are scripts, no language models, and show what the way around a model does with either kind of answer. `good` takes
sentences, names, todos and mood from the rules of the extractive writer and rewrites them closely: contractions spelled
out, words exchanged, short sentences joined. `careless` spoils that note at seeded random: other numbers and names, a
"not" dropped, events and quotes that nobody told, wrong evidence, todos and placeholders of its own; it remembers what
it planted where. The same question always gets the same answer. Tokens are counted as a quarter of the letters.
"""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from diarynotes.diary.extractive import Backend as Extractive
from diarynotes.models import Draft, Segment, Transcript

SPOILT = 0.45
"""How often a sentence of the careless model is spoilt, where it holds what can be."""
ADDED = 0.15
"""How often an event, and how often a quote, follows a sentence that nobody told."""

_LINE = re.compile(r"^(\d+) \| (.*)$", re.MULTILINE)
_DAY = re.compile(r"Day of the memo: (\d{4}-\d\d-\d\d)")
_PLACEHOLDER = re.compile(r"\[PERSON_\d+[A-Z]?\]")
_PERSON = re.compile(rf"(?:\b(?:Doctor|Dr\.|Mr\.|Mrs\.|Ms\.) )?{_PLACEHOLDER.pattern}")
_LETTERS_A_TOKEN = 4
_SHORT = 45

_REWRITTEN = tuple(
    (re.compile(pattern, re.IGNORECASE), text)
    for pattern, text in (
        (r"\bI'm\b", "I am"),
        (r"\bI'll\b", "I will"),
        (r"\b(it|that)'s got\b", r"\1 has"),
        (r"\b(it|he|she|that)'s\b", r"\1 is"),
        (r"\bcan't\b", "cannot"),
        (r"\bwon't\b", "will not"),
        (r"n't\b", " not"),
        (r"\b(?:okay|oh|you know|I mean|honestly|kind of),?\s(?=\w)", ""),
        (r"\b(for|is|was) like\b", r"\1"),
        (r"\bgoing to be\b", "about to be"),
        (r"\bI have to\b", "I must"),
        (r"\bI need to\b", "I have to"),
        (r"\ba bit\b", "a little"),
        (r"\bpick up\b", "collect"),
        (r"\bspent\b", "passed"),
        (r"\btalked\b", "spoke"),
    )
)
_LOWERED = frozenset("It He She We They The My That There This You".split())
_NUMBERS = {
    "two": "five", "three": "eight", "five": "nine", "six": "two", "seven": "four", "eight": "ten", "nine": "six",
    "ten": "twenty", "eleven": "fifteen", "twelve": "twenty", "thirty": "fifty", "forty": "sixty",
    "hundred": "thousand", "ninth": "nineteenth", "thirtieth": "thirteenth", "half": "quarter",
}  # fmt: skip
_EVENTS = (
    "Afterwards we celebrated with a bottle of champagne.",
    "On the way home I bumped into an old teacher at the supermarket.",
    "In the evening I watched a documentary about whales.",
    "The neighbours complained about the noise and called the police.",
)
_QUOTES = ("“This is the best day of my life,” I said.", "“You always do this to me,” they shouted.")
_TODOS = ({"text": "Renew the passport", "due": None}, {"text": "Book a flight to Madrid", "due": "2026-07-01"})


@dataclass(frozen=True, slots=True)
class Memo:
    """What a model was shown: numbered lines, and the day."""

    lines: tuple[tuple[int, str], ...]
    day: date


@dataclass(frozen=True, slots=True)
class Written:
    """A note as it is sent, and what was planted in each of its body sentences ("" for nothing)."""

    note: dict[str, Any]
    planted: tuple[str, ...]


Model = Callable[[Memo], Written]


@dataclass
class ModelServer:
    """A running server: its address, and what it has written, in order."""

    url: str
    written: list[Written] = field(default_factory=list)


@contextmanager
def serve_model(model: Model) -> Iterator[ModelServer]:
    """Serves `model` on a free port until the block ends, to OpenAI's and Anthropic's clients."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked = "\n".join(str(message["content"]) for message in request["messages"])
            served.written.append(model(_read_memo(asked)))
            answer = json.dumps(served.written[-1].note)
            told = f"{request.get('system', '')}\n{asked}"
            make = _as_anthropic if self.path.endswith("/messages") else _as_openai
            body = json.dumps(make(answer, len(told) // _LETTERS_A_TOKEN, len(answer) // _LETTERS_A_TOKEN)).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = ModelServer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _as_openai(answer: str, tokens_in: int, tokens_out: int) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer, "refusal": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out},
    }


def _as_anthropic(answer: str, tokens_in: int, tokens_out: int) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "scripted",
        "content": [{"type": "text", "text": answer}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": tokens_in, "output_tokens": tokens_out},
    }


def _read_memo(asked: str) -> Memo:
    found = _DAY.search(asked)
    spoken = asked.partition("<transcript>")[2].partition("</transcript>")[0]
    lines = tuple((int(number), text) for number, text in _LINE.findall(spoken))
    return Memo(lines, date.fromisoformat(found[1]) if found else date.min)


# -- a good model -----------------------------------------------------------------------------------------------------


def write_well(memo: Memo) -> Written:
    """A close note in written style: nothing added, everything with the lines that carry it."""
    segments = tuple(Segment(5.0 * place, 5.0 * place + 4, text) for place, (_, text) in enumerate(memo.lines))
    draft = Extractive().write(Transcript("t", "r", "scripted", "1", "en", segments, 1.0), day=memo.day)
    numbers = [number for number, _ in memo.lines]
    body = _join_short(
        [
            {"text": _rewrite(sentence.text), "segments": [numbers[place] for place in sentence.evidence]}
            for sentence in draft.body
        ]
    )
    return Written(_as_note(draft, body, " ".join(text for _, text in memo.lines)), ("",) * len(body))


def _as_note(draft: Draft, body: list[dict[str, Any]], spoken: str) -> dict[str, Any]:
    people = [
        *dict.fromkeys(_PERSON.findall(spoken)),
        *(name for name in draft.people if name[0].isupper() and "PERSON" not in name),
    ]
    longest = max((part["text"] for part in body), key=len, default="A memo")
    return {
        "body": body,
        "title": " ".join(longest.rstrip(".").split()[:6]),
        "summary": " ".join(part["text"] for part in body[:2]),
        "mood": {"label": draft.mood.label, "score": draft.mood.score},
        "people": people,
        "places": [name for name in draft.places if "PERSON" not in name],
        "topics": [topic for topic in draft.topics if "PERSON" not in topic][:6],
        "todos": [
            {"text": _rewrite(todo.text), "due": todo.due.isoformat() if todo.due else None} for todo in draft.todos
        ],
        "questions": list(draft.questions),
    }


def _rewrite(text: str) -> str:
    for pattern, better in _REWRITTEN:
        text = pattern.sub(better, text)
    return text[:1].upper() + text[1:]


def _join_short(parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Two short sentences in a row become one, with the lines of both."""
    joined: list[dict[str, Any]] = []
    for part in parts:
        before = joined[-1] if joined else None
        first = part["text"].split(maxsplit=1)[0]
        may_follow = first in _LOWERED or first == "I" or first.startswith("[")
        if before and may_follow and len(before["text"] + part["text"]) < 2 * _SHORT and before["text"][-1] == ".":
            rest = part["text"][:1].lower() + part["text"][1:] if first in _LOWERED else part["text"]
            named = [*dict.fromkeys((*before["segments"], *part["segments"]))]
            joined[-1] = {"text": f"{before['text'][:-1]}, and {rest}", "segments": named}
        else:
            joined.append(part)
    return joined


# -- a careless one ---------------------------------------------------------------------------------------------------


def write_carelessly(memo: Memo, *, seed: int = 0) -> Written:
    """The good model's note, spoilt; the memo's words and `seed` decide how."""
    chance = random.Random(f"{seed} {memo.lines}")
    note = write_well(memo).note
    numbers = [number for number, _ in memo.lines]
    people = [*note["people"], "Oliver"]
    body: list[dict[str, Any]] = []
    planted: list[str] = []
    for part in note["body"]:
        spoilt, what = _spoil(part, people, numbers, chance) if chance.random() < SPOILT else (part, "")
        body.append(spoilt)
        planted.append(what)
        for kind, texts in (("event", _EVENTS), ("quote", _QUOTES)):
            if chance.random() < ADDED:
                body.append({"text": chance.choice(texts), "segments": part["segments"]})
                planted.append(kind)
    todos = [*note["todos"], chance.choice(_TODOS)]
    return Written({**note, "body": body, "people": people, "todos": todos}, tuple(planted))


def _spoil(
    part: dict[str, Any], people: list[str], numbers: list[int], chance: random.Random
) -> tuple[dict[str, Any], str]:
    """The part with one falsehood of a kind that it has room for, and which."""
    text = part["text"]
    spoilt = {
        "number": _change_number(text),
        "name": _swap_name(text, people),
        "not": re.sub(r"(?:\b(?:do|does|did) not |\bnot )", "", text, count=1),
        "placeholder": _PLACEHOLDER.sub("[PERSON_9]", text, count=1),
    }
    possible = [kind for kind, other in spoilt.items() if other != text] + ["evidence"] * (len(numbers) > 2)
    if not possible:
        return part, ""
    kind = chance.choice(possible)
    if kind == "evidence":
        others = [number for number in numbers if number not in part["segments"]]
        return {"text": text, "segments": [chance.choice(others or numbers)]}, kind
    return {"text": spoilt[kind], "segments": part["segments"]}, kind


def _change_number(text: str) -> str:
    words = "|".join(_NUMBERS)
    return re.sub(rf"\b(?:{words})\b", lambda match: _NUMBERS[match[0].lower()], text, count=1, flags=re.IGNORECASE)


def _swap_name(text: str, people: list[str]) -> str:
    said = next((name for name in people if name in text), None)
    other = next((name for name in people if name not in text), None)
    return text.replace(said, other, 1) if said and other else text
