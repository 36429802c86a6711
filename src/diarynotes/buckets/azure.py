"""Azure Blob Storage."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from diarynotes.buckets.backend import PAGE_OBJECTS, Facts, Page, Patience, Trouble, read_status
from diarynotes.models import Checksum

_CODES: dict[str, Trouble] = {
    "BlobNotFound": "gone",
    "ContainerNotFound": "no_bucket",
    "InvalidResourceName": "no_bucket",
    "ConditionNotMet": "changed",
    "InvalidRange": "changed",
}


class Backend:
    """See `backend.Backend`. adlfs logs in and keeps the connections."""

    def __init__(self, options: Mapping[str, Any], patience: Patience) -> None:
        from adlfs import AzureBlobFileSystem  # type: ignore[import-untyped]  # heavy, and an extra

        self._files = AzureBlobFileSystem(**{**options, "skip_instance_cache": True})
        self._each: dict[str, Any] = {
            "connection_timeout": patience.connect_s,
            "read_timeout": patience.read_s,
            "retry_total": 0,  # `calls` is the only one who tries again
        }

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = self._files.loop
        return loop

    async def list_page(self, bucket: str, prefix: str, *, after: str, token: str, level: bool) -> Page:
        container = self._files.service_client.get_container_client(bucket)
        where = {"name_starts_with": prefix, "include": ["metadata"], "results_per_page": PAGE_OBJECTS}
        if after:
            where["start_from"] = after
        listing = container.walk_blobs(**where, **self._each) if level else container.list_blobs(**where, **self._each)
        pages = listing.by_page(continuation_token=token or None)
        objects, folders = [], []
        async for item in await anext(pages):
            if not hasattr(item, "size"):
                folders.append(item.name)
            elif (item.metadata or {}).get("hdi_isfolder") != "true":  # how data lakes mark their folders
                objects.append(_facts(item))
        return Page(tuple(objects), tuple(folders), pages.continuation_token or "")

    async def head(self, bucket: str, key: str) -> Facts | None:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            found = await self._blob(bucket, key).get_blob_properties(**self._each)
        except ResourceNotFoundError:
            return None
        return _facts(found) if (found.metadata or {}).get("hdi_isfolder") != "true" else None

    async def read(self, bucket: str, facts: Facts, start: int, stop: int) -> bytes:
        from azure.core import MatchConditions

        same = {"etag": f'"{facts.version}"', "match_condition": MatchConditions.IfNotModified}
        blob = self._blob(bucket, facts.key)
        download = await blob.download_blob(offset=start, length=stop - start, **same, **self._each)
        block: bytes = await download.readall()
        return block

    def name_trouble(self, error: Exception) -> Trouble:
        from azure.core.exceptions import (
            HttpResponseError,
            ServiceRequestError,
            ServiceResponseError,
        )

        if isinstance(error, (ServiceRequestError, ServiceResponseError)):
            return "passing"
        if not isinstance(error, HttpResponseError):
            return "unknown"
        code = str(getattr(error, "error_code", None) or "")
        return _CODES.get(code) or read_status(error.status_code or 0)

    def _blob(self, bucket: str, key: str) -> Any:
        return self._files.service_client.get_blob_client(bucket, key)


def _facts(item: Any) -> Facts:
    md5 = item.content_settings.content_md5
    checksum = Checksum("md5", bytes(md5)) if md5 else None
    return Facts(item.name, int(item.size), str(item.etag).strip('"'), item.last_modified, checksum)
