"""The one way out to a model's server: what may leave, for how long, where to, and how much may come back.

Knows HTTP, but no vendor. The SDKs read the environment by themselves, for headers, proxies and more; whatever they
make of it, only what is named here leaves the machine. Redirects are not followed, so a key goes nowhere else.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpcore2
import httpx2

from diarynotes.diary.api_errors import BadAnswer
from diarynotes.errors import BadSettings

_MOST_BYTES = 8 * 2**20
"""An answer of the longest note is some hundred kilobytes."""
_WRITE_BYTES = 2**16
_HEADERS = frozenset(
    ("accept", "content-type", "content-length", "transfer-encoding", "host", "connection", "anthropic-version")
)
"""What leaves of an SDK's headers: not the machine's system, versions and paths that it tells of by default."""
_HOSTED = ("-cloud", ":cloud")
"""How Ollama's names of models end that it does not run itself but hands on to its makers' machines."""
_LOGGERS = ("openai", "anthropic", "httpx2", "httpcore2")

_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Ends all that this thread sends or reads here after `seconds` in total, however slowly it drips.

    Resolving a name is left to the system's own time limit, and each of a name's addresses may take the time anew.
    """
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def open_wire(
    *, authorization: str | None, user_agent: str, proxy: str | None = None, ca_file: str | None = None
) -> httpx2.Client:
    """An HTTP client that keeps the rules of this module; proxies and certificates of the environment do not count.

    `ca_file` holds certificates (PEM) of those who may vouch for a server, besides the public ones.

    Raises: BadSettings for a proxy or certificates that cannot be used; what it says shows no password.
    """
    _check_proxy(proxy)
    transport = _Wire(authorization=authorization, user_agent=user_agent, proxy=proxy, trust=_trust(ca_file))
    return httpx2.Client(transport=transport, trust_env=False, follow_redirects=False)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, and whether that is on the owner's own machines."""

    url: str
    host: str
    local: bool


def hush_clients() -> None:
    """Keeps requests out of logs: at the level DEBUG, which a variable switches on at their import, SDKs log them."""
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


def check_address(base_url: str, *, writer: str, local: bool | None) -> Address:
    """Where `base_url` leads; `local` overrules what it looks like: this machine, or a private network's number.

    A name that is not `localhost` counts as public, because nobody knows what it resolves to tomorrow.

    Raises: BadSettings, naming the writer's setting, for what is no web address, holds a password, or would carry a
    diary openly over the internet.
    """
    setting = f"{writer}_base_url"
    try:
        url = httpx2.URL(base_url)
    except (httpx2.InvalidURL, TypeError):
        url = httpx2.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise BadSettings(setting, "must be a web address such as https://api.example.com/v1")
    if url.userinfo or url.query or url.fragment:
        raise BadSettings(setting, "must hold no user, password, query or fragment; keys go into api_key")
    near = _is_local(url.host)
    address = Address(str(url), url.host, near if local is None else local)
    if url.scheme == "http" and not (near or address.local):
        own = "" if local is False else f", or set {writer}_local = true if that machine and the way to it are yours"
        raise BadSettings(setting, f"http://{url.host} would carry the diary openly; use https{own}")
    return address


def is_hosted(model: str) -> bool:
    """Whether a server on one's own machine hands this model's words on to somebody else's."""
    return model.lower().endswith(_HOSTED)


def check_key(api_key: str | None) -> str | None:
    """The key without the white space around it; None where there is none.

    Raises: BadSettings, which does not show it, when it holds what no header can.
    """
    key = (api_key or "").strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise BadSettings("api_key", "holds signs that no key has; copy it again")
    return key or None


def _check_proxy(proxy: str | None) -> None:
    if proxy is not None and not proxy.startswith(("http://", "https://")):
        raise BadSettings("writer_proxy", "must be the address of an HTTP proxy, such as http://proxy.example:3128")


def _trust(ca_file: str | None) -> ssl.SSLContext:
    trust = httpx2.create_ssl_context(trust_env=False)
    if ca_file:
        try:
            trust.load_verify_locations(Path(ca_file).expanduser())
        except (OSError, ssl.SSLError) as error:
            raise BadSettings("writer_ca_file", f"{ca_file} holds no certificates that can be read") from error
    return trust


def _is_local(host: str) -> bool:
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, 6.3
        return True
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_private or address.is_link_local


class _Wire(httpx2.BaseTransport):
    def __init__(self, *, authorization: str | None, user_agent: str, proxy: str | None, trust: ssl.SSLContext) -> None:
        self._authorization, self._user_agent = authorization, user_agent
        self._inner = httpx2.HTTPTransport(verify=trust, trust_env=False, proxy=proxy)
        # httpx2 offers no argument for the pool's network, the only place that sees every single read and write
        self._inner._pool._network_backend = _TimedNetwork()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        headers = {name: value for name, value in request.headers.items() if name in _HEADERS}
        headers |= {"accept-encoding": "identity", "user-agent": self._user_agent}
        if self._authorization:
            headers["authorization"] = self._authorization
        # a request of our own: the SDKs look for marks among the headers of theirs when the answer is there
        outgoing = httpx2.Request(
            request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions
        )
        response = self._inner.handle_request(outgoing)
        if response.headers.get("content-encoding", "identity") != "identity":  # a small one may unpack to gigabytes
            response.close()
            raise BadAnswer("packed")
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Measured(response.stream)
        return response

    def close(self) -> None:
        self._inner.close()


class _Measured(httpx2.SyncByteStream):
    """A body that ends with an error where it gets too large."""

    def __init__(self, body: httpx2.SyncByteStream) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for chunk in self._body:
            size += len(chunk)
            if size > _MOST_BYTES:
                raise BadAnswer("too large")
            yield chunk

    def close(self) -> None:
        self._body.close()


def _time_left(timeout: float | None) -> float | None:
    left = _deadline.get() - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("the time for the whole call is over")
    return timeout if math.isinf(left) else left if timeout is None else min(left, timeout)


class _TimedNetwork(httpcore2.NetworkBackend):
    """The plain network, with every step held to the deadline of the call that it belongs to."""

    def __init__(self) -> None:
        self._plain = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        return _TimedStream(
            self._plain.connect_tcp(host, port, _time_left(timeout), local_address, socket_options=socket_options)
        )


class _TimedStream(httpcore2.NetworkStream):
    def __init__(self, plain: httpcore2.NetworkStream) -> None:
        self._plain = plain

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._plain.read(max_bytes, _time_left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _WRITE_BYTES):
            self._plain.write(buffer[start : start + _WRITE_BYTES], _time_left(timeout))

    def close(self) -> None:
        self._plain.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _TimedStream(self._plain.start_tls(ssl_context, server_hostname, _time_left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._plain.get_extra_info(info)
