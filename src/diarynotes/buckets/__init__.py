"""Objects behind paths, file://, gs://, s3:// and az://: list them, hash them, have one as a local file.

Knows nothing of audio: any file is an object. Credentials come from whoever calls `connect`, else from where each
cloud's own tools look for them.
"""

from __future__ import annotations

from collections.abc import Iterator

import diarynotes.buckets.local as local
import diarynotes.buckets.remote as remote
from diarynotes.buckets.backend import Patience as Patience
from diarynotes.buckets.copies import local_copy as local_copy
from diarynotes.buckets.copies import sweep_copies as sweep_copies
from diarynotes.buckets.hashing import hash_blocks, sketch
from diarynotes.buckets.listing import Batch as Batch
from diarynotes.buckets.listing import Watermark as Watermark
from diarynotes.buckets.listing import list_new as list_new
from diarynotes.buckets.places import OnProblem, raise_problem, why
from diarynotes.buckets.places import is_remote as _is_remote
from diarynotes.buckets.places import owner_of as owner_of
from diarynotes.buckets.places import owner_of_key as owner_of_key
from diarynotes.buckets.remote import connect as connect
from diarynotes.errors import SourceUnavailable
from diarynotes.models import BucketObject


def list_objects(source: str, *, on_problem: OnProblem | None = None) -> Iterator[BucketObject]:
    """Every object of a file, a folder (with all below it) or a bucket's URI, in the order of names.

    Hidden files and folders below the source are skipped, and names with a NUL byte, which no database takes. On disk
    links are followed, and each real file comes once; of buckets a page is in memory at a time. A folder that cannot be
    read, a link that leads nowhere, or a bucket that stops answering goes to `on_problem` and the listing goes on as
    far as it can; without `on_problem` it is raised as SourceUnavailable.

    Raises: BadSettings for a source that does not exist; NotInstalled where the bucket's file system is missing.
    """
    report = on_problem or raise_problem
    return remote.list_all(source, report) if _is_remote(source) else local.list_all(source, report)


def find_object(uri: str) -> BucketObject | None:
    """The object of this very name as it is now; None where there is none, or a folder.

    Raises: SourceUnavailable where that cannot be told; NotInstalled.
    """
    return remote.find(uri) if _is_remote(uri) else local.find(uri)


def hash_object(obj: BucketObject, *, limit_bytes: int | None = None) -> str:
    """The SHA-256 of an object's bytes in hex, read in blocks of a few MiB.

    An object over `limit_bytes` is not read in full: it gets the SHA-256 of its size and its first and last MiB. That
    tells oversized objects apart for the price of two reads, and once the limit is raised the object gets its true
    hash, hence another identity, and is taken up anew.

    Raises: SourceUnavailable for an object that is gone, not permitted, changed since it was listed, or of which not
    all came, or something else than the bucket holds.
    """
    opened = remote.opened(obj) if _is_remote(obj.uri) else local.opened(obj)
    try:
        with opened as stretch:
            if limit_bytes is not None and obj.size_bytes > limit_bytes:
                return sketch(stretch, obj.size_bytes)
            return hash_blocks(stretch, obj.size_bytes)
    except OSError as error:
        raise SourceUnavailable(obj.uri, f"cannot be read ({why(error)})") from error
