"""An SQS queue that is asked for messages. botocore comes with s3fs and finds credentials as all AWS programs do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from diarynotes.errors import BadSettings, NotInstalled
from diarynotes.receive.messages import Places
from diarynotes.receive.pulling import Parcel
from diarynotes.receive.s3 import read_queued
from diarynotes.store.facts import Drop

_MOST_MESSAGES = 10
"""SQS gives no more at once."""
_WAIT_S = 10
_TIMEOUT_S = 30


class SqsQueue:
    """`url` is the queue's address; the region is taken from it where it says one."""

    def __init__(self, url: str, places: Places) -> None:
        try:
            from botocore.config import Config
            from botocore.session import Session
        except ImportError as error:
            raise NotInstalled("What reads SQS queues", "pip install 'diarynotes[s3]'") from error
        if not urlsplit(url).netloc:
            raise BadSettings("receive_sqs_queue", "is the queue's URL, https://sqs.REGION.amazonaws.com/ACCOUNT/NAME")
        self.name = url
        self._places = places
        config = Config(connect_timeout=10, read_timeout=_TIMEOUT_S, retries={"total_max_attempts": 2})
        self._client: Any = Session().create_client("sqs", region_name=_region_of(url), config=config)

    def take(self) -> Sequence[Parcel]:
        """See `pulling.Queue`."""
        answer = self._client.receive_message(
            QueueUrl=self.name, MaxNumberOfMessages=_MOST_MESSAGES, WaitTimeSeconds=_WAIT_S
        )
        return [Parcel(one["ReceiptHandle"], one["Body"]) for one in answer.get("Messages", ())]

    def read(self, parcel: Parcel) -> tuple[Drop, ...]:
        """See `pulling.Queue`."""
        return read_queued(parcel.body, self._places)

    def settle(self, parcels: Sequence[Parcel]) -> None:
        """See `pulling.Queue`. What could not be deleted comes again, and is a drop that is known."""
        entries = [{"Id": str(number), "ReceiptHandle": parcel.receipt} for number, parcel in enumerate(parcels)]
        self._client.delete_message_batch(QueueUrl=self.name, Entries=entries)

    def close(self) -> None:
        self._client.close()


def _region_of(url: str) -> str | None:
    """eu-central-1 of https://sqs.eu-central-1.amazonaws.com/…; None where the environment has to say it."""
    labels = (urlsplit(url).hostname or "").split(".")
    return labels[1] if labels[0] == "sqs" and len(labels) > 3 else None
