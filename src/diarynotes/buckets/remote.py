"""Objects in the buckets of clouds: pages of names, and stretches of bytes that are counted and checked.

Knows no cloud; the module named for a scheme does.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from diarynotes.buckets.backend import Backend, Facts, Page, Patience
from diarynotes.buckets.calls import NO_BUCKET, ask
from diarynotes.buckets.hashing import ReadStretch, begin_digest
from diarynotes.buckets.places import EXTRAS, OnProblem, is_hidden, split_uri
from diarynotes.errors import BadSettings, NotInstalled, SourceUnavailable
from diarynotes.models import BucketObject

_MODULES = {"gs": "gcs", "s3": "s3", "az": "azure"}


class _Connections:
    """How buckets are reached from this process: one backend a scheme, shared by all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._options: dict[str, tuple[dict[str, Any], Patience]] = {}
        self._opened: dict[tuple[str, int], Backend] = {}

    def set(self, scheme: str, options: Mapping[str, Any], patience: Patience) -> None:
        with self._lock:
            if self._options.get(scheme) == (dict(options), patience):
                return  # what is open stays open
            self._options[scheme] = (dict(options), patience)
            self._opened = {key: backend for key, backend in self._opened.items() if key[0] != scheme}

    def get(self, scheme: str) -> tuple[Backend, Patience]:
        key = (scheme, os.getpid())  # connections do not survive a fork
        with self._lock:
            options, patience = self._options.get(scheme, ({}, Patience()))
            if key not in self._opened:
                self._opened[key] = _open_backend(scheme, options, patience)
            return self._opened[key], patience


_connections = _Connections()


def connect(scheme: str, options: Mapping[str, Any] | None = None, *, patience: Patience | None = None) -> None:
    """From now on this process reaches `scheme` (gs, s3, az) with these storage options of fsspec.

    Without it, or with none, credentials come from where the cloud's own tools look for them: the environment, their
    files, the machine's role. Raises: BadSettings for an unknown scheme.
    """
    if scheme not in _MODULES:
        raise BadSettings(scheme, f"is no kind of bucket; known are {', '.join(_MODULES)}")
    _connections.set(scheme, options or {}, patience or Patience())


def _open_backend(scheme: str, options: Mapping[str, Any], patience: Patience) -> Backend:
    try:
        opened: Backend = import_module(f"diarynotes.buckets.{_MODULES[scheme]}").Backend(options, patience)
    except ImportError as error:
        install = f"pip install 'diarynotes[{EXTRAS[scheme]}]'"
        raise NotInstalled(f"What reads {scheme}:// buckets", install) from error
    except Exception as error:  # credentials that cannot be read
        raise SourceUnavailable(f"{scheme}://", f"cannot be reached ({type(error).__name__})") from error
    return opened


class Bucket:
    """One bucket; its methods raise SourceUnavailable, naming what was asked for."""

    def __init__(self, source: str) -> None:
        self.scheme, self.name, self.key = split_uri(source)
        self._backend, self._patience = _connections.get(self.scheme)

    def page(self, prefix: str, *, after: str = "", token: str = "", level: bool = False) -> Page:
        """See `backend.Backend.list_page`."""
        return ask(
            self._backend,
            self._patience,
            self.uri(prefix),
            lambda: self._backend.list_page(self.name, prefix, after=after, token=token, level=level),
        )

    def head(self, key: str) -> Facts | None:
        return ask(self._backend, self._patience, self.uri(key), lambda: self._backend.head(self.name, key))

    def read(self, facts: Facts, start: int, stop: int) -> bytes:
        """Exactly these bytes."""
        uri = self.uri(facts.key)
        block = ask(self._backend, self._patience, uri, lambda: self._backend.read(self.name, facts, start, stop))
        if len(block) != stop - start:
            raise SourceUnavailable(uri, f"only {start + len(block)} of its {facts.size_bytes} bytes came")
        return block

    def uri(self, key: str) -> str:
        return f"{self.scheme}://{self.name}/{key}"

    def as_object(self, facts: Facts) -> BucketObject:
        return BucketObject(self.uri(facts.key), facts.size_bytes, facts.version, facts.modified_at, facts.checksum)


