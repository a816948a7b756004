"""Traces: a span per request with the client's trace as parent; no import of the SDK, and no text, otherwise."""

import asyncio
import os
import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.errors import StartupError
from chatscale_server.http.tracing import RequestSpan, Tracing, build_tracing
from tests.unit.chatscale_server.builders import a_request, a_server, chat, eventually, gated_engine
from tests.unit.chatscale_server.http.bridge_harness import BridgeHarness

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"Traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}


class Recorder:
    """Tracing that keeps its spans; `now_s` is monotonic, the wall clock is 1000 s ahead."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider, clock=lambda: self.now_s, wall_clock=lambda: 1000.0 + self.now_s)

    @property
    def spans(self):
        return self._exporter.get_finished_spans()


def test_a_span_contains_arrival_queue_prefill_decode_and_end_times():
    harness, recorder = BridgeHarness(), Recorder()
    harness.now_s = 2.0
    request = harness.submit(a_request("a", prompt=3, max_tokens=4, arrived_s=1.0))
    for now_s, report in ((5.0, {"started": "a"}), (7.0, {"tokens": "a"}), (10.0, {"tokens": "a", "finished": "a"})):
        harness.now_s = now_s
        harness.step(**report)
    recorder.now_s = 11.0
    recorder.tracing.record(HEADERS, RequestSpan("chat", "m", "chatcmpl-1", 3), [request])
    (span,) = recorder.spans
    assert (span.name, span.kind, span.status.status_code) == ("chat m", SpanKind.SERVER, StatusCode.UNSET)
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE_ID, PARENT_ID)
    assert (span.start_time, span.end_time) == (1001 * 10**9, 1011 * 10**9)
    assert [(event.name, event.timestamp) for event in span.events] == [
        ("slot", 1005 * 10**9), ("first token", 1007 * 10**9),
    ]  # fmt: skip
    assert dict(span.attributes) == {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.request.choice.count": 1,
        "gen_ai.request.max_tokens": 4, "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.finish_reasons": ("stop",), "gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 2,
        "gen_ai.latency.e2e": 10.0, "gen_ai.latency.time_in_queue": 3.0, "gen_ai.latency.time_in_model_prefill": 2.0,
        "gen_ai.latency.time_to_first_token": 6.0, "gen_ai.latency.time_in_model_decode": 3.0,
    }  # fmt: skip


async def test_each_answer_has_one_span_whatever_its_number_of_choices():
    recorder = Recorder()
    async with a_server(tracing=recorder.tracing) as (_server, client):
        for fields in ({}, {"stream": True, "n": 2}):
            async with client.post("/v1/chat/completions", json=chat(**fields), headers=HEADERS) as response:
                await response.read()
        async with client.post("/v1/completions", json={"model": "m", "prompt": "Once"}) as response:
            await response.read()
        await eventually(lambda: len(recorder.spans) == 3)
    one, two, text = recorder.spans
    assert one.attributes["gen_ai.usage.output_tokens"] == 5
    assert two.attributes["gen_ai.response.finish_reasons"] == ("length", "length")
    assert {f"{span.context.trace_id:032x}" for span in (one, two)} == {TRACE_ID}
    assert (text.name, text.parent) == ("text_completion m", None)
    assert not any("Where is my order?" in span.to_json() for span in recorder.spans)


async def test_a_client_that_leaves_and_a_failure_have_their_spans_too():
    engine, gate = gated_engine()
    recorder = Recorder()
    async with a_server(engine, tracing=recorder.tracing, max_concurrency=1) as (server, client):
        task = asyncio.create_task(client.post("/v1/chat/completions", json=chat(stream=True)))
        # In its slot, which it keeps until a step has passed the gate.
        await eventually(lambda: server.bridge.state(draining=False).requests_running == 1)
        task.cancel()
        await asyncio.wait([task])
        await eventually(lambda: len(recorder.spans) == 1)
        failing = asyncio.create_task(client.post("/v1/chat/completions", json=chat()))
        await eventually(lambda: server.bridge.in_flight == 2)
        server.bridge._on_failed(RuntimeError("boom"))
        assert (await failing).status == 500
        gate.open()
    left, failed = recorder.spans
    assert left.attributes["gen_ai.response.finish_reasons"] == ("cancelled",)
    assert (failed.status.status_code, failed.attributes["error.type"]) == (StatusCode.ERROR, "engine_failed")


def test_without_an_endpoint_there_are_no_traces():
    assert build_tracing(None) is None


def test_spans_leave_under_the_service_s_name(monkeypatch):
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=tiny-0")
    tracing = build_tracing("http://127.0.0.1:9")
    assert tracing is not None
    resource = tracing._provider.resource.attributes
    assert (resource["service.name"], resource["k8s.pod.name"]) == ("chatscale-server", "tiny-0")
    tracing.close()


def test_an_installation_without_the_sdk_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(StartupError, match="OTEL_EXPORTER_OTLP_ENDPOINT is set") as caught:
        build_tracing("http://collector:4318")
    assert caught.value.code == ExitCode.BAD_SETTINGS


def test_nothing_of_the_sdk_is_imported_when_traces_are_off():
    code = "import sys, chatscale_server.http.serve as s; s.build_tracing(None); print('opentelemetry' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60, env=dict(os.environ)
    )
    assert done.stdout == "False\n"
