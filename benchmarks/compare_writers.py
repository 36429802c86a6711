"""Scores writers side by side: the extractive one, and language models good and careless, before and after grounding.

The models are the scripted servers of `model_servers.py`, no language models; the writers of their vendors ask them
over HTTP with names masked, and everything behind that is the product's own. What a careless model plants is followed:
what stays in the note, and what of that without a finding. Reads the same folder as `writers.py`; prints Markdown.

    python benchmarks/compare_writers.py [--rounds 20] [--notes ../shared/notes] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from model_servers import Model, ModelServer, Written, serve_model, write_carelessly, write_well
from writers import DAY, NOTES, Score, as_data, score_note, total_recall

from diarynotes.cost import price, total_usd
from diarynotes.diary import (
    Private,
    Writer,
    ask_writers,
    finish_note,
    open_writer,
    open_writers,
    read_transcript,
    write_note,
)
from diarynotes.errors import WriterFailed
from diarynotes.models import DiaryNote, Draft, Transcript

COMPARED: tuple[tuple[str, str, Model | None], ...] = (
    ("extractive", "", None),
    ("openai, good", "gpt-5.4", write_well),
    ("anthropic, good", "claude-sonnet-5", write_well),
    ("mistral, good", "mistral-large-latest", write_well),
    ("server, good", "llama3.2", write_well),
    ("openai, careless", "gpt-5.4", write_carelessly),
)


def main() -> None:
    arguments = _read_arguments()
    paths = sorted(arguments.notes.glob("*.json"))
    if not paths:
        raise SystemExit(f"{arguments.notes} holds no .json transcripts")
    tallies = [compare(*compared, paths, arguments.rounds) for compared in COMPARED]
    print(_render_compared(tallies))
    print(_render_planted(tallies[-1]))
    if arguments.json:
        arguments.json.write_text(json.dumps([_tally_as_data(tally) for tally in tallies], indent=1))


@dataclass(slots=True)
class Tally:
    """What one writer's notes came to, as it answered and after grounding."""

    writer: str
    raw: list[Score] = field(default_factory=list)
    grounded: list[Score] = field(default_factory=list)
    sentences: int = 0
    left: int = 0
    true_sentences: int = 0
    true_left: int = 0
    findings: int = 0
    turned_down: int = 0
    planted: Counter[str] = field(default_factory=Counter)
    stayed: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    usd: float | None = 0.0

    def add(
        self, name: str, transcript: Transcript, expect: dict[str, Any], writer: Writer, log: list[Written]
    ) -> None:
        """Writes and grounds one note; `log` tells what a scripted server planted in its answer."""
        answer = ask_writers([writer], transcript, day=DAY, private=Private())
        raw = answer.draft
        try:
            note, is_model = finish_note(answer, transcript, day=DAY), True
        except WriterFailed:  # hardly anything of it was said: the next of the chain writes
            note, is_model = write_note(transcript, day=DAY, writers=open_writers(())), False
            self.turned_down += 1
        self.raw.append(score_note(name, raw, transcript, expect, 0.0))
        self.grounded.append(score_note(name, note.draft, transcript, expect, 0.0))
        self.findings += len(note.findings)
        self.tokens += sum(usage.input_tokens + usage.output_tokens for usage in raw.usage)
        usd = total_usd([price(usage) for usage in raw.usage])
        self.usd = None if self.usd is None or usd is None else self.usd + float(usd)
        kept = note.draft.body if is_model else ()
        self._count(
            raw, replace(note, draft=replace(note.draft, body=kept)), log[-1].planted if log else ("",) * len(raw.body)
        )

    def _count(self, raw: Draft, note: DiaryNote, planted: Sequence[str]) -> None:
        # a sentence with a placeholder that was never given out is gone before grounding
        gone = [kind for kind in planted if kind == "placeholder"]
        here = [kind for kind in planted if kind != "placeholder"]
        assert len(here) == len(raw.body)
        left = {(sentence.text, sentence.evidence) for sentence in note.draft.body}
        flagged = {finding.where for finding in note.findings}
        self.planted.update(kind for kind in planted if kind)
        self.sentences += len(planted)
        self.left += len(note.draft.body)
        self.told.update(gone)
        for number, (kind, sentence) in enumerate(zip(here, raw.body, strict=True)):
            stays = (sentence.text, sentence.evidence) in left
            if kind:
                self.stayed[kind] += stays
                self.told[kind] += not stays or f"body {number}" in flagged
            elif note.draft.body:
                self.true_sentences += 1
                self.true_left += stays


