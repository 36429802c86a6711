"""Finds the file of a local language model, by its path or by its name in the folder of models.

Knows file names and a file's first bytes, nothing of what a model can do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from diarynotes.errors import BadSettings

_SUFFIX = ".gguf"
_MAGIC = b"GGUF"
_MOST_LISTED = 10
_PART = re.compile(r"-\d{5}-of-\d{5}$")
_LATER_PART = re.compile(r"-(?!00001)\d{5}-of-\d{5}$")
"""llama.cpp finds the later files of a model in several parts by itself, beside the first."""


def find_gguf(model: str, models_folder: Path) -> Path:
    """The file of `model`: a path, or a name with or without `.gguf`, in the folder or one level below it.

    Raises: BadSettings, with the names that are there, where none or several fit; for a file that is no GGUF.
    """
    path = Path(model).expanduser()
    if os.sep in model and not path.is_file():
        raise BadSettings("llama_model", f"there is no file {path}")
    found = path if os.sep in model else _find_by_name(model, models_folder)
    if not _is_gguf(found):
        raise BadSettings("llama_model", f"{found} is no GGUF file; fetch it again, or convert the model to GGUF")
    return found.resolve()


def list_ggufs(models_folder: Path) -> tuple[Path, ...]:
    """Every model in the folder and one level below, sorted; of one in several parts the first."""
    found = {path for pattern in ("*", "*/*") for path in models_folder.glob(pattern)}
    return tuple(sorted(path for path in found if path.suffix == _SUFFIX and not _LATER_PART.search(path.stem)))


def measure_gguf(path: Path) -> int:
    """Bytes of a model's file, or of all its parts where it comes in several."""
    found = _PART.search(path.stem)
    if not found:
        return path.stat().st_size
    parts = re.compile(re.escape(path.stem[: found.start()]) + _PART.pattern)
    return sum(part.stat().st_size for part in path.parent.glob(f"*{_SUFFIX}") if parts.match(part.stem))


def _find_by_name(name: str, folder: Path) -> Path:
    there = list_ggufs(folder)
    found = [path for path in there if name and name in (path.name, path.stem)]
    if len(found) == 1:
        return found[0]
    if found:
        listed = _list(path.relative_to(folder) for path in found)
        raise BadSettings("llama_model", f"'{name}' names several files: {listed}; give the path of one")
    known = f"there: {_list(path.stem for path in there)}" if there else "there is none yet"
    why = f"'{name}' names no GGUF file" if name else "name a GGUF file"
    raise BadSettings("llama_model", f"{why} in {folder} ({known}); put one there, or give its path")


def _list(names: Iterable[object]) -> str:
    shown = [str(name) for name in names]
    return ", ".join(shown[:_MOST_LISTED]) + (", …" if len(shown) > _MOST_LISTED else "")


def _is_gguf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError as error:
        raise BadSettings("llama_model", f"{path} cannot be read: {error.strerror}") from error
