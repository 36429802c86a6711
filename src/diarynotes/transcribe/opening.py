"""Opens engines by name, in this process: the one place that names the backends.

Knows nothing of which engine or model suits whom (`choice.py`), nor of how many stay open (`pool.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from diarynotes.errors import BadSettings
from diarynotes.transcribe.engine import Engine
from diarynotes.transcribe.weights import DEFAULT_MODEL, fetch_weights, find_any_weights, find_weights

ENGINES = ("whisper", "ctranslate2", "pocketsphinx")
"""The engines a person may name; `auto` is `choose_engine`, and `scripted` is the fake of `diarynotes.testing`."""
WHISPERS = ("whisper", "ctranslate2")
"""Those that run Whisper's weights, load a whole library with them, and may use a GPU."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What an engine is opened with; see `open_engine`."""

    name: str
    model: str | None
    models: Path
    language: str | None
    workers: int
    device: str | None = None

    def open(self) -> Engine:
        """The engine, in this process. Raises what `open_engine` raises."""
        return open_engine(
            self.name,
            model=self.model,
            models=self.models,
            language=self.language,
            workers=self.workers,
            device=self.device,
        )


def check_engine(name: str) -> None:
    """Raises: BadSettings for a name that no engine has."""
    if name not in ("auto", "scripted", *ENGINES):
        raise _unknown(name)


def open_engine(
    name: str, *, model: str | None, models: Path, language: str | None, workers: int, device: str | None = None
) -> Engine:
    """The engine of this name, ready to decode; close it when done.

    `model` is a Whisper model's name or the path of a .pt file (None: the best one at hand), `models` the folder that
    holds `whisper/`, and `ctranslate2/` with what is converted; `language` an ISO 639 code (None: detected), `workers`
    the processes or threads that an engine on the CPU may use, `device` cpu or cuda (None: the GPU where there is
    one). Raises BadSettings, ModelUnavailable, NotInstalled, or StorageFailed where a converted model cannot be
    written.
    """
    if name == "whisper":
        import diarynotes.transcribe.whisper as whisper

        return whisper.Backend(_weights(model, models), device=device, threads=workers, language=language)
    if name == "ctranslate2":
        import diarynotes.transcribe.ctranslate2 as ctranslate2

        return ctranslate2.Backend(_weights(model, models), models, device=device, threads=workers, language=language)
    if name == "pocketsphinx":
        import diarynotes.transcribe.pocketsphinx as pocketsphinx

        return pocketsphinx.Backend(workers, language=language)
    if name == "scripted":
        from diarynotes.testing import ScriptedEngine

        return ScriptedEngine()
    raise _unknown(name)


def _unknown(name: str) -> BadSettings:
    return BadSettings("engine", f"'{name}' is not known; choose one of auto, {', '.join(ENGINES)}.")


def _weights(model: str | None, models: Path) -> Path:
    found = find_any_weights(models) if model is None else find_weights(model, models)
    return found or fetch_weights(model or DEFAULT_MODEL, models)
