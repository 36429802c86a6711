"""Which engine hears a recording, and with which model: by how urgent and how long it is, and by what is on disk.

Knows where weights lie and how they are fetched; opens nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from diarynotes.errors import ModelUnavailable, StorageFailed
from diarynotes.models import Priority
from diarynotes.transcribe.weights import DEFAULT_MODEL, fetch_weights, find_any_weights, find_checkpoint, find_weights

ON_GPU = "whisper"
"""The engine that runs Whisper's weights where there is a GPU and nobody named one."""
ON_CPU = "whisper"
"""The same where there is none: the faster one as measured (docs/transcription.md)."""
BY_SIZE = ("tiny", "base", "small", "medium", "large-v3-turbo", "large-v1", "large-v2", "large-v3")
"""OpenAI's models that know many languages, by what they cost."""
_NOT_HAD = (ModelUnavailable, StorageFailed)
"""Why a model that is wanted cannot be had: nobody gives it, or the folder takes nothing, as on a read-only volume."""


@dataclass(frozen=True, slots=True)
class ModelRule:
    """The Whisper model for each priority; a recording longer than `long_s` seconds gets what a low one gets."""

    low: str = "tiny"
    normal: str = "base"
    urgent: str = "small"
    long_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine chosen for a person: `reason` says why, and what to do for a better one.

    `model` is the path of its weights, None for an engine that has none. `second_best` says that another model was
    wanted and could not be had just now.
    """

    name: str
    model: str | None
    reason: str
    second_best: bool = False


def choose_model(priority: Priority, duration_s: float, rule: ModelRule | None = None) -> str:
    """The name of the model that hears a recording of this priority and length in seconds."""
    rule = rule or ModelRule()
    if priority == "low" or duration_s > rule.long_s:
        return rule.low
    return rule.urgent if priority == "urgent" else rule.normal


def find_larger(weights: Path, models: Path) -> Path | None:
    """The next larger model on disk than the one in `weights`, which hears again what that one is not trusted with.

    None where there is none, or where nobody knows how large a model of this name is.
    """
    name = weights.stem.removesuffix(".en")
    larger = BY_SIZE[BY_SIZE.index(name) + 1 :] if name in BY_SIZE else ()
    found = (find_checkpoint(model).find(models) for model in larger)
    return next(filter(None, found), None)


def choose_engine(models: Path, model: str | None = None, *, fetch: bool = True, gpu: bool = False) -> Choice:
    """Whisper where weights are on disk or can be fetched now, else PocketSphinx, which needs nothing.

    `model` is a name or the path of a .pt file (None: the best one at hand); where it cannot be had, the nearest one on
    disk is taken. Without `fetch` nothing is downloaded. Offline it costs a moment: one try with a short limit, of
    which nothing is remembered. Raises BadSettings for a model that does not exist.
    """
    name = ON_GPU if gpu else ON_CPU
    try:
        return choose_weights(name, models, model, fetch=fetch)
    except _NOT_HAD as error:
        reason = f"PocketSphinx hears this, with many wrong words. {error}"
        return Choice("pocketsphinx", None, reason, second_best=True)


def choose_weights(engine: str, models: Path, model: str | None, *, fetch: bool, exactly: bool = False) -> Choice:
    """The weights that `engine` is to run: those of `model`, fetched if need be, else the nearest ones on disk.

    Where there are none at all, or none of `model` and it is to be that one `exactly`, raises what kept it from being
    fetched, ModelUnavailable or StorageFailed; BadSettings for a model that does not exist.
    """
    found = find_any_weights(models) if model is None else find_weights(model, models)
    if found is not None:
        return Choice(engine, str(found), f"Whisper hears this: its weights are in {found}.")
    wanted = model or DEFAULT_MODEL
    try:
        if not fetch:
            folder = models / "whisper"
            raise ModelUnavailable(wanted, f"Fetch it with: diarynotes models pull {wanted}, or put it into {folder}.")
        fetched = fetch_weights(wanted, models)
    except _NOT_HAD as error:
        nearest = find_nearest(wanted, models)
        if nearest is None or exactly:
            raise
        reason = f"Whisper hears this with {nearest.stem} in place of {wanted}. {error}"
        return Choice(engine, str(nearest), reason, second_best=True)
    return Choice(engine, str(fetched), f"Whisper hears this: its weights were fetched to {fetched}.")


def find_nearest(model: str, models: Path) -> Path | None:
    """The weights on disk that come nearest to a model's: the next smaller, else the next larger, else any."""
    for name in _by_nearness(model):
        if (found := find_weights(name, models)) is not None:
            return found
    return find_any_weights(models)


def _by_nearness(model: str) -> Iterator[str]:
    """Names of models, the nearest first: of the same kind (English alone, or many languages), then the other kind."""
    size = Path(find_checkpoint(model).file_name).stem.removesuffix(".en")
    here = BY_SIZE.index(size) if size in BY_SIZE else 0
    order = (*reversed(BY_SIZE[: here + 1]), *BY_SIZE[here + 1 :])
    english = tuple(f"{name}.en" for name in order if not name.startswith("large"))
    yield from (*english, *order) if model.endswith(".en") else (*order, *english)
