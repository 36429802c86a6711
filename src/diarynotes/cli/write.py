"""`diarynotes write`: a note from a transcript, with its evidence and price, not landed; the way to try writers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from diarynotes.cli.console import print_markdown, print_table, say
from diarynotes.errors import WriterFailed
from diarynotes.settings import PROMPT_STYLES, Settings, load_settings

if TYPE_CHECKING:
    from diarynotes.diary import Exchange, Private, Writer
    from diarynotes.models import DiaryNote, Transcript


@dataclass(frozen=True, slots=True)
class Trial:
    """A note that was written for trying, what it cost (USD, None unknown), what was masked, and how long it took."""

    note: DiaryNote
    usd: Decimal | None
    masked: dict[str, int]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the command line asks for, which goes before all settings, and where the transcript lies."""

    writers: Sequence[str]
    style: str | None
    place: str
    fresh: bool


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--writer",
    metavar="NAME",
    help="openai, anthropic, mistral, llama_cpp, server or extractive, with or without :MODEL; or a chain (a,b:m).",
)
@click.option("--each", is_flag=True, help="Do not take the first that answers: let each writer of the chain write.")
@click.option("--prompt-style", type=click.Choice(PROMPT_STYLES), help="How to write; auto goes by what was said.")
@click.option("--owner", metavar="NAME", help="Whose settings, names to mask and budgets count.")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="The day it was said (default: today).")
@click.option("--cloud/--no-cloud", default=True, help="Whether a writer on another's machine may be asked.")
@click.option("--masked", "with_masked", is_flag=True, help="Also print the words as another's machine would see them.")
@click.option("--fresh", is_flag=True, help="Ask again even where the same was asked before.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; with --each a list of them.")
@click.pass_obj
def write(
    home: str | None,
    file: Path,
    writer: str | None,
    each: bool,
    prompt_style: str | None,
    owner: str | None,
    day: datetime | None,
    cloud: bool,
    with_masked: bool,
    fresh: bool,
    as_json: bool,
) -> None:
    """Write a note from a transcript FILE without landing it.

    FILE is text with one segment a line, or JSON: {"segments": ["…"]} or {"segments": [{"start_s", "end_s", "text"}]}.
    Beside the note stand what carries each sentence, what the checks saw, tokens, cost, and what was masked.
    """
    from diarynotes.diary import read_transcript

    settings = load_settings(home=home, writers=writer, owner=owner)
    settings = replace(settings, cloud=settings.cloud and cloud)
    transcript = read_transcript(file)
    today = (day or datetime.now(settings.zone)).date()
    wish = _Wish(settings.writers if writer else (), prompt_style, str(file.expanduser().absolute()), fresh)
    with _open(settings, transcript, wish) as (writers, chain, exchange):
        shown = _mask(transcript, writers.private(settings.owner)) if with_masked else None
        chains = [(one,) for one in chain] if each else [chain]
        trials = []
        for one in chains:
            try:
                trials.append(_try(writers, settings, one, exchange, transcript, today))
            except WriterFailed as error:  # never where the chain is whole: it ends with one that cannot fail
                say(str(error))
    if as_json:
        told = [_as_json(trial, shown) for trial in trials]
        click.echo(json.dumps(told if each else told[0], ensure_ascii=False))
        return
    for trial in trials:
        _show(trial, transcript)
    if shown is not None:
        print_table("As another's machine would see it", ("the words",), [(line,) for line in shown])
    if each:
        _compare(trials)


@contextmanager
def _open(
    settings: Settings, transcript: Transcript, wish: _Wish
) -> Iterator[tuple[Any, tuple[Writer, ...], Exchange | None]]:
    """The writers, the chain for this transcript, and what books its calls; a chain without a model needs no books."""
    from flows.writers import Writers

    with ExitStack() as opened:
        writers = Writers(settings)
        opened.callback(writers.close)
        writers.check(wish.writers)
        chain = writers.chain(
            settings.owner,
            wished=wish.writers,
            wished_style=wish.style,
            words=len(transcript.text.split()),
            places=[wish.place],
        )
        exchange = None
        if any(not writer.degraded for writer in chain):
            from diarynotes.settings import make_home
            from diarynotes.store import open_store

            make_home(settings)
            store = opened.enter_context(open_store(settings.database_url, settings.home, zone=settings.zone))
            exchange = writers.exchange(store.desk, settings.owner, None, sleep=time.sleep)
            exchange = replace(exchange, fresh=wish.fresh)
        yield writers, chain, exchange


