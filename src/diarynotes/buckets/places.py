"""What the name of a source or an object says: local or in a bucket, which one, and whose. Reads nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote_to_bytes

from diarynotes.errors import BadSettings, SourceUnavailable

EXTRAS = {"gs": "gcs", "s3": "s3", "az": "azure"}
"""The schemes of remote buckets, and the extra that installs what reads each."""

OnProblem = Callable[[SourceUnavailable], None]


def is_remote(uri: str) -> bool:
    """Whether it lies in a bucket of a cloud. Raises: BadSettings for a scheme that nobody here reads."""
    scheme, separator, _ = uri.partition("://")
    if not separator or scheme == "file" or "/" in scheme:
        return False
    if scheme not in EXTRAS:
        known = ", ".join(f"{name}://" for name in ("file", *EXTRAS))
        raise BadSettings(uri, f"{scheme}:// is not read here; known are paths and {known}")
    return True


def split_uri(uri: str) -> tuple[str, str, str]:
    """Scheme, bucket and key of a remote URI; the key as it is, with nothing percent-encoded.

    Raises: BadSettings where no bucket is named.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if not bucket:
        raise BadSettings(uri, f"names no bucket; write {scheme}://BUCKET/FOLDER")
    return scheme, bucket, key


def owner_of(uri: str, source: str, default: str = "") -> str:
    """Whose an object is: as `owner_of_key` of its name below `source`, which is a whole bucket of `<owner>/…`.

    `default` for what is not below the source, too.
    """
    if not is_remote(source) and not is_remote(uri):
        source, uri = str(local_path(source)), str(local_path(uri))
    top = source.rstrip("/") + "/"
    return owner_of_key(uri.removeprefix(top), default) if uri.startswith(top) else default


def owner_of_key(key: str, default: str = "") -> str:
    """Whose an object of this name in its bucket is: the first folder of the name, whatever slashes come before it.

    `default` for what lies beside those folders, and where the folder's name is no text.
    """
    folder, slash, _ = key.lstrip("/").partition("/")
    return folder if slash and _is_text(folder) else default


def is_hidden(key: str) -> bool:
    """Whether a part of the name begins with a dot."""
    return key.startswith(".") or "/." in key


def local_path(source: str) -> Path:
    """The absolute path that a path or a file:// URI names."""
    path = os.path.expanduser(source)
    if source.startswith("file://"):
        path = os.fsdecode(unquote_to_bytes(source.removeprefix("file://").removeprefix("localhost")))
    return Path(os.path.abspath(path))


def local_uri(path: str) -> str:
    """What a local file is called: its path, or a file:// URI with its bytes percent-encoded where that is no text."""
    return path if _is_text(path) else Path(path).as_uri()


def _is_text(name: str) -> bool:
    """Whether it can be stored as text, which a name of bytes that are no UTF-8 cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def why(error: BaseException) -> str:
    """The reason without the path or anything that an SDK may have put into its message."""
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def raise_problem(problem: SourceUnavailable) -> None:
    raise problem
