"""What trials of engines are worth: their scores, a table of them, and one sentence of advice for who must choose.

Knows what was said and heard; knows nothing of files, audio or how an engine is opened.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from diarynotes.cli.console import print_table, say
from diarynotes.errors import DiarynotesError, NoSpeech, Unexpected
from diarynotes.word_errors import (
    MIN_CLIPS,
    SURE,
    WordErrors,
    correlate_ranks,
    count_as_fewer,
    count_word_errors,
)

if TYPE_CHECKING:
    from diarynotes.cli.trial import Trial

_LEGEND = (
    "Words are compared after Whisper's normaliser. Pace is seconds of audio heard in a second; MB is the most\n"
    "memory that all the engine's processes took; trust is the mean over clips. It should fall as errors rise:\n"
    "trust~error is the rank correlation of the two over clips, -1 at best."
)

_FASTER = 1.25
"""Less of a gain in pace may be chance, since each engine hears the clips once."""

DEFAULT_WAY = "auto"
"""How sound is preprocessed where nothing else is asked for; it need not be mentioned."""

Row = dict[str, Any]


class Progress:
    """A bar on stderr for each trial, or a line where that is no terminal; nothing at all if `quiet`."""

    def __init__(self, clips: int, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        console = Console(stderr=True)
        self._clips, self._quiet = clips, quiet
        self._bars = Bars(*columns, TimeElapsedColumn(), console=console, transient=True, disable=quiet)
        self._tell = not quiet and not console.is_terminal

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._bars.stop()

    @contextmanager
    def follow(self, name: str) -> Iterator[Callable[[str], object]]:
        """What is to be told of every clip that this trial heard."""
        if self._tell:
            say(f"… {name} listens to {self._clips} clips")
        bar = self._bars.add_task(name, total=self._clips)
        yield lambda _: self._bars.advance(bar)
        self._bars.remove_task(bar)


def score_trial(
    trial: Trial,
    said: Mapping[str, tuple[str, str]],
    problems: list[dict[str, str]],
    *,
    way: str,
    audio_s: float,
    peak_bytes: int,
) -> Row:
    """One line of the table: what the trial got wrong of what was `said` (text and language by file), and its cost.

    `way` is how the sound was preprocessed. A clip that the engine failed on goes to `problems`.
    """
    rows = [row for file, result in trial.results if (row := _compare(file, *said[file], result, problems))]
    errors = [WordErrors(row["wrong"], row["words"]) for row in rows]
    total = sum(errors, WordErrors(0, 0))
    trusts = [row["trust"] for row in rows if row["trust"] is not None]
    judged = [
        (row["trust"], error.rate)
        for row, error in zip(rows, errors, strict=True)
        if row["trust"] is not None and error.rate is not None
    ]
    return {
        "engine": trial.engine,
        "model": trial.model,
        "preprocess": way,
        "words": total.words,
        "wrong": total.wrong,
        "word_error_rate": total.rate,
        "real_time_factor": audio_s / trial.seconds,
        "peak_memory_mb": round(peak_bytes / 1e6),
        "mean_trust": statistics.mean(trusts) if trusts else None,
        "trust_error_correlation": correlate_ranks([trust for trust, _ in judged], [rate for _, rate in judged]),
        "trust_error_clips": len(judged),
        "clips": rows,
    }


def describe_problem(source: str, error: Exception) -> dict[str, str]:
    """What went wrong with a clip or an engine, for a person and for a program."""
    known = error if isinstance(error, DiarynotesError) else Unexpected(type(error).__name__)
    return {"source": source, "code": known.code, "message": str(known)}


def advise(scores: Sequence[Row]) -> str:
    """Which to take: the fewest wrong words, and what is faster and not surely worse, or what it costs if it is."""
    known = [score for score in scores if score["word_error_rate"] is not None]
    if not known:
        return "Nothing can be advised: no words were compared."
    best = min(known, key=lambda score: (score["word_error_rate"], score["preprocess"] != DEFAULT_WAY, -_pace(score)))
    if len(known) == 1:
        return f"{_name(best)}: {_cost(best)}; to choose, try others too with --engine, --model and --preprocess."
    advice = f"{_name(best)} gets the fewest words wrong ({_cost(best)})"
    as_good = [score for score in known if score is best or _sure_fewer(best, score) < SURE]
    swift, fastest = max(as_good, key=_pace), max(known, key=_pace)
    if _pace(swift) > _FASTER * _pace(best):
        advice += f"; these clips do not show that it is better than {_name(swift)}, which is faster ({_cost(swift)})"
    if fastest is not swift and _pace(fastest) > _FASTER * _pace(swift):
        more = fastest["word_error_rate"] - best["word_error_rate"]
        advice += f"; the fastest, {_name(fastest)} ({_cost(fastest)}), gets {100 * more:.0f} more words of 100 wrong"
    return f"{advice}."


def print_scores(outcome: Row) -> None:
    """The whole outcome of an evaluation on stdout, for a person."""
    for score in outcome["engines"]:
        if score.get("clips"):
            print_table(_name(score), ("clip", "wrong", "trust", "said", "heard"), list(map(_clip_row, score["clips"])))
    if outcome["engines"]:
        prepared = any(score["preprocess"] != DEFAULT_WAY for score in outcome["engines"])
        columns = ("wrong", "pace", "MB", "trust", "trust~error")
        names = ("engine", "model", "preprocess") if prepared else ("engine", "model")
        print_table("", (*names, *columns), [_row(score, names) for score in outcome["engines"]])
        click.echo(_LEGEND)
        click.echo(f"\n{outcome['advice']}\n")
    for score in outcome["engines"]:
        if score["trust_error_correlation"] is None:
            click.echo(f"{_name(score)}: {_tell_why(score['trust_error_clips'])}")
    for problem in outcome["problems"]:
        source, message = problem["source"], problem["message"]
        click.echo(f"Left out: {message}" if message.startswith(source) else f"Left out: {source}: {message}")


def _compare(file: str, said: str, language: str, result: Any, problems: list[dict[str, str]]) -> Row | None:
    """One clip's line. Where no speech was found every word counts as missed; a failure is a problem, and no line."""
    if isinstance(result, DiarynotesError) and not isinstance(result, NoSpeech):
        problems.append(describe_problem(file, result))
        return None
    heard, trust = ("", None) if isinstance(result, NoSpeech) else (result.text, result.trust)
    errors = count_word_errors(said, heard, language)
    return {"file": file, "wrong": errors.wrong, "words": errors.words, "trust": trust, "said": said, "heard": heard}


