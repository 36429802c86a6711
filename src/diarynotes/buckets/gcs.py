"""Google Cloud Storage, by its JSON API."""

from __future__ import annotations

import asyncio
import json
import os
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from diarynotes.buckets.backend import PAGE_OBJECTS, Facts, Page, Patience, Trouble, read_status
from diarynotes.models import Checksum

_FIELDS = "name,size,generation,updated,md5Hash,crc32c,etag"


class Backend:
    """See `backend.Backend`. gcsfs logs in and keeps the connections; its own tries, up to six, are left out."""

    def __init__(self, options: Mapping[str, Any], patience: Patience) -> None:
        # else it looks up every bucket by gRPC first, which takes a minute where that way is closed
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        from aiohttp import ClientTimeout
        from gcsfs import GCSFileSystem  # type: ignore[import-untyped]  # heavy, and an extra

        self._files = GCSFileSystem(**{"access": "read_only", **options, "skip_instance_cache": True})
        self._timeout = ClientTimeout(total=None, sock_connect=patience.connect_s, sock_read=patience.read_s)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = self._files.loop
        return loop

    async def list_page(self, bucket: str, prefix: str, *, after: str, token: str, level: bool) -> Page:
        where = {"prefix": prefix, "maxResults": str(PAGE_OBJECTS)}
        where["fields"] = f"nextPageToken,prefixes,items({_FIELDS})"
        if level:
            where["delimiter"] = "/"
        if token:
            where["pageToken"] = token
        if after:
            where["startOffset"] = after
        answer = json.loads(await self._get(f"storage/v1/b/{quote(bucket, safe='')}/o", where))
        return Page(
            tuple(_facts(item) for item in answer.get("items", ())),
            tuple(answer.get("prefixes", ())),
            answer.get("nextPageToken", ""),
        )

    async def head(self, bucket: str, key: str) -> Facts | None:
        try:
            return _facts(json.loads(await self._get(f"storage/v1/{_name(bucket, key)}", {"fields": _FIELDS})))
        except _Refused as refused:
            if refused.status == 404:
                return None
            raise

    async def read(self, bucket: str, facts: Facts, start: int, stop: int) -> bytes:
        where = {"alt": "media", "ifGenerationMatch": facts.version}
        # an object that is stored gzipped comes as it is stored
        headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "gzip"}
        return await self._get(f"download/storage/v1/{_name(bucket, facts.key)}", where, headers)

    def name_trouble(self, error: Exception) -> Trouble:
        from aiohttp import ClientError
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError

        if isinstance(error, _Refused):
            return error.trouble
        if isinstance(error, DefaultCredentialsError):
            return "no_credentials"
        if isinstance(error, (ClientError, TransportError)):
            return "passing"
        return "forbidden" if isinstance(error, GoogleAuthError) else "unknown"

    async def _get(self, path: str, where: Mapping[str, str], headers: Mapping[str, str] | None = None) -> bytes:
        from yarl import URL

        session = await self._files._set_session()
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in self._files._get_params(where).items())
        url = URL(f"{self._files._location}/{path}?{query}", encoded=True)
        signed = self._files._get_headers(headers)
        async with session.get(url, headers=signed, timeout=self._timeout, auto_decompress=False) as answer:
            content: bytes = await answer.read()
            if answer.status >= 400:
                raise _Refused(answer.status, about_bucket=path.endswith("/o"))
            return content


class _Refused(Exception):
    """An answer that is an error; its text may name accounts, so only its number is kept."""

    def __init__(self, status: int, *, about_bucket: bool) -> None:
        super().__init__(status)
        self.status = status
        self.trouble: Trouble = "no_bucket" if about_bucket and status == 404 else read_status(status)


def _name(bucket: str, key: str) -> str:
    return f"b/{quote(bucket, safe='')}/o/{quote(key, safe='')}"


def _facts(item: Mapping[str, Any]) -> Facts:
    checksum = None
    if said := item.get("crc32c"):  # objects that were put together from others have no MD5
        checksum = Checksum("crc32c", b64decode(said))
    elif said := item.get("md5Hash"):
        checksum = Checksum("md5", b64decode(said))
    moment = datetime.fromisoformat(item["updated"])
    return Facts(item["name"], int(item["size"]), str(item["generation"]), moment, checksum)
