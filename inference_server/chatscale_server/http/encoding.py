"""Handlers of encoders, /v1/embeddings and /v1/classify, and the check that a path suits the model's task."""

import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from aiohttp import web

from chatscale_contract.openai.errors import ApiError, bad_request
from chatscale_contract.server.endpoints import (
    CHAT_COMPLETIONS_PATH,
    CLASSIFY_PATH,
    COMPLETIONS_PATH,
    EMBEDDINGS_PATH,
)
from chatscale_contract.server.metrics import RejectReason
from chatscale_server.engine.encoding import EncoderInfo, Task
from chatscale_server.engine.protocol import ModelInfo
from chatscale_server.engine.request import Request
from chatscale_server.http.bridge import Bridge
from chatscale_server.http.encoding_schema import (
    ClassifyBody,
    EmbeddingBody,
    EncodingBody,
    check_inputs,
    classes_response,
    embeddings_response,
)
from chatscale_server.http.generation import CONTEXT_LENGTH_EXCEEDED
from chatscale_server.http.in_flight import InFlightRequest, read_deltas
from chatscale_server.http.preparation import RequestPreparation
from chatscale_server.http.schema import parse_request
from chatscale_server.http.tracing import RequestSpan, Tracing
from chatscale_server.http.transport import INLINE_CHARS, off_loop

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
B = TypeVar("B", bound=EncodingBody)

PATHS: Final = {
    Task.GENERATE: (CHAT_COMPLETIONS_PATH, COMPLETIONS_PATH),
    Task.EMBED: (EMBEDDINGS_PATH,),
    Task.CLASSIFY: (CLASSIFY_PATH,),
}
"""Paths of each task. A model has one task."""


def only_for(task: Task, bridge: Bridge, served_name: str, handler: Handler) -> Handler:
    """The handler, for models with this task. For others it raises ApiError 400 that names the paths of the model."""

    async def checked(http: web.Request) -> web.StreamResponse:
        # While the model loads, its task is unknown and the handler rejects the request itself.
        if bridge.info is not None and (found := task_of(bridge.info)) is not task:
            raise bad_request(
                f'the model "{served_name}" is for {found}; it serves {" and ".join(PATHS[found])}',
                param="model", code="unsupported_endpoint",
            )  # fmt: skip
        return await handler(http)

    return checked


def task_of(info: ModelInfo) -> Task:
    """What the loaded model is for."""
    return Task.GENERATE if info.encoder is None else info.encoder.task


@dataclass(frozen=True, slots=True)
class EncodingHandlers:
    """Handlers of /v1/embeddings and /v1/classify. All inputs of a request are one in-flight request."""

    preparation: RequestPreparation
    tracing: Tracing | None = None

    async def embed(self, http: web.Request) -> web.Response:
        """POST /v1/embeddings."""
        async with self.preparation.lifecycle.serving():
            body, encoder, request = await self._receive(http, EmbeddingBody, f"embd-{uuid.uuid4().hex}")
            vectors = await self._compute(http, request, "embeddings")
            name, tokens = self.preparation.served_name, len(request.prompt)
            return await _json(lambda: embeddings_response(body, vectors, encoder, name, tokens), vectors)

    async def classify(self, http: web.Request) -> web.Response:
        """POST /v1/classify."""
        async with self.preparation.lifecycle.serving():
            _body, encoder, request = await self._receive(http, ClassifyBody, f"classify-{uuid.uuid4().hex}")
            vectors = await self._compute(http, request, "classify")
            name, tokens, now = self.preparation.served_name, len(request.prompt), int(time.time())
            return await _json(lambda: classes_response(request.id, now, vectors, encoder, name, tokens), vectors)

    async def _receive(self, http: web.Request, kind: type[B], response_id: str) -> tuple[B, EncoderInfo, Request]:
        """The checked body as an engine request. Raises ApiError."""
        bridge = self.preparation.bridge
        self.preparation.lifecycle.check_open()
        bridge.check_room()
        arrived_s = bridge.clock()
        async with self.preparation.read_body(http) as raw:
            body = parse_request(kind, raw)
            info = self.preparation.find_model(body.model)
            if info.encoder is None:
                raise RuntimeError("only_for() must wrap this handler")
            body.check_encoder(info.encoder)
            inputs = await off_loop(lambda: self._encode(body), len(raw))
        try:
            check_inputs(inputs, info.max_model_len, info.vocab_size)
        except ApiError as error:
            if error.code == CONTEXT_LENGTH_EXCEEDED:
                bridge.counts.rejected[RejectReason.TOO_LONG] += 1
            raise
        request = Request(
            id=response_id,
            prompt=tuple(token for tokens in inputs for token in tokens),
            max_tokens=0,
            input_lengths=tuple(map(len, inputs)),
            arrived_s=arrived_s,
        )
        return body, info.encoder, request

    def _encode(self, body: EncodingBody) -> list[list[int]]:
        encode = self.preparation.engine.encode
        return [one if isinstance(one, list) else encode(one) for one in body.inputs]

    async def _compute(self, http: web.Request, request: Request, operation: str) -> tuple[bytes, ...]:
        """The vectors of all inputs. Raises ApiError."""
        self.preparation.lifecycle.check_open()
        in_flight: list[InFlightRequest] = self.preparation.bridge.submit([request])
        try:
            async for _index, _delta in read_deltas(in_flight):
                pass
            return in_flight[0].vectors
        finally:
            # After a disconnect or a shutdown nobody reads the result any more.
            self.preparation.bridge.abandon(in_flight)
            if self.tracing:
                span = RequestSpan(operation, self.preparation.served_name, request.id, len(request.prompt))
                self.tracing.record(http.headers, span, in_flight)


async def _json(write: Callable[[], str], vectors: tuple[bytes, ...]) -> web.Response:
    """The response. Long ones are written in a thread, because they can block the event loop for many milliseconds."""
    return web.json_response(text=await off_loop(write, min(sum(map(len, vectors)), INLINE_CHARS + 1)))