def _sure_fewer(first: Row, second: Row) -> float:
    """How likely it is no chance that the first has fewer errors, on the clips that both heard."""
    one, other = (
        {row["file"]: WordErrors(row["wrong"], row["words"]) for row in score["clips"]} for score in (first, second)
    )
    both = [file for file in one if file in other]
    return count_as_fewer([one[file] for file in both], [other[file] for file in both])


def _name(score: Row) -> str:
    way = "" if score["preprocess"] == DEFAULT_WAY else f" with {score['preprocess']}"
    return f"{score['engine']} {score['model']}{way}"


def _cost(score: Row) -> str:
    wrong, pace, memory = score["word_error_rate"], score["real_time_factor"], score["peak_memory_mb"]
    return f"{wrong:.0%} wrong, {pace:.1f} × real time, {memory} MB"


def _pace(score: Row) -> float:
    return float(score["real_time_factor"])


def _row(score: Row, names: Sequence[str]) -> tuple[Any, ...]:
    rate, correlation = score["word_error_rate"], score["trust_error_correlation"]
    return (
        *(score[name].replace("+", "+\n") for name in names),
        "–" if rate is None else f"{rate:.1%}",
        f"{_pace(score):.1f}",
        score["peak_memory_mb"],
        _number(score["mean_trust"]),
        "–" if correlation is None else f"{correlation:+.2f}",
    )


def _clip_row(row: Row) -> tuple[Any, ...]:
    return row["file"], f"{row['wrong']} of {row['words']}", _number(row["trust"]), row["said"], row["heard"]


def _tell_why(clips: int) -> str:
    """Why there is no rank correlation."""
    if clips < MIN_CLIPS:
        return f"too few clips to hold trust against error ({clips} with words in them, of at least {MIN_CLIPS})."
    return "trust cannot be held against error, because one of them is the same in every clip."


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
