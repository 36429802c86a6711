"""A server on this machine that answers as model vendors do, well or badly, and remembers what it was sent.

How strict the vendors themselves are with what they are sent, and how they say no, is in `vendor_wire`.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpcore2
import pytest

from diarynotes.diary import wire

NOTE: dict[str, Any] = {
    "body": [{"text": "I planted twelve tomatoes with Anna.", "segments": [0]}],
    "title": "Tomatoes",
    "summary": "I planted tomatoes with Anna.",
    "mood": {"label": "positive", "score": 0.5},
    "people": ["Anna"],
    "places": [],
    "topics": ["tomatoes"],
    "todos": [{"text": "Buy a hose", "due": None}],
    "questions": [],
}


@dataclass(frozen=True)
class Seen:
    """A request as it came; header names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Answer:
    """What is sent back; `drip_s` is waited before every byte, `cut` ends the connection in the middle of the body.

    `hang_up` ends it without a word.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    drip_s: float = 0.0
    cut: bool = False
    drip_headers: bool = False
    hang_up: bool = False


@dataclass
class Vendor:
    """A running server: `answers` are given in turn, the last one for ever; one may be made from what was seen."""

    url: str
    answers: list[Answer | Callable[[Seen], Answer]] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)

    def take(self, seen: Seen) -> Answer:
        self.seen.append(seen)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer if isinstance(answer, Answer) else answer(seen)


@contextmanager
def rerouted(ways: Mapping[str, Vendor | None]) -> Iterator[None]:
    """Whoever asks for one of these hosts over HTTPS reaches a server of ours, in the clear; None refuses connections.

    So a writer is used with the address and by the rules of the vendor itself; nobody else can be reached meanwhile.
    """
    connect = wire._TimedNetwork.connect_tcp

    def lead(self: Any, host: str, port: int, *given: Any, **named: Any) -> httpcore2.NetworkStream:
        vendor = ways.get(host)
        if vendor is None:
            raise httpcore2.ConnectError("connection refused")
        return connect(self, "127.0.0.1", int(vendor.url.rpartition(":")[2]), *given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire._TimedNetwork, "connect_tcp", lead)
        patch.setattr(wire._TimedStream, "start_tls", lambda self, *_, **__: self)
        yield


def openai_says(
    content: Any, *, finish: str = "stop", tokens: tuple[int, int, int] = (100, 50, 0), **told: Any
) -> Answer:
    """A chat completion; `tokens` are those of the prompt, of the answer, and those of the prompt from the cache."""
    text = content if isinstance(content, str) or content is None else json.dumps(content)
    message = {"role": "assistant", "content": text, "refusal": None} | told
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": tokens[0],
            "completion_tokens": tokens[1],
            "total_tokens": tokens[0] + tokens[1],
            "prompt_tokens_details": {"cached_tokens": tokens[2]},
        },
    }
    return as_json(body)


def anthropic_says(
    content: Any, *, stop: str = "end_turn", tokens: tuple[int, int, int] = (100, 50, 0), tool: bool = False
) -> Answer:
    """A message; the third of `tokens` were read from the cache and are not among the first."""
    text = content if isinstance(content, str) else json.dumps(content)
    block = (
        {"type": "tool_use", "id": "t", "name": "write", "input": content} if tool else {"type": "text", "text": text}
    )
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [block],
        "stop_reason": "tool_use" if tool else stop,
        "stop_sequence": None,
        "usage": {"input_tokens": tokens[0], "output_tokens": tokens[1], "cache_read_input_tokens": tokens[2]},
    }
    return as_json(body)


def as_json(body: Any, status: int = 200, **headers: str) -> Answer:
    """An answer of JSON; `retry_after="2"` is the header Retry-After."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(json.dumps(body).encode(), status, {"content-type": "application/json"} | named)


@contextmanager
def serve(tls: ssl.SSLContext | None = None) -> Iterator[Vendor]:
    """A server on a free port, until the block ends; over HTTPS where it is given a certificate."""
    stopping = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            size = int(self.headers.get("content-length", "0"))
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen = Seen(self.path, headers, json.loads(self.rfile.read(size) or b"null"))
            self._send(vendor.take(seen))

        do_GET = do_POST  # noqa: N815 what a redirect turns into

        def _send(self, answer: Answer) -> None:
            if answer.hang_up:
                self.close_connection = True
                return
            lines = [f"HTTP/1.1 {answer.status} Answer"]
            lines += [f"{name}: {value}" for name, value in answer.headers.items()]
            head = "\r\n".join([*lines, f"content-length: {len(answer.body)}", "", ""]).encode()
            body = answer.body[: len(answer.body) // 2] if answer.cut else answer.body
            try:
                self._drip(head, answer.drip_s if answer.drip_headers else 0)
                self._drip(body, answer.drip_s)
            except OSError:
                self.close_connection = True
            self.close_connection |= answer.cut

        def _drip(self, data: bytes, pause_s: float) -> None:
            if not pause_s:
                self.wfile.write(data)
                return
            for place in range(len(data)):
                if stopping.wait(pause_s):
                    return
                self.wfile.write(data[place : place + 1])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign] clients hang up on purpose
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    vendor = Vendor(f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield vendor
    finally:
        stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
