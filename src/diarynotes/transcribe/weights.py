"""Whisper's weights: OpenAI's checkpoints by name, found on disk or fetched once and checked by SHA-256.

Knows nothing of how they are run. They lie in `<models>/whisper/<name>.pt`; a file put there by hand serves as well.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import http.client
import importlib.util
import os
import threading
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from diarynotes.errors import BadSettings, ModelUnavailable, NotInstalled, StorageFailed

DEFAULT_MODEL = "base"
"""Fetched when nothing else is asked for: 145 MB, several times real time on a laptop."""
PREFERRED = ("small", "base", "tiny", "small.en", "base.en", "tiny.en")
"""Which weights on disk are taken when no model is named: what a laptop runs well, the best first."""
CONNECT_S = 4.0
"""How long the first answer of the server may take, s: offline must not cost more."""
STALL_S = 30.0
"""How long a running download may stand still, s."""
CHUNK_BYTES = 1 << 20


def find_weights(model: str, models: Path) -> Path | None:
    """The file of a model given by name or by the path of a .pt file; None where a known model is not on disk.

    Raises BadSettings for a name that is not OpenAI's and a path at which there is no file.
    """
    if model.endswith(".pt") or os.sep in model:
        path = Path(model).expanduser()
        if path.is_file():
            return path
        raise BadSettings("model", f"there is no file {path}.")
    url = _url(model)
    names = dict.fromkeys((Path(urlsplit(url).path).name, f"{model}.pt"))
    return next((file for name in names if (file := models / "whisper" / name).is_file()), None)


def find_any_weights(models: Path) -> Path | None:
    """The weights to use when no model is named: the preferred ones on disk, else any there, else None."""
    folder = models / "whisper"
    files = [folder / f"{name}.pt" for name in PREFERRED] + sorted(folder.glob("*.pt"))
    return next((file for file in files if file.is_file()), None)


def fetch_weights(model: str, models: Path) -> Path:
    """Fetch OpenAI's checkpoint of this name (75 MB to 3 GB); it appears whole and checked, or not at all.

    Raises ModelUnavailable, naming the file and what to do, when it cannot be had; BadSettings for an unknown name;
    StorageFailed when the folder cannot be written.
    """
    url = _url(model)
    target = models / "whisper" / Path(urlsplit(url).path).name
    sha256 = urlsplit(url).path.split("/")[-2]
    try:
        _probe(url)
        _download(url, target, sha256)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, _Unfit) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection
        raise ModelUnavailable(model, _remedy(url, target, error)) from error
    except OSError as error:
        raise StorageFailed(str(target.parent), error.strerror or "the weights cannot be written") from error
    return target


class _Unfit(Exception):
    """What came is not what was promised."""


def _probe(url: str) -> None:
    """Raise at once when the server does not answer; in a thread, since a name look-up heeds no time limit."""
    answer: list[Exception | None] = []

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - OpenAI's own https address
            urllib.request.urlopen(request, timeout=CONNECT_S).close()  # noqa: S310
            answer.append(None)
        except (OSError, http.client.HTTPException) as error:
            answer.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(CONNECT_S)
    if not answer:
        raise TimeoutError
    if answer[0] is not None:
        raise answer[0]


def _download(url: str, target: Path, sha256: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=STALL_S) as source, part.open("wb") as file:  # noqa: S310
            while chunk := source.read(CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != sha256:
            raise _Unfit
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _remedy(url: str, target: Path, error: Exception) -> str:
    if isinstance(error, _Unfit):
        return f"What {url} gave does not have the right SHA-256. Try again, or put the file at {target}."
    return f"It cannot be fetched now. Connect to the internet and run again, or put the file {url} at {target}."


def _url(model: str) -> str:
    known = _urls()
    if model not in known:
        raise BadSettings("model", f"'{model}' is not a Whisper model; choose {', '.join(known)} or a .pt file.")
    return known[model]


@functools.cache
def _urls() -> dict[str, str]:
    """OpenAI's addresses by name, read from the source of whisper: importing it would load torch, for seconds."""
    spec = importlib.util.find_spec("whisper")
    if spec is None or spec.origin is None:
        raise NotInstalled("openai-whisper", "pip install openai-whisper")
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "_MODELS" for t in node.targets):
            urls: dict[str, str] = ast.literal_eval(node.value)
            return urls
    raise NotInstalled("a known release of openai-whisper", "pip install 'openai-whisper>=20250625'")