def _try(
    writers: Any,
    settings: Settings,
    chain: Sequence[Writer],
    exchange: Exchange | None,
    transcript: Transcript,
    day: date,
) -> Trial:
    """One note by the first of `chain` that answers. Raises: WriterFailed where none does."""
    from diarynotes.cost import price, total_usd
    from diarynotes.diary import ask_in_turn, finish_note

    begun = time.monotonic()
    answer, note = ask_in_turn(
        chain,
        transcript,
        day=day,
        private=writers.private(settings.owner),
        exchange=exchange,
        finish=lambda answer: (answer, finish_note(answer, transcript, day=day)),
    )
    seconds = time.monotonic() - begun
    return Trial(note, total_usd(price(usage) for usage in note.draft.usage), dict(answer.masked), seconds)


def _mask(transcript: Transcript, private: Private) -> list[str]:
    """The segments as a writer on another's machine is shown them, whoever wrote the note in the end."""
    from diarynotes.diary.masking import mask_transcript

    masked, _ = mask_transcript(transcript, names=private.names, region=private.region)
    return [segment.text for segment in masked.segments]


def _as_json(trial: Trial, shown: Sequence[str] | None) -> dict[str, Any]:
    from diarynotes.diary import note_as_json

    usages = trial.note.draft.usage
    return {
        **note_as_json(trial.note),
        "usage": [
            {
                "provider": usage.provider,
                "model": usage.model,
                "input_tokens": usage.input_tokens,
                "cached_tokens": usage.cached_tokens,
                "output_tokens": usage.output_tokens,
            }
            for usage in usages
        ],
        "cost_usd": None if trial.usd is None else float(trial.usd),
        "masked": trial.masked,
        **({} if shown is None else {"masked_text": shown}),
        "seconds": round(trial.seconds, 3),
    }


def _show(trial: Trial, transcript: Transcript) -> None:
    from diarynotes.diary import note_as_markdown

    note = trial.note
    print_markdown(note_as_markdown(note))
    said = [segment.text for segment in transcript.segments]
    rows = [(sentence.text, " ".join(said[number] for number in sentence.evidence)) for sentence in note.draft.body]
    if rows:
        print_table("Evidence", ("the note says", "was said"), rows)
    if note.findings:
        found = [(finding.code, finding.severity, finding.message) for finding in note.findings]
        print_table("Findings", ("code", "severity", "what it means"), found)
    click.echo(_summarise(trial))


def _summarise(trial: Trial) -> str:
    note, usages = trial.note, trial.note.draft.usage
    parts = [f"Written by {_name(note)} in {trial.seconds:.1f} s"]
    if note.grounded_share is not None:
        parts.append(f"{note.grounded_share:.0%} of the sentences grounded")
    if usages:
        tokens = (sum(getattr(usage, name) for usage in usages) for name in _COUNTS)
        calls = "1 call" if len(usages) == 1 else f"{len(usages)} calls"
        parts.append("{}, {:,} tokens in ({:,} from its cache), {:,} out".format(calls, *tokens))
    parts.append(_say_usd(trial.usd))
    if trial.masked:
        parts.append("masked: " + ", ".join(f"{count} {kind}" for kind, count in trial.masked.items()))
    return "; ".join(parts) + "."


_COUNTS = ("input_tokens", "cached_tokens", "output_tokens")


def _compare(trials: Sequence[Trial]) -> None:
    columns = ("writer", "sentences", "grounded", "findings", "tokens", "cost", "seconds")
    rows = []
    for trial in trials:
        note = trial.note
        share = "" if note.grounded_share is None else f"{note.grounded_share:.0%}"
        tokens = sum(usage.input_tokens + usage.output_tokens for usage in note.draft.usage)
        counts = (len(note.draft.body), share, len(note.findings), f"{tokens:,}")
        rows.append((_name(note), *counts, _say_usd(trial.usd), f"{trial.seconds:.1f}"))
    print_table("Side by side", columns, rows)


def _name(note: DiaryNote) -> str:
    return note.writer if note.writer == note.model.partition("-")[0] else f"{note.writer} ({note.model})"


def _say_usd(usd: Decimal | None) -> str:
    if usd is None:
        return "cost unknown"
    return f"${usd:.4f}" if usd else "free"


COMMANDS = (write,)
