"""What a note costs beside its model: masking, routing and grounding around a writer that takes no time of its own.

Transcripts of 5 minutes, an hour and ten hours (12 segments and about 134 words a minute) go through the chain and the
checks, to a writer that answers at once with a sentence for every segment: without books, with the exchange on a desk
in memory, and on the one in the embedded Postgres. Every repeat has words of its own, so that no cache flatters. Prints
medians by the clock and of work, and how they grow; writes JSON. The promise is 30 ms for five minutes, and growth with
the length: 120 times.

    python benchmarks/writing.py [--repeats 9] [--minutes 5,60,600] [--desks direct,memory,postgres] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from diarynotes.calls import Desk
from diarynotes.cost import price
from diarynotes.diary import Exchange, Private, check_note, ground_draft, write_note
from diarynotes.diary.caller import Caller, DirectCaller, Line
from diarynotes.diary.language_model import Reply
from diarynotes.diary.masking import mask_transcript
from diarynotes.diary.prompt import Message
from diarynotes.models import Draft, Mood, Segment, Sentence, Todo, Transcript, Usage
from diarynotes.store import open_store
from diarynotes.testing import MemoryDesk

DAY = date(2026, 6, 10)
PROMISED_MS = 30.0
SEGMENTS_A_MINUTE = 12
SEGMENTS_A_CALL = 1_200
"""About what a model with a window of 128,000 tokens is sent at once."""
PRIVATE = Private(names=("Anna Berg", "Okafor"), region="DE")

NAMES = "Anna Marcus Priya Leo Sofia Hana Joris Elif Tom Berta Okafor Miriam Paul Ines Karim Greta".split()
PLACES = "Lisbon Rotterdam Hamburg Gdansk Oxford Lyon Dresden Porto Leeds Basel".split()
THINGS = "report garden bicycle kitchen budget concert contract train soup drawing letter window harbour piano".split()
TEMPLATES = (
    "I walked to the {thing} with {name} this morning and the water was {number} degrees.",
    "{name} called from {place} and we talked for {number} minutes about the {thing}.",
    "I did not finish the {thing} because the {other} was still not ready for {name}.",
    "We planted {number} tomatoes and {small} beans behind the shed near the {thing}.",
    "The {thing} cost {number} euros and I paid half of it on the {day}.",
    "I need to buy paint for the {thing} and write to {name} before {weekday}.",
    "My sister said that the {thing} in {place} was never better than last year.",
    "It rained all afternoon, so I stayed in and read about the {thing} and the {other}.",
    "So um I was angry at first but then {name} and I talked it over in the {thing}.",
    "On {weekday} at half past {small} I have to be at the doctor in {place}.",
    "You can reach {name} at zero one seven six {digits} if the {thing} does not work.",
    "The meeting about the {thing} was moved from {weekday} to the {day} of {month}.",
)


def main() -> None:
    arguments = _read_arguments()
    minutes = [int(part) for part in arguments.minutes.split(",")]
    rows: list[dict[str, Any]] = []
    for at, prepare in enumerate(PARTS, 1):
        name = prepare.__name__.removeprefix("_prepare_")
        for length in minutes:
            taken = _measure(prepare, length, arguments.repeats, first=1000 * at)
            rows.append({"what": name, "minutes": length} | taken)
    with _open_desks(arguments.desks.split(",")) as desks:
        for name, desk in desks.items():
            for length in minutes:
                taken = _measure(_prepare_whole(desk), length, arguments.repeats)
                rows.append({"what": f"all, {name}", "minutes": length} | taken)
    figures = {"promised_ms": PROMISED_MS, "rows": rows}
    _print(rows, minutes)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


# -- what is measured -------------------------------------------------------------------------------------------------


class InstantWriter:
    """A cloud writer whose model answers at once: a sentence for each segment, now and then two in one."""

    name = "instant"
    model = "instant"
    degraded = False
    local = False
    prompt_version = "1"

    def close(self) -> None:
        """Nothing to give back."""

    def write(self, transcript: Transcript, *, day: date, caller: Caller | None = None) -> Draft:  # noqa: ARG002
        """The draft, after as many calls as the transcript's length takes."""
        usage = Usage("openai", "gpt-5.4-mini", 1000, 500)
        line = Line(
            caller or DirectCaller(),
            lambda _messages, _shape, _tokens: Reply("{}", usage),
            provider=usage.provider,
            model=usage.model,
        )
        texts = [segment.text for segment in transcript.segments]
        for start in range(0, len(texts), SEGMENTS_A_CALL):
            messages = (Message("user", "\n".join(texts[start : start + SEGMENTS_A_CALL])),)
            if line.find(messages) is None:
                line.ask(messages, None, 8_192)  # type: ignore[arg-type] the shape is for a model to keep
                line.keep(messages, "{}")
        return make_draft(texts)


def make_draft(texts: list[str]) -> Draft:
    """What a close writer makes of these segments, in no time worth measuring."""
    body = []
    for number, text in enumerate(texts):
        if number % 4 == 3:
            body[-1] = Sentence(f"{body[-1].text[:-1]}, and {text}", (number - 1, number))
        else:
            body.append(Sentence(text.replace("So um ", ""), (number,)))
    todos = tuple(Todo(text) for text in texts if text.startswith("I need to"))[:200]
    return Draft(
        "A day", " ".join(texts[:3]), Mood("neutral", 0.0), tuple(body), topics=("the garden",), todos=todos,
    )  # fmt: skip


