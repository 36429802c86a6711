"""A cloud in memory that answers as the clouds do."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from fsspec.asyn import get_loop

from diarynotes.buckets.backend import Facts, Page, Trouble
from diarynotes.models import Checksum


class Refused(Exception):
    """Named for its trouble."""


class InMemory:
    """A cloud in memory: pages of three names in order, conditional reads, and troubles to order."""

    def __init__(self) -> None:
        self.loop = get_loop()
        self.objects: dict[str, bytes] = {}
        self.lies = False
        self.troubles: list[Exception] = []
        self.asked = 0
        self.short = 0
        self.begins_anywhere = True
        self.page_names = 3

    def facts(self, key: str) -> Facts:
        body = self.objects[key]
        md5 = hashlib.md5(body).digest()
        return Facts(key, len(body), md5.hex(), datetime.now(UTC), Checksum("md5", b"" if self.lies else md5))

    def _ask(self, bucket: str) -> None:
        self.asked += 1
        if self.troubles:
            raise self.troubles.pop()
        if bucket != "notes":
            raise Refused("no_bucket")

    async def list_page(self, bucket: str, prefix: str, *, after: str, token: str, level: bool) -> Page:
        self._ask(bucket)
        begin = max(after, token) if self.begins_anywhere else token
        below = sorted(key for key in self.objects if key.startswith(prefix) and key > begin)
        folders: list[str] = []
        if level:
            folders = sorted(
                {prefix + key[len(prefix) :].split("/")[0] + "/" for key in below if "/" in key[len(prefix) :]}
            )
            below = [key for key in below if "/" not in key[len(prefix) :]]
        page = below[: self.page_names]
        return Page(tuple(map(self.facts, page)), tuple(folders), page[-1] if len(below) > len(page) else "")

    async def head(self, bucket: str, key: str) -> Facts | None:
        self._ask("notes")
        return self.facts(key) if bucket == "notes" and key in self.objects else None

    async def read(self, bucket: str, facts: Facts, start: int, stop: int) -> bytes:
        self._ask(bucket)
        if facts.key not in self.objects:
            raise Refused("gone")
        if self.facts(facts.key).version != facts.version:
            raise Refused("changed")
        return self.objects[facts.key][start : stop - self.short]

    def name_trouble(self, error: Exception) -> Trouble:
        if isinstance(error, Refused):
            named: Trouble = error.args[0]
            return named
        return "passing" if isinstance(error, InterruptedError) else "unknown"
