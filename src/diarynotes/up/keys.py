"""The secrets of a Prefect server of one's own: made once, kept in files that only their owner can read."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from diarynotes.errors import StorageFailed

_USER = "diarynotes"


@dataclass(frozen=True, slots=True)
class Keys:
    """What the API and its UI ask for, where it lies, and the key that secrets in blocks are encrypted with."""

    auth_file: Path
    auth_string: str = field(repr=False)
    encryption_key: str = field(repr=False)


def load_keys(folder: Path) -> Keys:
    """The keys in `folder`, made where there are none yet. Raises: StorageFailed."""
    auth_file = folder / "auth-string"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        auth = _load(auth_file, lambda: f"{_USER}:{secrets.token_urlsafe(24)}")
        encryption = _load(folder / "encryption-key", _make_fernet_key)
    except OSError as error:
        raise StorageFailed(str(folder), error.strerror or str(error)) from error
    return Keys(auth_file, auth, encryption)


def _make_fernet_key() -> str:
    """32 random bytes as Fernet takes them (the cryptography library, fernet.py)."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _load(path: Path, make: Callable[[], str]) -> str:
    if not path.exists():
        # written beside its place first, so that a kill leaves no half of a key
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(make() + "\n")
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(path)
    return path.read_text().strip()