def make_transcript(minutes: int, seed: int) -> Transcript:
    """So many minutes of seeded memo, a segment every 5 s."""
    chance = random.Random(f"{minutes}-{seed}")
    segments = tuple(
        Segment(5.0 * number, 5.0 * number + 4.5, _say(chance)) for number in range(minutes * SEGMENTS_A_MINUTE)
    )
    return Transcript(f"t-{minutes}-{seed}", f"r-{minutes}-{seed}", "made", "1", "en", segments, 1.0)


def _say(chance: random.Random) -> str:
    words = "two three four five six seven eight nine".split()
    return chance.choice(TEMPLATES).format(
        name=chance.choice(NAMES),
        place=chance.choice(PLACES),
        thing=chance.choice(THINGS),
        other=chance.choice(THINGS),
        number=chance.randint(11, 400),
        small=chance.choice(words),
        digits=" ".join(chance.choice(words) for _ in range(7)),
        day=chance.choice(("ninth", "third", "twenty first", "thirtieth")),
        weekday=chance.choice(("Monday", "Tuesday", "Friday", "Sunday")),
        month=chance.choice(("May", "June", "October")),
    )


Action = Callable[[], object]
Prepare = Callable[[Transcript], Action]
"""What is made ready for a transcript before the clock starts, and then timed."""


def _prepare_whole(desk: Desk | None) -> Prepare:
    def prepare(transcript: Transcript) -> Action:
        exchange = None if desk is None else Exchange(desk, price, "me")
        return lambda: write_note(
            transcript, day=DAY, writers=(InstantWriter(),), private=PRIVATE, exchange=exchange
        )  # fmt: skip

    return prepare


def _prepare_masking(transcript: Transcript) -> Action:
    return lambda: mask_transcript(transcript, names=PRIVATE.names, region=PRIVATE.region)


def _prepare_unmasking(transcript: Transcript) -> Action:
    masked, mask = mask_transcript(transcript, names=PRIVATE.names, region=PRIVATE.region)
    draft = make_draft([segment.text for segment in masked.segments])
    return lambda: mask.unmask(draft)


def _prepare_grounding(transcript: Transcript) -> Action:
    draft = make_draft([segment.text for segment in transcript.segments])
    return lambda: ground_draft(draft, transcript, day=DAY)


def _prepare_checking(transcript: Transcript) -> Action:
    note = write_note(transcript, day=DAY, writers=(InstantWriter(),))
    return lambda: check_note(note, transcript)


PARTS = (_prepare_masking, _prepare_unmasking, _prepare_grounding, _prepare_checking)


def _measure(prepare: Prepare, minutes: int, repeats: int, *, first: int = 0) -> dict[str, float]:
    """Medians over `repeats` transcripts that differ, ms by the clock and of this process's work.

    One more beforehand loads what is loaded once. The clock runs on while other programs do; work does not.
    """
    prepare(make_transcript(5, first - 1))()
    times = []
    for number in range(-(-repeats // 4) if minutes > 60 else repeats):
        action = prepare(make_transcript(minutes, first + number))
        clock, work = time.perf_counter(), time.process_time()
        action()
        times.append((time.perf_counter() - clock, time.process_time() - work))
    clocks, works = zip(*times, strict=True)
    return {"ms": 1000 * statistics.median(clocks), "cpu_ms": 1000 * statistics.median(works)}


@contextmanager
def _open_desks(names: list[str]) -> Iterator[dict[str, Desk | None]]:
    desks: dict[str, Desk | None] = {"direct": None, "memory": MemoryDesk()}
    with tempfile.TemporaryDirectory(prefix="diarynotes-bench-") as home:
        if "postgres" not in names:
            yield {name: desks[name] for name in names}
            return
        with open_store(None, Path(home)) as store:
            yield {name: desks.get(name, store.desk) for name in names}


# -- what is printed --------------------------------------------------------------------------------------------------


def _print(rows: list[dict[str, Any]], minutes: list[int]) -> None:
    heads = "".join(f"{f'{length} min':>18}" for length in minutes)
    print(f"{'ms, clock / work':<18}{heads}{'ratio of work':>16}")
    for name in dict.fromkeys(row["what"] for row in rows):
        mine = [row for row in rows if row["what"] == name]
        cells = "".join(f"{row['ms']:>9.1f} /{row['cpu_ms']:>7.1f}" for row in mine)
        ratio = f"{mine[-1]['cpu_ms'] / mine[0]['cpu_ms']:.0f}" if len(mine) > 1 else ""
        print(f"{name:<18}{cells}{ratio:>16}")
    print(f"\npromised: {PROMISED_MS:g} ms for 5 min; a ratio of {minutes[-1] / minutes[0]:g} is linear")


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9, help="transcripts a median; a quarter for more than an hour")
    parser.add_argument("--minutes", default="5,60,600")
    parser.add_argument("--desks", default="direct,memory,postgres")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
