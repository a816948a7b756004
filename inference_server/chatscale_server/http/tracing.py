"""OpenTelemetry traces: one span per admitted request, with its latencies.

The SDK is imported only if an endpoint is configured. Spans contain counts and times, never text.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chatscale_contract.server.environment import Env
from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.errors import StartupError
from chatscale_server.http.in_flight import InFlightRequest

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

SERVICE_NAME: Final = "chatscale-server"
"""Default. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES override it."""
CLOSE_TIMEOUT_S: Final = 2.0
"""Time to export the last spans, so that an unavailable collector does not block the shutdown."""
LATENCY: Final = "gen_ai.latency."
"""Prefix that vLLM uses. The other names follow OpenTelemetry's semantic conventions for generative AI."""


@dataclass(frozen=True, slots=True)
class RequestSpan:
    """Attributes of a span that are known before the response."""

    operation: str
    """`chat` or `text_completion`."""
    model: str
    response_id: str
    prompt_tokens: int


class Tracing:
    """Records spans. Used on the event loop; the SDK exports spans in its own thread."""

    def __init__(
        self,
        provider: "TracerProvider",
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` must be the clock of the bridge."""
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer(__name__)
        self._kind = SpanKind.SERVER
        self._propagator = TraceContextTextMapPropagator()
        self._clock, self._wall_clock = clock, wall_clock

    def record(self, headers: Mapping[str, str], info: RequestSpan, requests: Sequence[InFlightRequest]) -> None:
        """Record a request that has ended, successfully or not. The header `traceparent` names the parent span."""
        now_s = self._clock()
        offset_s = self._wall_clock() - now_s

        def ns(at_s: float) -> int:
            return int((at_s + offset_s) * 1e9)

        parent = self._propagator.extract({name.lower(): value for name, value in headers.items()})
        arrived_s = requests[0].engine_request.arrived_s
        span = self._tracer.start_span(
            f"{info.operation} {info.model}", context=parent, kind=self._kind, start_time=ns(arrived_s),
            attributes=_attributes(info, requests),
        )  # fmt: skip
        span.set_attributes(_latencies(requests, arrived_s, now_s))
        for name, at_s in (("slot", _first_start(requests)), ("first token", _first_token(requests))):
            if at_s is not None:
                span.add_event(name, timestamp=ns(at_s))
        _set_status(span, requests)
        span.end(end_time=ns(now_s))

    def close(self) -> None:
        """Export the remaining spans, within `CLOSE_TIMEOUT_S`."""
        thread = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        thread.start()
        thread.join(CLOSE_TIMEOUT_S)


def build_tracing(otlp_endpoint: str | None) -> Tracing | None:
    """None without an endpoint. The SDK itself reads the OTEL_* variables. Raises StartupError."""
    if otlp_endpoint is None:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise StartupError(
            ExitCode.BAD_SETTINGS, f"{Env.OTLP_ENDPOINT} is set, but OpenTelemetry is not installed: {error}"
        ) from error
    resource = Resource({"service.name": SERVICE_NAME}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)


def _attributes(info: RequestSpan, requests: Sequence[InFlightRequest]) -> dict[str, str | int | list[str]]:
    return {
        "gen_ai.operation.name": info.operation,
        "gen_ai.request.model": info.model,
        "gen_ai.request.choice.count": len(requests),
        "gen_ai.request.max_tokens": requests[0].engine_request.max_tokens,
        "gen_ai.response.id": info.response_id,
        # A request that has not finished was abandoned, and the engine has not confirmed the cancellation yet.
        "gen_ai.response.finish_reasons": [str(request.finish or "cancelled") for request in requests],
        "gen_ai.usage.input_tokens": info.prompt_tokens,
        "gen_ai.usage.output_tokens": sum(request.generated for request in requests),
    }


def _latencies(requests: Sequence[InFlightRequest], arrived_s: float, now_s: float) -> dict[str, float]:
    """Latencies in seconds, without those that are not defined for this request."""
    queued_s, started_s, first_s = requests[0].engine_request.queued_s, _first_start(requests), _first_token(requests)
    latencies = {LATENCY + "e2e": now_s - arrived_s}
    latencies[LATENCY + "time_in_queue"] = (now_s if started_s is None else started_s) - queued_s
    if started_s is not None and first_s is not None:
        latencies[LATENCY + "time_in_model_prefill"] = first_s - started_s
        latencies[LATENCY + "time_to_first_token"] = first_s - arrived_s
        last_s = max(request.last_token_s for request in requests if request.last_token_s is not None)
        latencies[LATENCY + "time_in_model_decode"] = last_s - first_s
    return latencies


def _first_start(requests: Sequence[InFlightRequest]) -> float | None:
    return min((request.started_s for request in requests if request.started_s is not None), default=None)


def _first_token(requests: Sequence[InFlightRequest]) -> float | None:
    return min((request.first_token_s for request in requests if request.first_token_s is not None), default=None)


def _set_status(span: "Span", requests: Sequence[InFlightRequest]) -> None:
    from opentelemetry.trace import Status, StatusCode

    problem = next((request.problem for request in requests if request.problem is not None), None)
    if problem is not None:
        span.set_attribute("error.type", problem.code or str(problem.status))
        span.set_status(Status(StatusCode.ERROR, str(problem)))
