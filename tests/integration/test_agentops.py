"""What reaches AgentOps: OpenTelemetry's own exporter pointed at a server of ours, and every byte of it read."""

from __future__ import annotations

import builtins
import json
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from diarynotes import observe
from diarynotes.agentops_tracker import tracking
from diarynotes.cost import price
from diarynotes.diary import Exchange, open_writer, write_note
from diarynotes.errors import BadSettings, NotInstalled
from diarynotes.models import Segment, Transcript
from diarynotes.settings import Settings, load_settings
from diarynotes.testing import MemoryDesk
from tests.integration.vendor_server import NOTE, openai_says, serve
from tests.ports import nobody_there

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra `agentops` is not installed")

KEY = "11111111-2222-3333-4444-555555555555"
TOKEN = "a.token.of.theirs"
RECORDING = "0c8e3b0e-0000-5000-8000-000000000001"
OURS = {
    "agentops.span.kind",
    "agentops.session.end_state",
    "operation.name",
    "gen_ai.system",
    "gen_ai.request.model",
    "gen_ai.usage.prompt_tokens",
    "gen_ai.usage.completion_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "diarynotes.attempt",
    "diarynotes.budget_period",
    "diarynotes.code",
    "diarynotes.cost_usd",
    "diarynotes.degraded",
    "diarynotes.latency_s",
    "diarynotes.limit_usd",
    "diarynotes.outcome",
    "diarynotes.recording_id",
    "diarynotes.spent_usd",
    "diarynotes.writer",
}


