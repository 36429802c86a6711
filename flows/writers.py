"""Which writers write what in this process: chosen by wishes, owner, priority and length; opened once and shared.

Knows the settings; what a writer does, and when the next one is asked, is the diary's business.
"""

from __future__ import annotations

import fnmatch
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from urllib.parse import unquote

from diarynotes.calls import Desk
from diarynotes.cost import price
from diarynotes.diary import Exchange, Private, Writer, expand_chain, open_writer, split_name
from diarynotes.errors import BadSettings
from diarynotes.models import Priority, Recording, RecordingId
from diarynotes.settings import Settings

LAST_RESORT = "extractive"
"""Ends every chain: it needs no model, so a note always arrives."""
_CHAINS = ("writers", "writers_urgent", "writers_low")


class Writers:
    """The writers of one process. Safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._opened: dict[tuple[str, str], Writer] = {}

    def chain(
        self,
        owner: str,
        *,
        wished: Sequence[str] = (),
        wished_style: str | None = None,
        priority: Priority = "normal",
        words: int = 0,
        recording: Recording | None = None,
        places: Sequence[str] = (),
    ) -> tuple[Writer, ...]:
        """Who is asked for a note of `words` words, the first one first; it ends with the one that never fails.

        `wished` and `wished_style` go before the settings. Where the owner, the recording, its place or another of
        the `places` in which it was found forbids it, none is on another's machine.
        """
        own = self._settings.of(owner)
        by_priority = {"urgent": own.writers_urgent, "low": own.writers_low}.get(priority, ())
        names = wished or by_priority or own.writers
        cheap_first = priority == "low" or words > own.long_words
        expanded = expand_chain(names, own.writer_models, cheap_first=cheap_first)
        wanted = wished_style or own.prompt_style
        style = "" if wanted == "auto" else wanted
        writers = [self._open(name, style) for name in dict.fromkeys((*expanded, LAST_RESORT))]
        allowed = own.cloud and not is_kept(places, own) and (recording is None or may_leave(recording, own))
        return tuple(writer for writer in writers if allowed or writer.local)

    def check(self, wished: Sequence[str]) -> None:
        """Opens what anybody would have asked, so that a mistake is told at once and not for each recording.

        Raises: BadSettings for a name, key, model or place that cannot work, and for a cloud that is named where it is
        forbidden.
        """
        settings = self._settings
        self._check(settings, wished or _name_writers(settings), wished)
        for owner, table in settings.owners.items():
            self._check(settings.of(owner), [name for key in _CHAINS for name in table.get(key, ())], wished)

    def _check(self, own: Settings, named: Sequence[str], wished: Sequence[str]) -> None:
        """The chains of an owner, who has `named` these writers without being made to."""
        _check_places(own.local_only)
        for name in expand_chain(wished or _name_writers(own), own.writer_models):
            writer = self._open(name, "")
            if not (own.cloud or writer.local) and name in named:
                raise BadSettings("writers", f"'{name}' sends what was said to another's machine, and cloud is off")

    def private(self, owner: str) -> Private:
        """What is masked for this owner beside what every mask finds."""
        own = self._settings.of(owner)
        return Private(own.private_names, own.phone_region or None)

    def exchange(
        self,
        desk: Desk,
        owner: str,
        recording_id: RecordingId | None,
        *,
        sleep: Callable[[float], object],
        hold: Callable[[str], AbstractContextManager[object]] = nullcontext,
    ) -> Exchange:
        """What carries the calls for one note, within the owner's budgets."""
        budgets = self._settings.of(owner).budgets
        return Exchange(desk, price, owner, recording_id, budgets, sleep=sleep, hold=hold)

    def close(self) -> None:
        """Gives back all connections and models."""
        with self._lock:
            for writer in self._opened.values():
                writer.close()
            self._opened.clear()

    def _open(self, name: str, style: str) -> Writer:
        with self._lock:
            if (name, style) not in self._opened:
                options = dict(self._settings.writer_options.get(split_name(name)[0], {}))
                if style and options:
                    options["prompt"] = style
                self._opened[name, style] = open_writer(name, **options)
            return self._opened[name, style]


def _name_writers(own: Settings) -> list[str]:
    """Whom the chains of all priorities name."""
    return [name for key in _CHAINS for name in getattr(own, key)]


def may_leave(recording: Recording, own: Settings) -> bool:
    """Whether what is said in a recording may be sent, masked, to another's machine, by its owner's settings."""
    return own.cloud and recording.cloud and not is_kept([recording.uri], own)


def is_kept(places: Sequence[str], own: Settings) -> bool:
    """Whether one of these places is among those of which nothing may be sent to another's machine."""
    return any(_lies_in(place, pattern) for place in places for pattern in own.local_only)


def _lies_in(place: str, pattern: str) -> bool:
    """Whether a place is, or is anywhere below, what a pattern names; one that begins nowhere may begin anywhere."""
    path = _name_path(place)
    named = _name_path(pattern)
    begins = (named,) if named.startswith("/") or "://" in named else (named, f"*/{named}")
    return any(fnmatch.fnmatchcase(path, one + below) for one in begins for below in ("", "/*"))


def _name_path(place: str) -> str:
    """A place without what is written in several ways: the scheme of local files, the home, a slash at the end."""
    path = unquote(place.removeprefix("file://").removeprefix("localhost")) if place.startswith("file://") else place
    return os.path.expanduser(path).removeprefix("./").rstrip("/")


def _check_places(patterns: Sequence[str]) -> None:
    for pattern in patterns:
        named = _name_path(pattern)
        if not pattern.strip() or named.startswith("~") or ".." in named.split("/"):
            raise BadSettings("local_only", f"'{pattern}' is no place that a recording can lie in")


def describe_writer(writer: Writer) -> str:
    """A writer and its model, for a person."""
    return writer.name if writer.degraded else f"{writer.name} ({writer.model})"
