"""Tells AgentOps about a run, where its key is set: which writers were called, what that took, and what came of it.

Knows events alone, and of their facts only those that are named here: no prompt, no answer, no name, no place.
AgentOps' own package is not used: its start replaces `print` and uploads what is printed, hooks itself into the SDKs
with prompts and answers, and becomes the tracer of the whole process; its exporter fails with today's OpenTelemetry. So
traces go to its OTLP endpoint by OpenTelemetry's own exporter, from a tracer that nothing else in this process reaches.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from diarynotes import observe
from diarynotes.calls import ANSWERED
from diarynotes.errors import BadSettings, NotInstalled
from diarynotes.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_TIMEOUT_S = 5.0
"""How long a request may wait for an answer, and a batch for being taken; nothing else waits meanwhile."""
_FLUSH_S = 2.0
"""How long the end of a run waits for what is still to be sent."""
_TOKEN_PATH = "/v3/auth/token"  # noqa: S105 (no password)
_HEADERS = frozenset(("content-type", "content-length", "content-encoding", "host", "accept", "accept-encoding"))
"""What leaves of a request's headers; variables such as OTEL_EXPORTER_OTLP_HEADERS hold keys for other services."""
_LOGGERS = ("opentelemetry.exporter.otlp", "opentelemetry.sdk._shared_internal", "opentelemetry.sdk.trace")
_LONGEST = 100

_CALL_FACTS = {
    "provider": "gen_ai.system",
    "model": "gen_ai.request.model",
    "input_tokens": "gen_ai.usage.prompt_tokens",
    "output_tokens": "gen_ai.usage.completion_tokens",
    "cached_tokens": "gen_ai.usage.cache_read_input_tokens",
    "usd": "diarynotes.cost_usd",
    "writer": "diarynotes.writer",
    "outcome": "diarynotes.outcome",
    "attempt": "diarynotes.attempt",
    "latency_s": "diarynotes.latency_s",
}
_CODE = {"code": "diarynotes.code"}
_TOLD: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "model_called": _CALL_FACTS,
        "written": {"writer": "diarynotes.writer", "degraded": "diarynotes.degraded"},
        "quarantined": _CODE,
        "waiting": _CODE,
        "dead": _CODE,
        "budget_nearly_used": {
            "period": "diarynotes.budget_period",
            "spent_usd": "diarynotes.spent_usd",
            "limit_usd": "diarynotes.limit_usd",
        },
    }
)
"""The events that are told, and the attribute that each fact becomes; every other event and fact stays here.

The names are those that AgentOps reads (agentops/semconv/span_attributes.py of its package 0.4.21).
"""

_log = logging.getLogger("diarynotes")


@contextmanager
def tracking(settings: Settings) -> Iterator[None]:
    """What happens in this process goes to AgentOps while the block runs, where there is a key and cloud is allowed.

    Sent from a thread of its own; a server that is away, hangs or refuses the key costs a run at most 2 s at its end.
    Raises: NotInstalled without the extra `agentops`; BadSettings for an address that would carry the key openly.
    """
    if not (settings.agentops_api_key and settings.cloud):
        yield
        return
    run = _Run(settings)
    try:
        with observe.listening(run.follow):
            yield
    except BaseException:
        run.end(failed=True)
        raise
    run.end(failed=False)


