"""From settings to the receivers and queues that are on: each is, when its secret or its name is set."""

from __future__ import annotations

from typing import Any

from diarynotes.errors import BadSettings
from diarynotes.receive import azure, gcs, pubsub
from diarynotes.receive.keys import Keys
from diarynotes.receive.messages import Places, Receiver
from diarynotes.receive.proof import Tokens
from diarynotes.receive.pulling import Queue
from diarynotes.receive.s3 import EventBridge
from diarynotes.receive.signed import Signed
from diarynotes.receive.sqs import SqsQueue
from diarynotes.settings import Settings

_SHORTEST_SECRET = 16


def open_receivers(settings: Settings) -> list[Receiver]:
    """The ways in that have a secret. Raises: BadSettings for a secret that can be guessed, and half-set ways in."""
    for name in ("receive_secret", "receive_s3_key", "receive_azure_key"):
        if 0 < len(getattr(settings, name)) < _SHORTEST_SECRET:
            raise BadSettings(name, f"is too short to be a secret; take {_SHORTEST_SECRET} signs or more, by chance")
    _need_both(settings, "receive_pubsub_audience", "receive_pubsub_email")
    _need_both(settings, "receive_azure_tenant", "receive_azure_audience")
    places = tell_places(settings)
    receivers: list[Receiver] = []
    if settings.receive_secret:
        receivers.append(Signed(places, settings.receive_secret))
    if settings.receive_pubsub_audience:
        receivers.append(gcs.Push(places, _google_tokens(settings)))
    if settings.receive_s3_key:
        receivers.append(EventBridge(places, settings.receive_s3_key))
    if settings.receive_azure_key or settings.receive_azure_tenant:
        tokens = _azure_tokens(settings) if settings.receive_azure_tenant else None
        receivers.append(azure.EventGrid(places, settings.receive_azure_key, tokens))
    return receivers


def open_queues(settings: Settings) -> list[Queue]:
    """The queues that are named. Raises: BadSettings, NotInstalled."""
    places = tell_places(settings)
    queues: list[Queue] = []
    if settings.receive_pubsub_subscription:
        elsewhere = settings.receive_pubsub_url != pubsub.PUBSUB_URL  # an emulator, which asks for no token
        authorize = dict[str, str] if elsewhere else pubsub.google_login()
        queues.append(
            pubsub.Subscription(settings.receive_pubsub_subscription, places, authorize, settings.receive_pubsub_url)
        )
    if settings.receive_sqs_queue:
        queues.append(SqsQueue(settings.receive_sqs_queue, places))
    return queues


def tell_places(settings: Settings) -> Places:
    """What may be told of."""
    return Places(settings.receive_buckets or settings.buckets, settings.owner)


def _need_both(settings: Settings, *names: str) -> None:
    missing = [name for name in names if not getattr(settings, name)]
    if len(missing) == 1:
        raise BadSettings(missing[0], f"is needed beside {next(name for name in names if name not in missing)}")


def _google_tokens(settings: Settings) -> Tokens:
    claims: dict[tuple[str, ...], Any] = {("email",): {settings.receive_pubsub_email}, ("email_verified",): {True}}
    return Tokens(Keys(settings.receive_pubsub_keys), settings.receive_pubsub_audience, gcs.ISSUERS, claims)


def _azure_tokens(settings: Settings) -> Tokens:
    tenant = settings.receive_azure_tenant
    keys = Keys(settings.receive_azure_keys or azure.tell_keys(tenant))
    claims = {("tid",): {tenant}, ("appid", "azp"): {settings.receive_azure_app}}
    return Tokens(keys, settings.receive_azure_audience, azure.tell_issuers(tenant), claims)