def list_all(source: str, report: OnProblem) -> Iterator[BucketObject]:
    """See `buckets.list_objects`: the object of this name, if there is one, then all that is below it."""
    bucket = Bucket(source)
    try:
        found = False
        for facts in _list_facts(bucket):
            found = True
            if "\0" not in facts.key and not is_hidden(facts.key[len(bucket.key) :].lstrip("/")):
                yield bucket.as_object(facts)
    except SourceUnavailable as problem:
        if problem.why == NO_BUCKET:
            raise BadSettings(source, problem.why) from problem
        report(problem)
        return
    if not found and bucket.key:
        raise BadSettings(source, "there is no such bucket, folder or object")


def _list_facts(bucket: Bucket) -> Iterator[Facts]:
    if bucket.key and not bucket.key.endswith("/") and (facts := bucket.head(bucket.key)):
        yield facts
    prefix = prefix_of(bucket.key)
    token = ""
    while True:
        page = bucket.page(prefix, token=token)
        yield from (facts for facts in page.objects if not facts.key.endswith("/"))  # those stand for folders
        token = page.token
        if not token:
            return


def prefix_of(key: str) -> str:
    """What the names of all objects below a folder begin with."""
    return key.rstrip("/") + "/" if key.strip("/") else ""


def find(uri: str) -> BucketObject | None:
    """See `buckets.find_object`."""
    bucket = Bucket(uri)
    if not bucket.key or bucket.key.endswith("/"):
        return None
    facts = bucket.head(bucket.key)
    if facts is None:
        bucket.page(bucket.key)  # a bucket that is not there, too, has no such object, but that may be mended
    return bucket.as_object(facts) if facts else None


@contextmanager
def opened(obj: BucketObject) -> Iterator[ReadStretch]:
    """Reads stretches of the object, as long as it is the one that was listed, while the block runs.

    Raises at the end where all of it was read and is not what the bucket holds by its checksum.
    """
    bucket = Bucket(obj.uri)
    reading = _Reading(bucket, _describe(bucket, obj))
    yield reading.read
    reading.check()


def _describe(bucket: Bucket, obj: BucketObject) -> Facts:
    """What the bucket says of the object, which is not asked for what is known already.

    Each stretch is only read of the version that was listed; of an object without bytes there is none.
    """
    if obj.checksum and obj.size_bytes:
        return Facts(bucket.key, obj.size_bytes, obj.version, obj.modified_at, obj.checksum)
    facts = bucket.head(bucket.key)
    if facts is None:
        raise SourceUnavailable(obj.uri, "is no longer there")
    if (facts.version, facts.size_bytes) != (obj.version, obj.size_bytes):
        raise SourceUnavailable(obj.uri, "has changed since it was listed")
    return facts


class _Reading:
    """Reads stretches, and keeps the checksum of what is read one after the other from the beginning."""

    def __init__(self, bucket: Bucket, facts: Facts) -> None:
        self._bucket = bucket
        self._facts = facts
        self._digest = begin_digest(facts.checksum.kind) if facts.checksum else None
        self._counted = 0

    def read(self, start: int, stop: int) -> bytes:
        block = self._bucket.read(self._facts, start, stop)
        if self._digest and start == self._counted:
            self._digest.update(block)
            self._counted = stop
        return block

    def check(self) -> None:
        checksum = self._facts.checksum
        if checksum is None or self._digest is None or self._counted < self._facts.size_bytes:
            return
        if self._digest.digest() != checksum.value:
            uri = self._bucket.uri(self._facts.key)
            raise SourceUnavailable(uri, f"what came is not what the bucket holds, by its {checksum.kind}")
