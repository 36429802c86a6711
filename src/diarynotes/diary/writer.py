"""What a writer is: anything that turns a transcript into a draft.

Knows no writer; the chain of them is `router`, the written list of them is in the package's front.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Protocol, runtime_checkable

from diarynotes.diary.caller import Caller
from diarynotes.diary.sharing import Memo
from diarynotes.models import Draft, Transcript


class Writer(Protocol):
    """Turns what was said into a draft of a diary note."""

    name: str
    """The config value that opens it."""
    model: str
    """The model that writes; a version of its own for a writer without one."""
    degraded: bool
    """True for a writer that is no language model: its notes are rewritten once one answers."""
    prompt_version: str
    """Changes whenever the same transcript would be written differently."""

    @property
    def local(self) -> bool:
        """Whether the transcript stays on the owner's own machines; what is sent elsewhere is masked before."""
        ...

    def close(self) -> None:
        """Give back connections and memory; the writer is not asked afterwards. May be called twice."""
        ...

    def write(self, transcript: Transcript, *, day: date, caller: Caller | None = None) -> Draft:
        """The draft of the note of `day`, the writer's own day (dates such as "tomorrow" count from it).

        Each call to a model goes through `caller`; without one it is made at once and in no book.

        Raises: WriterFailed when no usable draft comes; the chain then asks the next writer.
        """
        ...


@runtime_checkable
class SharingWriter(Writer, Protocol):
    """A writer that can take several short memos in one call."""

    def write_together(
        self, joined: Transcript, memos: Sequence[Memo], *, caller: Caller | None = None
    ) -> list[Draft | None]:
        """The draft of each memo, None for one that must be written alone; evidence counts the segments of `joined`.

        Raises: WriterFailed when nothing usable comes.
        """
        ...