def compare(name: str, model_name: str, model: Model | None, paths: Sequence[Path], rounds: int) -> Tally:
    """What one writer makes of all transcripts; a careless model `rounds` times, each time otherwise."""
    tally = Tally(name)
    is_careless = model is write_carelessly
    for seed in range(rounds if is_careless else 1):
        chosen = partial(write_carelessly, seed=seed) if is_careless else model
        with open_scripted(name.partition(",")[0], model_name, chosen) as (writer, log):
            for path in paths:
                expect = json.loads(path.read_text())["expect"]
                tally.add(path.stem, read_transcript(path), expect, writer, log)
    return tally


@contextmanager
def open_scripted(writer: str, model_name: str, model: Model | None) -> Iterator[tuple[Writer, list[Written]]]:
    """The writer, and the list of what its scripted server has written."""
    if model is None:
        with closing(open_writer(writer)) as opened:
            yield opened, []
        return
    with serve_model(model) as server:
        is_own = writer == "server"
        given = {"name": writer, "model": model_name, "api_key": "scripted", "local": is_own, "provider": writer}
        given |= {"provider": None} if is_own else {}
        with closing(open_writer(writer, **given, base_url=_address(writer, server))) as opened:
            yield opened, server.written


def _address(writer: str, server: ModelServer) -> str:
    return server.url if writer == "anthropic" else f"{server.url}/v1"


def _render_compared(tallies: Sequence[Tally]) -> str:
    """A Markdown table, two rows a writer: as it answered, and after grounding; figures of a round."""
    heads = (
        *("writer", "people", "places", "todos", "must mention", "must not", "wrong numbers", "mood"),
        *("sentences", "findings", "tokens", "USD"),
    )
    lines = [f"| {' | '.join(heads)} |", f"|---|---|{'---:|' * (len(heads) - 2)}"]
    for tally in tallies:
        rounds = len(tally.raw) / len({score.name for score in tally.raw})
        for label, scores, sentences in (
            ("as answered", tally.raw, tally.sentences),
            ("grounded", tally.grounded, tally.left),
        ):
            recall = [f"{ratio:.0%}" for ratio in total_recall(scores).values()]
            right = sum(score.mood[0] == score.mood[1] for score in scores) / rounds
            sums = [sum(score.must_not for score in scores), sum(score.wrong_numbers for score in scores)]
            is_last = label == "grounded"
            cells = [
                f"{tally.writer}, {label}",
                *recall,
                *(f"{count / rounds:.3g}" for count in sums),
                f"{right:g} of {len(scores) / rounds:g}",
                f"{sentences / rounds:.3g}",
                f"{tally.findings / rounds:.3g}" if is_last else "",
                f"{tally.tokens / rounds:,.0f}" if is_last else "",
                ("?" if tally.usd is None else f"{tally.usd / rounds:.4f}") if is_last else "",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _render_planted(tally: Tally) -> str:
    """A Markdown table of what a careless model planted and what became of it."""
    lines = ["", "| planted | sentences | stayed in the note | and without a finding |", "|---|---:|---:|---:|"]
    for kind, count in sorted(tally.planted.items()):
        lines.append(f"| {kind} | {count} | {tally.stayed[kind]} | {count - tally.told[kind]} |")
    total = sum(tally.planted.values())
    lines.append(f"| all | {total} | {sum(tally.stayed.values())} | {total - sum(tally.told.values())} |")
    lines.append(f"\n{tally.turned_down} of {len(tally.raw)} notes were turned down whole; of the others")
    lines.append(f"{tally.true_left} of {tally.true_sentences} sentences that nothing was planted in stayed.")
    return "\n".join(lines)


def _tally_as_data(tally: Tally) -> dict[str, Any]:
    return {
        "writer": tally.writer,
        "as_answered": as_data(tally.writer, tally.raw),
        "grounded": as_data(tally.writer, tally.grounded),
        "sentences": [tally.sentences, tally.left],
        "true_sentences": [tally.true_sentences, tally.true_left],
        "findings": tally.findings,
        "turned_down": tally.turned_down,
        "planted": dict(tally.planted),
        "stayed": dict(tally.stayed),
        "without_a_finding": {kind: count - tally.told[kind] for kind, count in tally.planted.items()},
        "tokens": tally.tokens,
        "usd": tally.usd,
    }


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notes", type=Path, default=NOTES)
    parser.add_argument(
        "--rounds", type=int, default=20, help="how often the careless model writes, each time otherwise"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
