"""Traces: a span per request between the client's and the replica's; no text of a client; no SDK when they are off."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from chatscale_gateway.http.tracing import Tracing, build_tracing
from chatscale_process.settings import SettingsError
from tests.unit.gateway.http.fakes import (
    CHAT,
    Pod,
    World,
    a_gateway,
    chat,
    end_without_done,
    eventually,
    serving,
    stream_for_ever,
)

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"Traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01", "Tracestate": "vendor=1"}


class Recorder:
    """Tracing that keeps its spans."""

    def __init__(self, **options: object) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False, **options)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()


@asynccontextmanager
async def traced(*pods: Pod, **options: object) -> AsyncIterator[tuple[World, Recorder]]:
    recorder = Recorder()
    async with a_gateway(*pods, tracing=recorder.tracing, **options) as world:
        yield world, recorder


def names_of(span: ReadableSpan) -> tuple[str, str]:
    """Trace and span as a traceparent has them."""
    context = span.get_span_context()
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def attributes(span: ReadableSpan) -> Mapping[str, object]:
    """Without times, which a test cannot know."""
    return {
        name: value
        for name, value in (span.attributes or {}).items()
        if name != "chatscale.held_seconds" and not name.startswith("gen_ai.latency.")
    }


async def test_the_span_of_a_request_is_between_the_clients_and_the_replicas():
    async with serving(Pod()) as pod, traced(pod) as (world, recorder):
        headers = {**HEADERS, "X-Request-Id": "r-1"}
        async with world.client.post(CHAT, json=chat(stream=True), headers=headers) as response:
            await response.read()
        await eventually(lambda: len(recorder.spans) == 1)
    (span,) = recorder.spans
    trace_id, span_id = names_of(span)
    assert (span.name, span.kind, span.status.status_code) == ("chat tiny", SpanKind.SERVER, StatusCode.UNSET)
    assert span.parent is not None
    assert (trace_id, f"{span.parent.span_id:016x}") == (TRACE_ID, PARENT_ID)
    assert pod.headers[0]["traceparent"] == f"00-{TRACE_ID}-{span_id}-01"
    assert pod.headers[0]["tracestate"] == "vendor=1"
    assert [event.name for event in span.events] == ["first token"]
    assert abs((span.end_time or 0) / 1e9 - time.time()) < 60
    assert attributes(span) == {
        "http.request.method": "POST", "http.response.status_code": 200, "url.path": CHAT,
        "chatscale.request_id": "r-1", "gen_ai.request.model": "tiny", "chatscale.namespace": "demo",
        "chatscale.streamed": True, "chatscale.attempts": 1, "gen_ai.operation.name": "chat",
        "chatscale.replica": "pod-0", "chatscale.outcome": "completed",
        "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 3,
    }  # fmt: skip


async def test_a_span_contains_the_held_time_and_the_attempts_of_the_access_log():
    async with serving(Pod("pod-1")) as pod, traced() as (world, recorder):
        asked = asyncio.ensure_future(world.client.post(CHAT, json=chat()))
        await eventually(lambda: world.demand().oldest_held_s >= 0.05)
        world.show(Pod("gone", port=1), pod)
        assert (await asked).status == 200
        await eventually(lambda: len(recorder.spans) == 1)
    found = recorder.spans[0].attributes or {}
    assert world.lines[0]["held_s"] >= 0.05
    assert found["chatscale.held_seconds"] == pytest.approx(world.lines[0]["held_s"], abs=1e-4)
    assert (found["chatscale.attempts"], found["chatscale.replica"]) == (world.lines[0]["attempts"], "pod-1")


async def test_without_a_trace_of_the_client_the_replica_gets_a_new_one_and_no_foreign_state():
    async with serving(Pod()) as pod, traced(pod) as (world, recorder):
        headers = {"traceparent": "00-none", "tracestate": "vendor=1"}
        async with world.client.post(CHAT, json=chat(), headers=headers):
            pass
        await eventually(lambda: len(recorder.spans) == 1)
    assert recorder.spans[0].parent is None
    assert pod.headers[0]["traceparent"].startswith("00-{}-{}-".format(*names_of(recorder.spans[0])))
    assert "tracestate" not in pod.headers[0]


async def test_a_trace_that_is_not_sampled_passes_on_and_records_nothing():
    recorder = Recorder(sampler=ALWAYS_OFF)
    async with (
        serving(Pod()) as pod,
        a_gateway(pod, tracing=recorder.tracing) as world,
        world.client.post(CHAT, json=chat(), headers=HEADERS) as response,
    ):
        assert response.status == 200
    assert pod.headers[0]["traceparent"].startswith(f"00-{TRACE_ID}-")
    assert pod.headers[0]["traceparent"].endswith("-00")
    assert recorder.spans == ()


async def test_failures_refusals_and_clients_that_leave_have_their_spans():
    async with serving(Pod(behaviour=end_without_done)) as pod, traced(pod) as (world, recorder):
        with pytest.raises(aiohttp.ClientPayloadError):
            async with world.client.post(CHAT, json=chat(stream=True)) as response:
                await response.read()
        async with world.client.post(CHAT, json=chat(model="unknown")) as response:
            assert response.status == 404
        pod.behaviour = stream_for_ever
        response = await world.client.post(CHAT, json=chat(stream=True))
        response.close()
        await eventually(lambda: len(recorder.spans) == 3)
    broken, unknown, left = recorder.spans
    assert [(span.attributes or {}).get("error.type") for span in recorder.spans] == ["broken", "model_not_found", None]
    assert [span.status.status_code for span in (broken, unknown, left)] == [
        StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET,
    ]  # fmt: skip
    assert unknown.name == f"POST {CHAT}"
    assert (left.attributes or {})["chatscale.outcome"] == "client_left"


def test_without_an_endpoint_there_are_no_traces():
    assert build_tracing("") is None


def test_spans_leave_under_the_pods_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "k8s.cluster.name=shop")
    tracing = build_tracing("http://127.0.0.1:9", pod_name="gw-1", pod_namespace="system")
    assert tracing is not None
    found = tracing._provider.resource.attributes
    names = ("service.name", "k8s.pod.name", "k8s.namespace.name", "k8s.cluster.name")
    assert [found[name] for name in names] == ["chatscale-gateway", "gw-1", "system", "shop"]
    tracing.close()


def test_an_installation_without_the_sdk_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_ENDPOINT is set"):
        build_tracing("http://collector:4318")


def test_nothing_of_the_sdk_is_imported_when_traces_are_off():
    code = (
        "import sys, chatscale_gateway.__main__ as m; from chatscale_gateway.http.tracing import build_tracing; "
        "build_tracing(''); print('opentelemetry' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60, env=dict(os.environ)
    )
    assert done.stdout == "False\n"
