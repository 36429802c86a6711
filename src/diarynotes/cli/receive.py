"""`diarynotes receive`: a small web server that clouds and programs tell of new recordings."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from diarynotes.cli.console import say
from diarynotes.cli.serving import find_teller, show_log, stopping_in_order
from diarynotes.errors import BadSettings, StorageFailed
from diarynotes.settings import Settings, load_settings

_GRACE_S = 10


@click.command()
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="And on which port.")
@click.pass_obj
def receive(home: str | None, host: str, port: int) -> None:
    """Take what clouds and other programs tell of new recordings into the inbox.

    Each way in is open when its secret is set: /drops (receive_secret), /gcs (receive_pubsub_audience and
    receive_pubsub_email), /s3 (receive_s3_key), /azure (receive_azure_key or receive_azure_tenant). Queues are asked
    when they are named: receive_pubsub_subscription, receive_sqs_queue. Put a proxy with TLS before it.
    """
    serve(load_settings(home=home), host, port)


def serve(settings: Settings, host: str, port: int) -> None:
    """Serves until it is told to stop. Raises: BadSettings where no way in is open, StorageFailed."""
    from diarynotes.receive.app import build_app
    from diarynotes.receive.inbox import Inbox
    from diarynotes.receive.opening import open_queues, open_receivers, tell_places
    from diarynotes.receive.pulling import keep_pulling
    from diarynotes.settings import make_home
    from diarynotes.store import open_store

    receivers, queues = open_receivers(settings), open_queues(settings)
    if not receivers and not queues:
        raise BadSettings("receive_secret", "No way in is open. Set this or another secret; see `receive --help`.")
    if not tell_places(settings).buckets:
        raise BadSettings("receive_buckets", "Name the buckets that may be told of, such as gs://voice-notes")
    make_home(settings)
    show_log()
    closing = threading.Event()
    with open_store(settings.database_url, settings.home, lease_s=settings.lease_s) as store:

        def is_ready() -> bool:
            try:
                store.drops.count()
            except StorageFailed:
                return False
            return True

        with Inbox(store.drops.put, find_teller()) as inbox:
            for queue in queues:
                threading.Thread(target=keep_pulling, args=(queue, inbox, closing), daemon=True).start()
                say(f"Asking {queue.name} for messages.")
            try:
                _serve_app(build_app(receivers, inbox, is_ready), host, port, [one.path for one in receivers])
            finally:
                closing.set()


def _serve_app(app: Any, host: str, port: int, paths: Sequence[str]) -> None:
    import uvicorn

    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,  # an address may hold a key
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_GRACE_S,
        limit_concurrency=200,
        h11_max_incomplete_event_size=64_000,
    )

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            say(f"Receiving at http://{address[0]}:{address[1]} {' '.join(paths)}. Ctrl-C stops.")

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # uvicorn would raise them once more when it is done, and the process would end before its time

    sock = config.bind_socket()
    address = sock.getsockname()
    server = Server(config)

    def stop() -> None:
        server.force_exit, server.should_exit = server.should_exit, True

    with stopping_in_order(stop):
        server.run(sockets=[sock])


COMMANDS = (receive,)
