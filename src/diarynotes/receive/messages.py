"""What comes in, what is made of it, and how a message is refused. Knows no provider.

Whatever is wrong with a message is told without its contents: they are somebody else's, and may be made up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from diarynotes.buckets import owner_of_key
from diarynotes.errors import DiarynotesError
from diarynotes.receive.names import is_dropped
from diarynotes.store.facts import Drop

JSON = frozenset({"application/json"})
_MOST_BYTES = {"owner": 200, "uri": 2_000, "version": 200}
"""Longer ones have no place in the inbox's index; providers allow 1,024 bytes for a name at most."""

_log = logging.getLogger("diarynotes.receive")

T = TypeVar("T")


class Refused(DiarynotesError):
    """The message is not taken: forged (401, 403), malformed (400), replayed (409). `why` holds nothing of it."""

    code = "refused"
    fault = "service"

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why, status)
        self.why, self.status = why, status

    def __str__(self) -> str:
        return self.why


@dataclass(frozen=True, slots=True)
class Message:
    """A request as it came; header names in lower case."""

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a message comes to: drops, what the sender wants to hear, and a mark if it may be taken only once."""

    drops: tuple[Drop, ...] = ()
    answer: Mapping[str, Any] | None = None
    once: str = ""


class Receiver(Protocol):
    """Makes drops of one provider's messages: checks who sent one, then reads it. Raises: Refused."""

    path: str
    content_types: frozenset[str]

    def receive(self, message: Message) -> Receipt: ...


class Wire(BaseModel):
    """A part of a provider's message. What is not asked for is ignored; nothing is bent into another type."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True, frozen=True)


def parse(kind: type[T] | TypeAdapter[T], body: bytes | str) -> T:
    """`body`, which is JSON, as what it has to be. Raises: Refused; its words hold nothing of it."""
    adapter = kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        raise _refuse(error) from None


def parse_part(kind: type[T], part: Mapping[str, Any]) -> T:
    """The same for a part of a message that is parsed already."""
    try:
        return TypeAdapter(kind).validate_python(part)
    except ValidationError as error:
        raise _refuse(error) from None


def _refuse(error: ValidationError) -> Refused:
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return Refused(f"the message is malformed ({problem['type']})")


def read_each(parts: Iterable[T], read: Callable[[T], Drop | None]) -> tuple[Drop, ...]:
    """The drops of a batch. What is refused hurts no other part; where nothing else is left, the batch is refused."""
    drops: list[Drop] = []
    refusals: list[Refused] = []
    for part in parts:
        try:
            drop = read(part)
        except Refused as refusal:
            refusals.append(refusal)
        else:
            drops += (drop,) if drop else ()
    if refusals and not drops:
        raise refusals[0]
    for one in refusals:
        _log.warning("a part of a message was refused: %s", one)
    return tuple(drops)


@dataclass(frozen=True, slots=True)
class Places:
    """Which buckets (`gs://name`, a folder's path, …) may be told of, and whose is what lies in no owner's folder."""

    buckets: tuple[str, ...]
    default_owner: str

    def drop(self, bucket: str, key: str, version: str = "", owner: str = "") -> Drop | None:
        """The drop of the object `key` of `bucket`; None for what is no recording.

        `owner` is the first folder of the object's name where it is not given. Raises: Refused for a strange bucket.
        """
        if bucket not in {known.rstrip("/") for known in self.buckets}:
            raise Refused("the message is about a bucket that is not among receive_buckets", 403)
        if not is_dropped(key):
            return None
        return make_drop(owner or owner_of_key(key, self.default_owner), f"{bucket}/{key}", version)


def make_drop(owner: str, uri: str, version: str) -> Drop:
    """A drop that the inbox can hold. Raises: Refused for one with control characters, or that is too long."""
    for name, value in (("owner", owner), ("uri", uri), ("version", version)):
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise Refused(f"the message is malformed ({name}: no text)") from None
        if size > _MOST_BYTES[name] or any(ord(sign) < 32 or ord(sign) == 127 for sign in value):
            raise Refused(f"the message is malformed ({name}: too long, or with control characters)")
    return Drop(owner, uri, version)
