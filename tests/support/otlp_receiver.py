"""An OTLP/HTTP receiver of traces that keeps what it gets."""

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class OtlpReceiver:
    """Serve `handle` under /v1/traces."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []

    async def handle(self, http: web.Request) -> web.Response:
        self.requests.append(ExportTraceServiceRequest.FromString(await http.read()))
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )  # fmt: skip

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def resource(self) -> dict[str, str]:
        """Attributes of the first process."""
        return {each.key: each.value.string_value for each in self.requests[0].resource_spans[0].resource.attributes}

    @property
    def text(self) -> str:
        """All that has arrived."""
        return "\n".join(map(str, self.requests))
