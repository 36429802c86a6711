"""Amazon S3, and servers that speak as it does."""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Literal

from diarynotes.buckets.backend import PAGE_OBJECTS, Facts, Page, Patience, Trouble
from diarynotes.models import Checksum

_CHECKSUMS: tuple[tuple[Literal["sha256", "crc32"], str], ...] = (
    ("sha256", "ChecksumSHA256"),
    ("crc32", "ChecksumCRC32"),
)
_CODES: dict[str, Trouble] = {
    "NoSuchKey": "gone",
    "404": "gone",  # the answer to a HEAD has no body that could say more
    "NoSuchBucket": "no_bucket",
    "InvalidBucketName": "no_bucket",
    "PreconditionFailed": "changed",
    "InvalidRange": "changed",
    **dict.fromkeys(("SlowDown", "InternalError", "RequestTimeout", "Throttling"), "passing"),
}


class Backend:
    """See `backend.Backend`."""

    def __init__(self, options: Mapping[str, Any], patience: Patience) -> None:
        from s3fs import S3FileSystem  # type: ignore[import-untyped]  # heavy, and an extra

        config = {
            "connect_timeout": patience.connect_s,
            "read_timeout": patience.read_s,
            "retries": {"total_max_attempts": 1},  # `calls` is the only one who tries again
        }
        config |= options.get("config_kwargs", {})
        self._files = S3FileSystem(**{**options, "config_kwargs": config, "skip_instance_cache": True})

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = self._files.loop
        return loop

    async def list_page(self, bucket: str, prefix: str, *, after: str, token: str, level: bool) -> Page:
        where = {"Prefix": prefix, "MaxKeys": PAGE_OBJECTS}
        if level:
            where["Delimiter"] = "/"
        if token:
            where["ContinuationToken"] = token
        elif after:
            where["StartAfter"] = after
        answer = await (await self._client()).list_objects_v2(Bucket=bucket, **where)
        return Page(
            tuple(_facts(item["Key"], item, item["Size"]) for item in answer.get("Contents", ())),
            tuple(item["Prefix"] for item in answer.get("CommonPrefixes", ())),
            answer.get("NextContinuationToken", "") if answer.get("IsTruncated") else "",
        )

    async def head(self, bucket: str, key: str) -> Facts | None:
        try:
            answer = await (await self._client()).head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        except Exception as error:
            if self.name_trouble(error) == "gone":
                return None
            raise
        return _facts(key, answer, answer["ContentLength"], _checksum(answer))

    async def read(self, bucket: str, facts: Facts, start: int, stop: int) -> bytes:
        answer = await (await self._client()).get_object(
            Bucket=bucket, Key=facts.key, Range=f"bytes={start}-{stop - 1}", IfMatch=f'"{facts.version}"'
        )
        async with answer["Body"] as body:
            block: bytes = await body.read()
        return block

    def name_trouble(self, error: Exception) -> Trouble:
        from aiohttp import ClientError as Broken
        from botocore.exceptions import (
            ClientError,
            ConnectionError,  # noqa: A004 (botocore's own)
            HTTPClientError,
            NoCredentialsError,
            ResponseStreamingError,
        )

        if isinstance(error, NoCredentialsError):
            return "no_credentials"
        if isinstance(error, (ConnectionError, HTTPClientError, ResponseStreamingError, Broken)):
            return "passing"
        if not isinstance(error, ClientError):
            return "unknown"
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = _CODES.get(error.response.get("Error", {}).get("Code", ""))
        return code or (
            "forbidden" if status in (401, 403) else "passing" if status >= 500 or status == 429 else "unknown"
        )

    async def _client(self) -> Any:
        return await self._files.set_session()


def _facts(key: str, answer: Mapping[str, Any], size_bytes: int, checksum: Checksum | None = None) -> Facts:
    return Facts(key, size_bytes, answer["ETag"].strip('"'), answer["LastModified"], checksum)


def _checksum(answer: Mapping[str, Any]) -> Checksum | None:
    """What the server says of all bytes: an upload in parts may have a checksum of their checksums instead."""
    whole = answer.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
    for kind, name in _CHECKSUMS:
        if whole and (said := answer.get(name)) and "-" not in said:
            return Checksum(kind, b64decode(said))
    etag = answer["ETag"].strip('"')
    # encrypted objects have another ETag, but for Amazon's own where the key is Amazon's too
    amazons = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("server") == "AmazonS3"
    encryption = answer.get("ServerSideEncryption")
    plain = not answer.get("SSECustomerAlgorithm") and (not encryption or (encryption == "AES256" and amazons))
    return Checksum("md5", bytes.fromhex(etag)) if plain and re.fullmatch("[0-9a-f]{32}", etag) else None
