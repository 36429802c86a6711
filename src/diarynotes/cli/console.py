"""What a person sees in the terminal: progress bars on stderr, tables and diary pages on stdout."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

from diarynotes.observe import Event, listening

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_STAGES = {"validated": "Checking", "transcribed": "Listening", "written": "Writing", "landed": "Landing"}
_NO_MODEL = (
    "Notes are put together from the words as they were said. For a language model to write them, set OPENAI_API_KEY "
    "or ANTHROPIC_API_KEY, or name a model of your own with --writer server or DIARYNOTES_LLAMA_MODEL."
)
_ENDS = frozenset({"quarantined", "waiting", "dead"})


@contextmanager
def progress_bars() -> Iterator[None]:
    """One bar a stage, fed by the events of this process; gone when the block ends.

    Until it is known how much there is to do, the bars only move. Which engine was chosen is said above them.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[pace]}", style="progress.remaining"),
    )
    sound = _Sound()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bars = {name: progress.add_task(title, total=None, pace="") for name, title in _STAGES.items()}
        passed: dict[str, set[str]] = {name: set() for name in _STAGES}

        def follow(event: Event) -> None:
            if told := _tell_choice(event):
                progress.console.print(told, markup=False, highlight=False)
            elif event.name in ("listening_planned", "listened"):
                sound.add(event)
                progress.update(bars["transcribed"], pace=sound.describe())
            elif event.name == "planned":
                for bar in bars.values():
                    progress.update(bar, total=event.facts["count"])
            elif event.name in bars:
                passed[event.name].add(event.recording_id)
                progress.advance(bars[event.name])
            elif event.name in _ENDS:
                # What was set aside is no longer waited for by the stages that it did not reach.
                for name in bars:
                    if event.recording_id not in passed[name]:
                        _shorten(progress, bars[name])

        with listening(follow):
            yield


class _Sound:
    """How much sound there is to hear, how much was heard, and how fast that goes."""

    def __init__(self) -> None:
        self._planned_s = self._heard_s = 0.0
        self._begun = 0.0

    def add(self, event: Event) -> None:
        self._begun = self._begun or time.monotonic()
        if event.name == "listened":
            self._heard_s += event.facts["audio_s"]
        else:
            self._planned_s += event.facts["audio_s"]

    def describe(self) -> str:
        """Such as `12:30 of 1:02:00, 24 × real time, 2:04 left`."""
        pace = self._heard_s / max(time.monotonic() - self._begun, 1e-3)
        said = f"{_clock(self._heard_s)} of {_clock(self._planned_s)}"
        if not self._heard_s:
            return said
        return f"{said}, {pace:.0f} × real time, {_clock((self._planned_s - self._heard_s) / pace)} left"


def _clock(seconds: float) -> str:
    hours, minutes = divmod(round(max(seconds, 0.0)) // 60, 60)
    return f"{hours}:{minutes:02}:{round(seconds) % 60:02}" if hours else f"{minutes}:{round(seconds) % 60:02}"


def _shorten(progress: Progress, bar: TaskID) -> None:
    total = next(task.total for task in progress.tasks if task.id == bar)
    if total:
        progress.update(bar, total=total - 1)


@contextmanager
def tell_choices() -> Iterator[None]:
    """Says which engine and writers were chosen, and why, as soon as that is known; and what money is running out."""

    def follow(event: Event) -> None:
        if told := _tell_choice(event):
            say(told)

    with listening(follow):
        yield


def _tell_choice(event: Event) -> str:
    """What a person should know at once; empty for other events."""
    facts = event.facts
    if event.name == "engine_chosen":
        return str(facts["reason"])
    if event.name == "budget_nearly_used":
        whose = f"{facts['owner']}'s budget" if facts["owner"] else "The budget"
        spent = f"${facts['spent_usd']:.2f} of ${facts['limit_usd']:.2f}"
        return f"{whose} for this {facts['period']} is nearly used up: {spent}. Over it only free writers are asked."
    if event.name != "writers_chosen":
        return ""
    chain, cloud = facts["chain"], facts["cloud"]
    if len(chain) == 1:
        return _NO_MODEL
    sent = f" What is said goes, masked, to {' and '.join(cloud)} (--no-cloud forbids it)." if cloud else ""
    return f"Notes are written by {', else '.join(chain)}.{sent}"


def name_source(uri: str) -> str:
    """A local file's path as the person knows it; a bucket's URI as it is."""
    return unquote(urlsplit(uri).path) if uri.startswith("file://") else uri


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    numbers: Collection[str] = (),
    whole: Collection[str] = (),
) -> None:
    """A table on stdout; cells are shown as they are, never read as markup.

    The columns `numbers` end in one line; those that are to stay `whole` are not broken where the terminal is narrow.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", header_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    table.collapse_padding = bool(numbers)  # many narrow columns
    for column in columns:
        side: Literal["right", "left"] = "right" if column in numbers else "left"
        table.add_column(column, overflow="fold", justify=side, no_wrap=column in whole)
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    Console(highlight=False).print(table)


def print_markdown(text: str) -> None:
    """A page on stdout, set for the terminal; plain Markdown where the output goes into a file or a pipe."""
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.padding import Padding

    console = Console()
    if console.is_terminal:
        console.print(Padding(Markdown(text), (1, 2)), width=min(console.width, 100))
    else:
        console.file.write(text.rstrip() + "\n\n")


def say(text: str) -> None:
    """A line for the person at the keyboard; on stderr, so that stdout stays what was asked for."""
    import click

    click.echo(text, err=True)
