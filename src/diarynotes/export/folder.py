"""Brings a folder in step with the files that are wanted in it, and leaves alone what a person has changed.

Knows files and a small manifest of what it wrote, `.diarynotes.json`; nothing of what stands in them. A file whose
content is not what was written last is a person's: it stays as it is, and new text is put beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias

from diarynotes.buckets import find_object, local_copy
from diarynotes.errors import BadSettings, SourceUnavailable, StorageFailed

MANIFEST = ".diarynotes.json"
_PART = ".diarynotes-"
_BESIDE = " (diarynotes)"
_FOREIGN = "not a file that can be compared"

Step: TypeAlias = Literal["write", "unchanged", "offer", "leave"]


@dataclass(frozen=True, slots=True)
class Sound:
    """A recording to be copied, known by its content."""

    uri: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class File:
    """A file that is wanted: its path from the folder, with forward slashes, and whose day it belongs to."""

    path: str
    owner: str
    day: date
    content: bytes | Sound


@dataclass(frozen=True, slots=True)
class Scope:
    """What an export is about: of the files that it does not want, only those of this owner and these days go."""

    owner: str | None = None
    since: date | None = None
    until: date | None = None

    def holds(self, owner: str, day: date) -> bool:
        """Whether files of this owner's day are meant."""
        in_days = (self.since is None or day >= self.since) and (self.until is None or day <= self.until)
        return in_days and self.owner in (None, owner)


