"""Names that every system takes: for folders of owners, files of notes, tags.

Pure. Windows forbids more than others (learn.microsoft.com/windows/win32/fileio/naming-a-file), so its rules are kept
everywhere; macOS and Windows take "Ann" and "ann" for one name.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?", re.IGNORECASE)
_MOST_BYTES = 120
_NO_TAG = re.compile(r"[^\w/-]+")


def safe_name(text: str) -> str:
    """`text` as the name of a file or folder: at most 120 bytes of UTF-8, nothing hidden, never empty."""
    valid = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())
    shown = "".join("_" if unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp") else sign for sign in valid)
    name = _FORBIDDEN.sub("_", shown).encode()[:_MOST_BYTES].decode(errors="ignore").strip(" .")
    return f"_{name}" if not name or _RESERVED.fullmatch(name) else name


def name_folders(owners: Iterable[str]) -> dict[str, str]:
    """A folder for each owner; two that a system could not tell apart get a few figures of their own behind them."""
    names = {owner: safe_name(owner) for owner in sorted(owners)}
    folded = [unicodedata.normalize("NFKC", name).casefold() for name in names.values()]
    return {
        owner: f"{name}-{hashlib.sha256(owner.encode('utf-8', 'replace')).hexdigest()[:6]}"
        if folded.count(unicodedata.normalize("NFKC", name).casefold()) > 1
        else name
        for owner, name in names.items()
    }


def make_tag(topic: str) -> str:
    """A topic as a tag: words joined by hyphens; empty where no letter is left (help.obsidian.md/tags)."""
    tag = _NO_TAG.sub("-", unicodedata.normalize("NFC", topic)).strip("-/_")
    return tag if any(sign.isalpha() for sign in tag) else ""