@dataclass
class Collector:
    """AgentOps as far as a client sees it: gives a token for a key, takes traces; remembers all it was sent."""

    url: str = ""
    token_status: int = 200
    trace_statuses: list[int] = field(default_factory=lambda: [200])
    hang: bool = False
    seen: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def answer(self, path: str) -> tuple[int, bytes]:
        if self.hang:
            self.stopping.wait()
        if path == "/v3/auth/token":
            told = {"token": TOKEN, "project_id": "p", "project_prem_status": "free"}
            return self.token_status, json.dumps(told if self.token_status == 200 else {"error": "no"}).encode()
        return self.trace_statuses.pop(0) if len(self.trace_statuses) > 1 else self.trace_statuses[0], b""

    def bodies(self, path: str) -> list[bytes]:
        return [body for seen, _, body in self.seen if seen == path]

    def requests(self) -> list[Any]:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        return [ExportTraceServiceRequest.FromString(body) for body in self.bodies("/v1/traces")]

    def spans(self) -> list[Any]:
        return [
            span
            for request in self.requests()
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            collector.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            status, answer = collector.answer(self.path)
            try:
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
            except OSError:
                pass  # the client has gone, as it should when we hang

        do_GET = do_POST  # noqa: N815 nothing is to be fetched; it would be seen

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()


def settings_for(url: str, **given: Any) -> Settings:
    return load_settings(
        {}, home="/nowhere", agentops_api_key=KEY, agentops_api_endpoint=url,
        agentops_exporter_endpoint=f"{url}/v1/traces", **given,
    )  # fmt: skip


def call_a_model(**facts: Any) -> None:
    told: dict[str, Any] = {
        "writer": "openai", "provider": "openai", "model": "gpt-5.4", "outcome": "answered", "attempt": 1,
        "latency_s": 1.5, "input_tokens": 900, "output_tokens": 300, "cached_tokens": 100, "usd": Decimal("0.0042"),
    }  # fmt: skip
    observe.model_called(RECORDING, **told | facts)


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_a_run_arrives_whole_and_holds_nothing_but_our_fields(collector: Collector) -> None:
    with tracking(settings_for(collector.url)):
        call_a_model()
        call_a_model(outcome="rate_limit", attempt=2, usd=None, input_tokens=0, output_tokens=0, cached_tokens=0)
        observe.recording_written(RECORDING, "openai", degraded=False)
        observe._tell("quarantined", RECORDING, code="silent", reason="words about the file of Anna")
        observe.budget_nearly_used("Anna Berg", "day", Decimal("0.8"), Decimal(1))

    spans = {span.name: span for span in collector.spans()}
    assert set(spans) == {
        "run.session",
        "model_called.llm",
        "written.operation",
        "quarantined.operation",
        "budget_nearly_used.operation",
    }
    calls = [span for span in collector.spans() if span.name == "model_called.llm"]
    assert [span.status.code for span in calls] == [1, 2]  # OTLP: 1 is OK, 2 is an error
    assert calls[0].end_time_unix_nano - calls[0].start_time_unix_nano == pytest.approx(1.5e9, abs=1)
    assert attributes(calls[0]) == {
        "agentops.span.kind": "llm",
        "operation.name": "model_called",
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-5.4",
        "gen_ai.usage.prompt_tokens": 900,
        "gen_ai.usage.completion_tokens": 300,
        "gen_ai.usage.cache_read_input_tokens": 100,
        "diarynotes.cost_usd": 0.0042,
        "diarynotes.writer": "openai",
        "diarynotes.outcome": "answered",
        "diarynotes.attempt": 1,
        "diarynotes.latency_s": 1.5,
        "diarynotes.recording_id": RECORDING,
    }
    assert "diarynotes.cost_usd" not in attributes(calls[1])  # unknown is not nothing
    assert attributes(spans["run.session"])["agentops.session.end_state"] == "Success"
    assert {span.trace_id for span in collector.spans()} == {spans["run.session"].trace_id}
    assert {span.parent_span_id for span in calls} == {spans["run.session"].span_id}
    assert_only_ours(collector)
    assert b"Anna" not in b"".join(body for _, _, body in collector.seen)


def assert_only_ours(collector: Collector) -> None:
    """Every request, header and field that arrived is one that docs/tracking.md names."""
    assert collector.seen[0][0] == "/v3/auth/token"
    assert {path for path, _, _ in collector.seen} == {"/v3/auth/token", "/v1/traces"}
    assert set(collector.bodies("/v3/auth/token")) == {json.dumps({"api_key": KEY}).encode()}
    named = {"host", "accept", "accept-encoding", "content-type", "content-length", "authorization", "user-agent"}
    for path, headers, _ in collector.seen:
        assert set(headers) <= named
        assert headers["user-agent"] == "diarynotes"
        assert headers.get("authorization") == (None if path == "/v3/auth/token" else f"Bearer {TOKEN}")
    for request in collector.requests():
        for resource in request.resource_spans:
            assert attributes(resource.resource) == {"service.name": "diarynotes"}
            assert {(scope.scope.name, scope.scope.version) for scope in resource.scope_spans} == {("diarynotes", "")}
    for span in collector.spans():
        assert set(attributes(span)) <= OURS
        assert [*span.events, *span.links, span.trace_state, span.status.message] == ["", ""]


def test_a_note_by_a_model_sends_neither_what_was_said_nor_the_prompt_nor_the_answer(
    collector: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "I planted twelve tomatoes with Anna Berg."
    transcript = Transcript("t", RECORDING, "scripted", "1", "en", (Segment(0, 4, said),), 1.0)
    with serve() as vendor, tracking(settings_for(collector.url)):
        vendor.answers = [openai_says(NOTE)]
        writer = open_writer(
            "openai", name="openai", model="gpt-5.4", api_key="sk-vendor", base_url=f"{vendor.url}/v1", local=False
        )
        exchange = Exchange(MemoryDesk(), price, "Anna Berg", RECORDING)
        note = write_note(transcript, day=date(2026, 6, 10), writers=[writer], exchange=exchange)
        print(note.draft.summary)  # noqa: T201 what AgentOps' own package would take and upload
        observe.recording_written(RECORDING, note.writer, note.degraded)
        writer.close()

    assert note.writer == "openai"
    assert "tomatoes" in note.draft.body[0].text
    assert [span.name for span in collector.spans()] == ["model_called.llm", "written.operation", "run.session"]
    assert_only_ours(collector)
    sent = b"".join(body for _, _, body in collector.seen).lower()
    for private in (b"tomato", b"anna", b"berg", b"planted", b"transcript", b"diary of", b"sk-vendor"):
        assert private not in sent
    assert "tomatoes" in capsys.readouterr().out  # and print still prints


def test_other_events_and_facts_stay_here(collector: Collector) -> None:
    with tracking(settings_for(collector.url)):
        observe.recording_registered(RECORDING, "/home/anna/memo.m4a", 5)
        observe.recording_landed(RECORDING, "2026-06-10")
        observe.engine_chosen("whisper", "because")
        call_a_model(model="/home/anna/models/tiny.gguf", prompt="secret words", owner="anna")

    assert [span.name for span in collector.spans()] == ["model_called.llm", "run.session"]
    assert attributes(collector.spans()[0])["gen_ai.request.model"] == "tiny.gguf"
    sent = b"".join(body for _, _, body in collector.seen)
    assert b"anna" not in sent
    assert b"secret" not in sent


def test_the_environment_adds_nothing(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=for-another-service")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "host.name=annas-laptop")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "else")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    with tracking(settings_for(collector.url)):
        call_a_model()

    assert len(collector.spans()) == 2
    assert_only_ours(collector)


def test_the_process_stays_as_it_was(collector: Collector) -> None:
    from opentelemetry import metrics, trace

    def look() -> tuple[Any, ...]:
        handlers = [logging.getLogger(name).handlers[:] for name in (None, "opentelemetry", "diarynotes")]
        signals = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        hooks = (sys.excepthook, threading.excepthook, builtins.print, builtins.__import__)
        return handlers, signals, hooks, trace.get_tracer_provider(), metrics.get_meter_provider()

    before = look()
    with tracking(settings_for(collector.url)):
        within = look()
        call_a_model()
    assert before == within == look()


def test_a_failing_run_is_told_as_one(collector: Collector) -> None:
    with pytest.raises(ValueError, match="Anna"), tracking(settings_for(collector.url)):
        raise ValueError("Anna planted tomatoes")

    (whole,) = collector.spans()
    assert attributes(whole)["agentops.session.end_state"] == "Error"
    assert whole.status.code == 2
    assert_only_ours(collector)


def time_a_run(url: str) -> tuple[float, float]:
    """Seconds that 200 calls to models take to be told, and that the run's end takes."""
    begun = time.monotonic()
    with tracking(settings_for(url)):
        for _ in range(200):
            call_a_model()
        told = time.monotonic()
    return told - begun, time.monotonic() - told


@pytest.mark.parametrize("trouble", ["away", "hangs", "refuses the key", "breaks", "refuses the traces"])
def test_a_server_in_trouble_neither_breaks_a_run_nor_holds_it_up(
    collector: Collector, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    collector.hang = trouble == "hangs"
    collector.token_status = 401 if trouble == "refuses the key" else 200
    collector.trace_statuses = [{"breaks": 503, "refuses the traces": 403}.get(trouble, 200)]

    with nobody_there() as port:
        telling_s, ending_s = time_a_run(f"http://127.0.0.1:{port}" if trouble == "away" else collector.url)

    # Nobody waits for the server: each call by itself would take 2 s where it hangs, and the end for ever.
    assert telling_s < 120
    assert ending_s < 120
    assert [
        record.levelname for record in caplog.records if record.name != "diarynotes" or "AgentOps" in record.msg
    ] == ["WARNING"]  # one line for a person, and none by the libraries
    assert KEY not in caplog.text
    if trouble == "refuses the key":
        assert collector.bodies("/v1/traces") == []
        assert len(collector.bodies("/v3/auth/token")) == 1
        assert "401" in caplog.text


def test_a_token_that_ran_out_is_asked_for_anew(collector: Collector) -> None:
    collector.trace_statuses = [401, 200]
    with tracking(settings_for(collector.url)):
        for _ in range(600):  # more than a batch, so that one is sent before the end
            call_a_model()

    assert len(collector.bodies("/v3/auth/token")) == 2
    assert "run.session" in {span.name for span in collector.spans()}


def test_without_a_key_or_with_the_cloud_forbidden_nothing_is_sent(collector: Collector) -> None:
    with tracking(settings_for(collector.url, cloud=False)):
        call_a_model()
    with tracking(load_settings({"AGENTOPS_API_ENDPOINT": collector.url}, home="/nowhere")):
        call_a_model()
    assert collector.seen == []


def test_the_vendors_variable_switches_it_on_and_the_key_shows_nowhere() -> None:
    settings = load_settings({"AGENTOPS_API_KEY": KEY}, home="/nowhere")
    assert settings.agentops_api_key == KEY
    assert KEY not in repr(settings)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export", None)
    with pytest.raises(NotInstalled, match=r"diarynotes\[agentops\]"), tracking(settings_for("http://localhost:1")):
        pass


def test_the_key_is_not_sent_openly() -> None:
    with pytest.raises(BadSettings, match="https"), tracking(settings_for("http://collector.example.com")):
        pass


def test_importing_the_tracker_brings_in_none_of_its_libraries() -> None:
    code = "import sys, diarynotes.agentops_tracker; print(*(name for name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=Path.cwd())
    assert not {"opentelemetry.sdk", "requests"} & set(loaded.stdout.split())