class _Run:
    """One run as one trace: a span for the whole of it, one below for every event that is told."""

    def __init__(self, settings: Settings) -> None:
        otlp, api = settings.agentops_exporter_endpoint, settings.agentops_api_endpoint
        _check_address("agentops_exporter_endpoint", otlp)
        _check_address("agentops_api_endpoint", api)
        try:
            import requests
            from opentelemetry.context import Context
            from opentelemetry.exporter.otlp.proto.http import Compression
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.trace.sampling import ALWAYS_ON
            from opentelemetry.trace import set_span_in_context
        except ImportError as error:
            raise NotInstalled("AgentOps tracking", "pip install 'diarynotes[agentops]'") from error
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)  # one line at the end says what did not arrive
        session = requests.Session()
        session.trust_env = False
        self._gate = _Gate(settings.agentops_api_key, api, session)
        session.auth = self._gate
        exporter = OTLPSpanExporter(otlp, timeout=_TIMEOUT_S, compression=Compression.NoCompression, session=session)
        # with everything given that it would else take from the environment, or find out about this machine
        self._provider = TracerProvider(ALWAYS_ON, Resource({"service.name": "diarynotes"}), shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=2048,
                schedule_delay_millis=1000,
                max_export_batch_size=512,
                export_timeout_millis=1000 * _TIMEOUT_S,
            )
        )
        self._tracer = self._provider.get_tracer("diarynotes")
        # an empty context: else it would hang below whatever span Prefect has open, and carry its ids
        self._whole = self._tracer.start_span("run.session", Context(), attributes=_kind("run", "session"))
        self._below = set_span_in_context(self._whole, Context())

    def follow(self, event: observe.Event) -> None:
        """Tells what may be told of an event."""
        if event.name in _TOLD:
            try:
                self._tell(event)
            except Exception as error:  # any: whoever works on a recording must not fail for this
                _log.debug("an event was not told to AgentOps: %s", type(error).__name__)

    def end(self, *, failed: bool) -> None:
        """Ends the trace and sends what is left, for at most 2 s."""
        self._whole.set_attribute("agentops.session.end_state", "Error" if failed else "Success")
        _set_status(self._whole, failed=failed)
        self._whole.end()
        flushing = threading.Thread(target=self._provider.shutdown, name="agentops-flush", daemon=True)
        flushing.start()
        flushing.join(_FLUSH_S)
        if flushing.is_alive() or not self._gate.open:
            _log.warning("AgentOps did not take all that was told of this run%s", self._gate.why)

    def _tell(self, event: observe.Event) -> None:
        called = event.name == "model_called"
        ended = time.time_ns()
        begun = ended - round(1e9 * float(event.facts.get("latency_s", 0.0)))
        kind = "llm" if called else "operation"
        attributes = _kind(event.name, kind) | _pick(event)
        span = self._tracer.start_span(f"{event.name}.{kind}", self._below, attributes=attributes, start_time=begun)
        _set_status(span, failed=called and event.facts.get("outcome") != ANSWERED)
        span.end(ended)


class _Gate:
    """Lets requests through with the token that AgentOps gives for a key, and with no header that is not needed.

    `open` tells whether the last one was taken; `why` is a reason for a person where it was not.
    """

    def __init__(self, api_key: str, api: str, session: Any) -> None:
        self._api_key, self._url, self._session = api_key, api.rstrip("/") + _TOKEN_PATH, session
        self._token = ""
        self._refused = False
        self.open = True
        self.why = ""

    def __call__(self, request: Any) -> Any:
        """Readies a request that `requests` is about to send. Raises: its RequestException without a token."""
        self.open = False
        self._token = self._token or self._fetch_token()
        _strip(request)
        request.headers["Authorization"] = f"Bearer {self._token}"
        request.register_hook("response", self._look)
        return request

    def _fetch_token(self) -> str:
        from requests.exceptions import RequestException

        if self._refused:
            raise RequestException("the key was refused")
        answer = self._session.post(
            self._url, json={"api_key": self._api_key}, auth=_strip, timeout=_TIMEOUT_S, allow_redirects=False
        )
        token = answer.json().get("token") if answer.status_code == 200 else None
        if not (isinstance(token, str) and token):
            self._refused = 400 <= answer.status_code < 500
            self.why = f": it answered {answer.status_code} to the key"
            raise RequestException("no token")
        self.why = ""
        return token

    def _look(self, response: Any, **_: Any) -> None:
        self.open = response.status_code < 300
        self.why = "" if self.open else f": it answered {response.status_code}"
        if response.status_code in (401, 403):
            self._token = ""  # it may have run out


def _pick(event: observe.Event) -> dict[str, str | bool | int | float]:
    """The attributes of the facts that may be told, and which recording they are about."""
    told = {name: _plain(event.facts[fact]) for fact, name in _TOLD[event.name].items() if fact in event.facts}
    if "model" in event.facts and event.name == "model_called":
        told["gen_ai.request.model"] = _model(str(event.facts["model"]))
    if event.recording_id:
        told["diarynotes.recording_id"] = event.recording_id
    return {name: value for name, value in told.items() if value is not None}


def _plain(value: Any) -> str | bool | int | float | None:
    if value is None or isinstance(value, bool | int | float):
        return value
    return float(value) if isinstance(value, Decimal) else str(value)[:_LONGEST]


def _model(name: str) -> str:
    """A model that is a file by its name alone: folders tell who somebody is."""
    return PurePath(name).name[:_LONGEST] if name.startswith(("/", "~", ".")) else name[:_LONGEST]


def _kind(name: str, kind: str) -> dict[str, str | bool | int | float]:
    return {"agentops.span.kind": kind, "operation.name": name}


def _set_status(span: Span, *, failed: bool) -> None:
    from opentelemetry.trace import StatusCode

    span.set_status(StatusCode.ERROR if failed else StatusCode.OK)


def _strip(request: Any) -> Any:
    for name in [name for name in request.headers if name.lower() not in _HEADERS]:
        del request.headers[name]
    request.headers["User-Agent"] = "diarynotes"  # where none is set, the versions of libraries are told
    return request


def _check_address(setting: str, url: str) -> None:
    parts = urlsplit(url)
    near = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not (parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and near))):
        raise BadSettings(setting, "must be an address that begins with https://")
