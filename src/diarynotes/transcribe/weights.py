"""Whisper's weights: OpenAI's checkpoints by name, found on disk or fetched once and checked by SHA-256.

Knows nothing of how they are run. They lie in `<models>/whisper/<name>.pt`; a file put there by hand serves as well.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from diarynotes.errors import BadSettings, ModelUnavailable, NotInstalled, StorageFailed
from diarynotes.transcribe.download import CONNECT_S, Progress, Unfit, Unreachable, download

DEFAULT_MODEL = "base"
"""Fetched when nothing else is asked for: 145 MB, several times real time on a laptop."""
PREFERRED = ("small", "base", "tiny", "small.en", "base.en", "tiny.en")
"""Which weights on disk are taken when no model is named: what a laptop runs well, the best first."""
SIZES_MB = {
    "tiny": 76,
    "base": 145,
    "small": 484,
    "medium": 1528,
    "large-v1": 3087,
    "large-v2": 3087,
    "large-v3": 3087,
    "large-v3-turbo": 1618,
}
"""About how large the files are, in millions of bytes; an English one is as large as its sibling."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One of OpenAI's files: its names, where it is published, and about how large it is (None: not known)."""

    names: tuple[str, ...]
    url: str
    size_mb: int | None

    @property
    def file_name(self) -> str:
        return Path(urlsplit(self.url).path).name

    @property
    def sha256(self) -> str:
        """As published: OpenAI's addresses hold it."""
        return urlsplit(self.url).path.split("/")[-2]

    def find(self, models: Path) -> Path | None:
        """The file in the folder of models, under any of its names."""
        names = dict.fromkeys((self.file_name, *(f"{name}.pt" for name in self.names)))
        return next((file for name in names if (file := models / "whisper" / name).is_file()), None)


def list_checkpoints(urls: Mapping[str, str] | None = None) -> tuple[Checkpoint, ...]:
    """Every file that OpenAI publishes, or that `urls` (addresses by name) names in their place.

    Raises: NotInstalled where openai-whisper, which knows the addresses, is missing.
    """
    names: dict[str, list[str]] = {}
    for name, url in (published_urls() if urls is None else urls).items():
        names.setdefault(url, []).append(name)
    return tuple(Checkpoint(tuple(known), url, _size_mb(known)) for url, known in names.items())


def find_weights(model: str, models: Path, *, urls: Mapping[str, str] | None = None) -> Path | None:
    """The file of a model given by name or by the path of a .pt file; None where a known model is not on disk.

    Raises BadSettings for a name that is not OpenAI's and a path at which there is no file.
    """
    if model.endswith(".pt") or os.sep in model:
        path = Path(model).expanduser()
        if path.is_file():
            return path
        raise BadSettings("model", f"there is no file {path}.")
    return find_checkpoint(model, urls).find(models)


def find_any_weights(models: Path) -> Path | None:
    """The weights to use when no model is named: the preferred ones on disk, else any there, else None."""
    folder = models / "whisper"
    files = [folder / f"{name}.pt" for name in PREFERRED] + sorted(folder.glob("*.pt"))
    return next((file for file in files if file.is_file()), None)


def fetch_weights(
    model: str,
    models: Path,
    *,
    urls: Mapping[str, str] | None = None,
    connect_s: float = CONNECT_S,
    progress: Progress | None = None,
) -> Path:
    """Fetch OpenAI's checkpoint of this name (75 MB to 3 GB); it appears whole and checked, or not at all.

    A download that broke off is taken up again, here or by the next call. `urls` are the addresses to use in place of
    OpenAI's, each ending in `<sha256>/<file>.pt`; `connect_s` is how long the first answer may take.

    Raises ModelUnavailable, naming the file and what to do, when it cannot be had; BadSettings for an unknown name;
    StorageFailed when the folder cannot be written.
    """
    checkpoint = find_checkpoint(model, urls)
    target = models / "whisper" / checkpoint.file_name
    try:
        download(checkpoint.url, target, sha256=checkpoint.sha256, connect_s=connect_s, progress=progress)
    except (Unreachable, Unfit) as error:
        raise ModelUnavailable(model, _remedy(checkpoint.url, target, error)) from error
    except OSError as error:
        raise StorageFailed(str(target.parent), error.strerror or "the weights cannot be written") from error
    return target


def find_checkpoint(model: str, urls: Mapping[str, str] | None = None) -> Checkpoint:
    """The checkpoint of this name. Raises: BadSettings, with the known names, for any other."""
    checkpoints = list_checkpoints(urls)
    for checkpoint in checkpoints:
        if model in checkpoint.names:
            return checkpoint
    known = ", ".join(name for checkpoint in checkpoints for name in checkpoint.names)
    raise BadSettings("model", f"'{model}' is not a Whisper model; choose {known} or a .pt file.")


@functools.cache
def published_urls() -> Mapping[str, str]:
    """OpenAI's addresses by name, read from the source of whisper: importing it would load torch, for seconds."""
    spec = importlib.util.find_spec("whisper")
    if spec is None or spec.origin is None:
        raise NotInstalled("openai-whisper", "pip install openai-whisper")
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "_MODELS" for t in node.targets):
            urls: dict[str, str] = ast.literal_eval(node.value)
            return urls
    raise NotInstalled("a known release of openai-whisper", "pip install 'openai-whisper>=20250625'")


def _size_mb(names: list[str]) -> int | None:
    return next((size for name in names if (size := SIZES_MB.get(name.removesuffix(".en")))), None)


def _remedy(url: str, target: Path, error: Unreachable | Unfit) -> str:
    if isinstance(error, Unfit):
        return f"What {url} gave does not have the right SHA-256. Try again, or put the file at {target}."
    kept = f" {error.kept_bytes / 1e6:.0f} MB of it are kept, and the next try goes on from there."
    return (
        f"It cannot be fetched now. Connect to the internet and run again, or fetch {url} elsewhere and put the file "
        f"at {target}.{kept if error.kept_bytes else ''}"
    )
