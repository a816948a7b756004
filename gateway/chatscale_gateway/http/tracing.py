"""OpenTelemetry traces: one span per request, from its headers to the end of its response.

The SDK is imported only if an endpoint is configured. Spans contain counts, times and names from the catalog, never
text of a client. The replica gets the gateway's span as the parent of its own.
"""

import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from chatscale_contract.server.endpoints import CHAT_COMPLETIONS_PATH, COMPLETIONS_PATH
from chatscale_contract.server.environment import Env
from chatscale_gateway.http.access_log import RequestRecord
from chatscale_gateway.routing.outcomes import FAULTS, Outcome
from chatscale_process.settings import SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

SERVICE_NAME: Final = "chatscale-gateway"
"""Default. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES override it."""
CLOSE_TIMEOUT_S: Final = 2.0
"""Time to export the last spans, so that an unavailable collector does not block the shutdown."""
TRACE_HEADERS: Final = ("traceparent", "tracestate")
_OPERATIONS: Final = {
    CHAT_COMPLETIONS_PATH: "chat",
    COMPLETIONS_PATH: "text_completion",
    "/v1/embeddings": "embeddings",
}
"""`gen_ai.operation.name` by path, as in OpenTelemetry's semantic conventions and in the inference server."""
_ERRORS: Final = frozenset({*map(str, FAULTS), str(Outcome.CUT_OFF)})


class Tracing:
    """Records spans. Used on the event loop; the SDK exports spans in its own thread."""

    def __init__(
        self,
        provider: "TracerProvider",
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` must be the clock of `RequestRecord.started_s`."""
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer(__name__)
        self._kind = SpanKind.SERVER
        self._propagator = TraceContextTextMapPropagator()
        self._clock, self._wall_clock = clock, wall_clock

    def start(self, headers: Mapping[str, str], record: RequestRecord) -> "RequestSpan":
        """Begin the span of a request. The header `traceparent` names its parent."""
        from opentelemetry.trace import set_span_in_context

        offset_s = self._wall_clock() - self._clock()
        carrier = {name: headers[name] for name in TRACE_HEADERS if name in headers}
        parent = self._propagator.extract(carrier)
        span = self._tracer.start_span(
            "request", context=parent, kind=self._kind, start_time=_ns(record.started_s + offset_s)
        )
        trace_headers: dict[str, str] = {}
        self._propagator.inject(trace_headers, set_span_in_context(span, parent))
        record.trace_headers = trace_headers
        return RequestSpan(span, offset_s)

    def close(self) -> None:
        """Export the remaining spans, within `CLOSE_TIMEOUT_S`."""
        thread = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        thread.start()
        thread.join(CLOSE_TIMEOUT_S)


class RequestSpan:
    """The span of one request that has not ended."""

    __slots__ = ("_offset_s", "_span")

    def __init__(self, span: "Span", offset_s: float) -> None:
        """offset_s: wall clock minus the clock of the record."""
        self._span = span
        self._offset_s = offset_s

    def end(self, record: RequestRecord, now_s: float) -> None:
        """End it with what the record contains."""
        from opentelemetry.trace import Status, StatusCode

        span = self._span
        if span.is_recording():
            operation = _OPERATIONS.get(record.path, "")
            span.update_name(
                f"{operation} {record.model.name}" if operation and record.model else f"{record.method} {record.path}"
            )
            span.set_attributes(_attributes(record, operation, now_s))
            if record.ttft_s is not None:
                span.add_event("first token", timestamp=_ns(record.started_s + record.ttft_s + self._offset_s))
            if problem := _problem(record):
                span.set_attribute("error.type", problem)
                span.set_status(Status(StatusCode.ERROR))
        span.end(end_time=_ns(now_s + self._offset_s))


def replace_trace_headers(headers: dict[str, str], trace_headers: Mapping[str, str]) -> None:
    """Name the gateway's span as the parent. headers: of the request to a replica, with lower-case names."""
    for name in TRACE_HEADERS:
        headers.pop(name, None)
    headers.update(trace_headers)


def build_tracing(otlp_endpoint: str, *, pod_name: str = "", pod_namespace: str = "") -> Tracing | None:
    """None without an endpoint. The SDK itself reads the OTEL_* variables. Raises SettingsError without the SDK."""
    if not otlp_endpoint:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise SettingsError(f"{Env.OTLP_ENDPOINT} is set, but OpenTelemetry is not installed: {error}") from error
    pod = {"k8s.pod.name": pod_name, "k8s.namespace.name": pod_namespace}
    found = {"service.name": SERVICE_NAME, **{name: value for name, value in pod.items() if value}}
    provider = TracerProvider(
        resource=Resource(found).merge(OTELResourceDetector().detect()), shutdown_on_exit=False
    )  # fmt: skip
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)


def _attributes(record: RequestRecord, operation: str, now_s: float) -> dict[str, str | int | float | bool]:
    found: dict[str, str | int | float | bool] = {
        "http.request.method": record.method,
        "http.response.status_code": record.status,
        "chatscale.request_id": record.request_id,
        "gen_ai.latency.e2e": now_s - record.started_s,
    }
    if record.path:
        found["url.path"] = record.path
    if record.model is None:
        return found
    found |= {
        "gen_ai.request.model": record.model.name,
        "chatscale.namespace": record.model.namespace,
        "chatscale.streamed": record.streamed,
        "chatscale.held_seconds": record.held_s,
        "chatscale.attempts": record.attempts,
    }
    texts = {
        "gen_ai.operation.name": operation, "chatscale.replica": record.pod, "chatscale.outcome": record.outcome,
    }  # fmt: skip
    found |= {name: text for name, text in texts.items() if text}
    if record.ttft_s is not None:
        found["gen_ai.latency.time_to_first_token"] = record.ttft_s
    if record.usage is not None:
        found["gen_ai.usage.input_tokens"] = record.usage.prompt_tokens
        found["gen_ai.usage.output_tokens"] = record.usage.generated_tokens
    return found


def _problem(record: RequestRecord) -> str:
    """`error.type`; empty for a success, and for a client that left."""
    if record.code:
        return record.code
    if record.outcome in _ERRORS:
        return record.outcome
    return str(record.status) if record.status >= HTTPStatus.INTERNAL_SERVER_ERROR else ""


def _ns(at_s: float) -> int:
    return int(at_s * 1e9)
