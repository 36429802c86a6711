"""Speech to text: one engine, many recordings at a time.

Opens engines and chooses among them; `transcribe_recordings` sends recordings through one. Knows nothing of files,
jobs or settings: who calls it stores what comes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from diarynotes.errors import BadSettings, ModelUnavailable
from diarynotes.transcribe.engine import Engine as Engine  # callers need to know this package only
from diarynotes.transcribe.recordings import Heard as Heard
from diarynotes.transcribe.recordings import HeardResult as HeardResult
from diarynotes.transcribe.recordings import transcribe_recordings as transcribe_recordings
from diarynotes.transcribe.weights import DEFAULT_MODEL, fetch_weights, find_any_weights, find_weights

ENGINES = ("whisper", "ctranslate2", "pocketsphinx")
"""The engines a person may name; `auto` is `choose_engine`, and `scripted` is the fake of `diarynotes.testing`."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine chosen for a person: `reason` says why, and what to do for a better one."""

    name: str
    model: str | None
    reason: str


def check_engine(name: str) -> None:
    """Raises: BadSettings for a name that no engine has."""
    if name not in ("auto", "scripted", *ENGINES):
        raise _unknown(name)


def open_engine(name: str, *, model: str | None, models: Path, language: str | None, workers: int) -> Engine:
    """The engine of this name, ready to decode; close it when done.

    `model` is a Whisper model's name or the path of a .pt file (None: the best one at hand), `models` the folder that
    holds `whisper/`, and `ctranslate2/` with what is converted; `language` an ISO 639 code (None: detected), `workers`
    the processes or threads that an engine on the CPU may use. Raises BadSettings, ModelUnavailable, NotInstalled, or
    StorageFailed where a converted model cannot be written.
    """
    if name == "whisper":
        from diarynotes.transcribe import whisper

        return whisper.Backend(_weights(model, models), language=language)
    if name == "ctranslate2":
        from diarynotes.transcribe import ctranslate2

        return ctranslate2.Backend(_weights(model, models), models, threads=workers, language=language)
    if name == "pocketsphinx":
        from diarynotes.transcribe import pocketsphinx

        return pocketsphinx.Backend(workers, language=language)
    if name == "scripted":
        from diarynotes.testing import ScriptedEngine

        return ScriptedEngine()
    raise _unknown(name)


def choose_engine(models: Path, model: str | None = None, *, fetch: bool = True) -> Choice:
    """Whisper where its weights are on disk or can be fetched now, else PocketSphinx, which needs nothing.

    Without `fetch` nothing is downloaded. Offline it costs a moment: one try with a short limit, of which nothing is
    remembered. Raises BadSettings for a model that does not exist.
    """
    found = find_any_weights(models) if model is None else find_weights(model, models)
    wanted = model or DEFAULT_MODEL
    if found is not None:
        return Choice("whisper", str(found), f"Whisper hears this: its weights are in {found}.")
    if not fetch:
        return Choice("pocketsphinx", None, f"PocketSphinx hears this: no weights are in {models / 'whisper'}.")
    try:
        fetched = fetch_weights(wanted, models)
    except ModelUnavailable as error:
        return Choice("pocketsphinx", None, f"PocketSphinx hears this, with many wrong words. {error}")
    return Choice("whisper", str(fetched), f"Whisper hears this: its weights were fetched to {fetched}.")


def _unknown(name: str) -> BadSettings:
    return BadSettings("engine", f"'{name}' is not known; choose one of auto, {', '.join(ENGINES)}.")


def _weights(model: str | None, models: Path) -> Path:
    found = find_any_weights(models) if model is None else find_weights(model, models)
    return found or fetch_weights(model or DEFAULT_MODEL, models)
