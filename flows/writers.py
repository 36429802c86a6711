"""Which writers write what in this process: chosen by wishes, owner, priority and length; opened once and shared.

Knows the settings; what a writer does, and when the next one is asked, is the diary's business.
"""

from __future__ import annotations

import fnmatch
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from diarynotes.calls import Desk
from diarynotes.cost import price
from diarynotes.diary import Exchange, Private, Writer, expand_chain, open_writer, split_name
from diarynotes.errors import BadSettings
from diarynotes.models import Priority, Recording, RecordingId
from diarynotes.settings import Settings

LAST_RESORT = "extractive"
"""Ends every chain: it needs no model, so a note always arrives."""


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
        priority: Priority = "normal",
        words: int = 0,
        recording: Recording | None = None,
    ) -> tuple[Writer, ...]:
        """Who is asked for a note of `words` words, the first one first; it ends with the one that never fails.

        `wished` goes before the settings. Where the owner or the recording forbids it, none is on another's machine.
        """
        own = self._settings.of(owner)
        by_priority = {"urgent": own.writers_urgent, "low": own.writers_low}.get(priority, ())
        names = wished or by_priority or own.writers
        cheap_first = priority == "low" or words > own.long_words
        expanded = expand_chain(names, own.writer_models, cheap_first=cheap_first)
        style = "" if own.prompt_style == "auto" else own.prompt_style
        writers = [self._open(name, style) for name in dict.fromkeys((*expanded, LAST_RESORT))]
        allowed = own.cloud and (recording is None or may_leave(recording, own))
        return tuple(writer for writer in writers if allowed or writer.local)

    def check(self, wished: Sequence[str]) -> None:
        """Opens what the owner of these settings would have asked.

        Raises: BadSettings for a name, key or model that cannot work, and for a cloud that is named but forbidden.
        """
        settings = self._settings
        named = wished or settings.writers
        for name in expand_chain(named, settings.writer_models):
            writer = self._open(name, "")
            if not (settings.cloud or writer.local) and name in named:
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


def may_leave(recording: Recording, own: Settings) -> bool:
    """Whether what is said in a recording may be sent, masked, to another's machine, by its owner's settings."""
    return own.cloud and recording.cloud and not is_kept_here(recording.uri, own)


def is_kept_here(uri: str, own: Settings) -> bool:
    """Whether nothing of what lies in this place may be sent there."""
    return any(fnmatch.fnmatchcase(uri, pattern) for pattern in own.local_only)


def describe_writer(writer: Writer) -> str:
    """A writer and its model, for a person."""
    return writer.name if writer.degraded else f"{writer.name} ({writer.model})"
