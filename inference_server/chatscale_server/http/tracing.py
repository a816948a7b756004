"""OpenTelemetry, for those who ask for it: one span per admitted request, with what it waited for.

Nothing of the SDK is imported until an endpoint is configured. A span holds counts and times, never text.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chatscale_contract.server.environment import Env
from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.errors import StartupError
from chatscale_server.http.ticket import Ticket

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

SERVICE_NAME: Final = "chatscale-server"
"""Unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES say otherwise."""
CLOSE_TIMEOUT_S: Final = 2.0
"""For the last spans: a collector that is away must not hold up the end of a drain."""
LATENCY: Final = "gen_ai.latency."
"""As vLLM names its own; the rest follows OpenTelemetry's conventions for generative AI."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a span says of the request itself."""

    operation: str
    """`chat` or `text_completion`."""
    model: str
    response_id: str
    prompt_tokens: int


class Tracing:
    """Belongs to the event loop; spans leave in a thread of the SDK's."""

    def __init__(
        self,
        provider: "TracerProvider",
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` is the one that requests are timed with."""
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer(__name__)
        self._kind = SpanKind.SERVER
        self._propagator = TraceContextTextMapPropagator()
        self._clock, self._wall_clock = clock, wall_clock

    def record(self, headers: Mapping[str, str], asked: Asked, tickets: Sequence[Ticket]) -> None:
        """A request's answer is over, whole or not; its parent is what `traceparent` names."""
        now_s = self._clock()
        offset_s = self._wall_clock() - now_s

        def ns(at_s: float) -> int:
            return int((at_s + offset_s) * 1e9)

        parent = self._propagator.extract({name.lower(): value for name, value in headers.items()})
        arrived_s = tickets[0].request.arrived_s
        span = self._tracer.start_span(
            f"{asked.operation} {asked.model}", context=parent, kind=self._kind, start_time=ns(arrived_s),
            attributes=_attributes(asked, tickets),
        )  # fmt: skip
        span.set_attributes(_latencies(tickets, arrived_s, now_s))
        for name, at_s in (("slot", _first_start(tickets)), ("first token", _first_token(tickets))):
            if at_s is not None:
                span.add_event(name, timestamp=ns(at_s))
        _set_status(span, tickets)
        span.end(end_time=ns(now_s))

    def close(self) -> None:
        """Send what is left, for as long as is bearable."""
        thread = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        thread.start()
        thread.join(CLOSE_TIMEOUT_S)


def build_tracing(otlp_endpoint: str | None) -> Tracing | None:
    """None without an endpoint; the SDK reads it, and its other OTEL_* variables, by itself. Raises StartupError."""
    if otlp_endpoint is None:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise StartupError(
            ExitCode.BAD_SETTINGS, f"{Env.OTLP_ENDPOINT} is set, and this installation has no OpenTelemetry: {error}"
        ) from error
    resource = Resource({"service.name": SERVICE_NAME}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)


def _attributes(asked: Asked, tickets: Sequence[Ticket]) -> dict[str, str | int | list[str]]:
    return {
        "gen_ai.operation.name": asked.operation,
        "gen_ai.request.model": asked.model,
        "gen_ai.request.choice.count": len(tickets),
        "gen_ai.request.max_tokens": tickets[0].request.max_tokens,
        "gen_ai.response.id": asked.response_id,
        # A ticket without an end is one whose reader has left: the engine has yet to confirm it.
        "gen_ai.response.finish_reasons": [str(ticket.finish or "cancelled") for ticket in tickets],
        "gen_ai.usage.input_tokens": asked.prompt_tokens,
        "gen_ai.usage.output_tokens": sum(ticket.generated for ticket in tickets),
    }


def _latencies(tickets: Sequence[Ticket], arrived_s: float, now_s: float) -> dict[str, float]:
    """In seconds; what has not happened is left out."""
    queued_s, started_s, first_s = tickets[0].request.queued_s, _first_start(tickets), _first_token(tickets)
    found = {LATENCY + "e2e": now_s - arrived_s}
    found[LATENCY + "time_in_queue"] = (now_s if started_s is None else started_s) - queued_s
    if started_s is not None and first_s is not None:
        found[LATENCY + "time_in_model_prefill"] = first_s - started_s
        found[LATENCY + "time_to_first_token"] = first_s - arrived_s
        last_s = max(ticket.last_token_s for ticket in tickets if ticket.last_token_s is not None)
        found[LATENCY + "time_in_model_decode"] = last_s - first_s
    return found


def _first_start(tickets: Sequence[Ticket]) -> float | None:
    return min((ticket.started_s for ticket in tickets if ticket.started_s is not None), default=None)


def _first_token(tickets: Sequence[Ticket]) -> float | None:
    return min((ticket.first_token_s for ticket in tickets if ticket.first_token_s is not None), default=None)


def _set_status(span: "Span", tickets: Sequence[Ticket]) -> None:
    from opentelemetry.trace import Status, StatusCode

    problem = next((ticket.problem for ticket in tickets if ticket.problem is not None), None)
    if problem is not None:
        span.set_attribute("error.type", problem.code or str(problem.status))
        span.set_status(Status(StatusCode.ERROR, str(problem)))