@dataclass(slots=True)
class Synced:
    """What became of the files, by path; `missing` are the uris of recordings that could not be copied."""

    written: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    """Files that a person has changed; those of them that were no longer wanted are left to the person."""
    beside: list[str] = field(default_factory=list)
    """New text beside a file that a person has changed."""
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the manifest tells of a path: what was written there last, before that, and put beside it."""

    owner: str
    day: str
    sha256: str = ""
    before: str = ""
    offered: str = ""


def sync_folder(folder: Path, files: Sequence[File], scope: Scope) -> Synced:
    """Makes `folder` hold `files`; the same files again change nothing.

    Every file is written beside its place and renamed into it. Raises: StorageFailed where the disk does not let it be;
    BadSettings for a manifest that cannot be read.
    """
    with _telling(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _Folder(folder).sync(files, scope)


def decide(wanted: str, found: str | None, known: _Known | None) -> Step:
    """What is to be done about a path, by hashes: of what is wanted, of what is there, of what is known of it."""
    if found is None:
        return "write"
    if found == wanted:
        return "unchanged"
    if known and found in (known.sha256, known.before):
        return "write"
    if known and wanted in (known.sha256, known.offered):
        return "leave"
    return "offer"


class _Folder:
    def __init__(self, top: Path) -> None:
        self._top = top
        self._known = _read_manifest(top / MANIFEST)
        self._synced = Synced()

    def sync(self, files: Sequence[File], scope: Scope) -> Synced:
        self._sweep({PurePosixPath(path).parent for path in [*self._known, *(file.path for file in files)]})
        steps = [(file, self._decide(file)) for file in files]
        self._announce(file for file, step in steps if step == "write")
        wanted = {file.path for file in files}
        for file, step in steps:
            wanted |= self._take(file, step)
        for path, known in sorted(self._known.items()):
            if path not in wanted and scope.holds(known.owner, date.fromisoformat(known.day)):
                self._remove(path, known)
        self._known = {path: replace(known, before="") for path, known in self._known.items()}
        self._save()
        return self._synced

    def _decide(self, file: File) -> Step:
        step = decide(_hash_wanted(file), self._hash_found(file), self._known.get(file.path))
        return "leave" if step == "offer" and isinstance(file.content, Sound) else step

    def _announce(self, files: Iterable[File]) -> None:
        """What is going to be written is in the manifest first: after a crash it is not taken for a person's."""
        for file in files:
            known = self._known.get(file.path) or _Known(file.owner, file.day.isoformat())
            self._known[file.path] = replace(known, sha256=_hash_wanted(file), before=known.sha256, offered="")
        self._save()

    def _take(self, file: File, step: Step) -> set[str]:
        """Does what was decided; the paths, beside the file's own, that are to stay."""
        if step == "write":
            self._write(file)
        elif step == "unchanged":
            self._synced.unchanged.append(file.path)
            known = self._known.get(file.path) or _Known(file.owner, file.day.isoformat())
            self._known[file.path] = replace(known, sha256=_hash_wanted(file), offered="")
        else:
            self._synced.kept.append(file.path)
            beside = replace(file, path=_beside(file.path))
            if step == "offer":
                self._offer(file, beside)
            return {beside.path}
        return set()

    def _offer(self, file: File, beside: File) -> None:
        known = self._known.get(file.path) or _Known(file.owner, file.day.isoformat())
        self._known[file.path] = replace(known, offered=_hash_wanted(file))
        step = self._decide(beside)
        if step == "write":
            self._announce([beside])
        if step in ("write", "unchanged"):
            self._take(beside, step)
        self._synced.beside.append(beside.path)

    def _write(self, file: File) -> None:
        path = self._top / file.path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_name(f"{_PART}{uuid.uuid4().hex}.part")
        try:
            if isinstance(file.content, bytes):
                part.write_bytes(file.content)
            else:
                _copy(file.content, part)
            part.chmod(0o600)
            part.replace(path)
        except SourceUnavailable as error:
            self._synced.missing.append(error.uri)
            self._known.pop(file.path)
            return
        finally:
            part.unlink(missing_ok=True)
        self._synced.written.append(file.path)

    def _remove(self, path: str, known: _Known) -> None:
        """Removes a file that is no longer wanted; one that a person has changed is theirs from now on."""
        del self._known[path]
        target = self._top / path
        found = _hash_file(target)
        if found in (known.sha256, known.before):
            target.unlink()
            self._synced.removed.append(path)
            self._prune(target.parent)
        elif found is not None:
            self._synced.kept.append(path)

    def _prune(self, folder: Path) -> None:
        while folder != self._top:
            with suppress(OSError):
                folder.rmdir()
            if folder.exists():
                return
            folder = folder.parent

    def _hash_found(self, file: File) -> str | None:
        path = self._top / file.path
        if isinstance(file.content, Sound) and path.is_file() and path.stat().st_size == file.content.size_bytes:
            return file.content.sha256  # hours of sound are not read each time
        return _hash_file(path)

    def _sweep(self, folders: Iterable[PurePosixPath]) -> None:
        """Half-written files of an export that was killed."""
        for folder in folders:
            for part in (self._top / folder).glob(f"{_PART}*.part"):
                part.unlink(missing_ok=True)

    def _save(self) -> None:
        told = {path: _shorten(known) for path, known in self._known.items()}
        text = json.dumps({"version": 1, "files": told}, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
        part = self._top / f"{_PART}{uuid.uuid4().hex}.part"
        try:
            part.write_text(text, "utf-8")
            part.replace(self._top / MANIFEST)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def _telling(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageFailed(str(error.filename or folder), error.strerror or type(error).__name__) from error


def _read_manifest(path: Path) -> dict[str, _Known]:
    try:
        files: dict[str, Any] = json.loads(path.read_text("utf-8"))["files"]
        known = {name: _Known(**values) for name, values in files.items()}
        for name, each in known.items():
            date.fromisoformat(each.day)
            _check_inside(name)
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError):
        why = "is damaged. Remove it, and export again: pages that are as they should be are taken on"
        raise BadSettings(str(path), why) from None
    return known


def _check_inside(path: str) -> None:
    """Raises: ValueError for a path that leads out of the folder; a synced manifest may come from anywhere."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or ":" in path:
        raise ValueError(path)


def _shorten(known: _Known) -> dict[str, str]:
    return {key: value for key, value in asdict(known).items() if value}


def _beside(path: str) -> str:
    pure = PurePosixPath(path)
    return str(pure.with_name(f"{pure.stem}{_BESIDE}{pure.suffix}"))


def _hash_wanted(file: File) -> str:
    return file.content.sha256 if isinstance(file.content, Sound) else hashlib.sha256(file.content).hexdigest()


def _hash_file(path: Path) -> str | None:
    """None where nothing is there."""
    try:
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except FileNotFoundError:
        return None
    except (IsADirectoryError, PermissionError):
        return _FOREIGN


def _copy(sound: Sound, target: Path) -> None:
    """Raises: SourceUnavailable where the recording is gone, or another one is in its place by now."""
    found = find_object(sound.uri)
    if found is None:
        raise SourceUnavailable(sound.uri, "is no longer there")
    with local_copy(found) as source:
        shutil.copyfile(source, target)
    if _hash_file(target) != sound.sha256:
        raise SourceUnavailable(sound.uri, "is another recording by now")
    with target.open("rb") as written:
        os.fsync(written.fileno())
