"""Which objects count as dropped, by their names. Knows no bucket and reads nothing."""

from __future__ import annotations

from pathlib import PurePosixPath

_UNFINISHED = (".part", ".partial", ".filepart", ".crdownload", ".download", ".opdownload", ".tmp", ".temp", ".swp")
"""How browsers, copiers and editors call what they have not finished."""


def is_dropped(key: str) -> bool:
    """Whether an object of this name (its path below the bucket or folder) is one that somebody means us to have.

    Folders, hidden names and names of unfinished copies are not.
    """
    parts = PurePosixPath(key).parts
    if not parts or key.endswith("/"):
        return False
    name = parts[-1].lower()
    hidden = any(part.startswith(".") and part != ".." for part in parts)
    return not (hidden or name.endswith((*_UNFINISHED, "~")) or name.startswith("~$"))
