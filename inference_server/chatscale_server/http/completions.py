"""/v1/chat/completions, /v1/completions and /v1/models: from a request body to a ticket to an answer."""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from chatscale_server.engine.protocol import Engine, ModelInfo, PromptError
from chatscale_server.engine.request import FinishReason, Request
from chatscale_server.http import sse
from chatscale_server.http.bridge import Bridge, Ticket
from chatscale_server.http.errors import ApiError, bad_request
from chatscale_server.http.lifecycle import Lifecycle
from chatscale_server.http.responses import ChatShape, CompletionShape, Usage, model_list
from chatscale_server.http.schema import ChatRequest, CompletionRequest, parse_request
from chatscale_server.wire import RejectReason

log = logging.getLogger(__name__)

COMPLETION_MAX_TOKENS: Final = 16
"""OpenAI's default for /v1/completions."""
INLINE_CHARS: Final = 4096
"""Longer prompts are tokenised in a thread: more than this can hold up the loop for a millisecond."""
READ_TIMEOUT_S: Final = 30.0
"""For a body: a client that sends drop by drop must not hold up a drain."""
WRITE_TIMEOUT_S: Final = 30.0
"""A client that takes nothing for so long is gone."""

Shape = ChatShape | CompletionShape


@dataclass(frozen=True, slots=True)
class Completions:
    """The handlers; their collaborators are passed in."""

    engine: Engine
    bridge: Bridge
    lifecycle: Lifecycle
    served_name: str
    created: int
    """Unix time of the process start; the model's `created`."""

    async def models(self, _request: web.Request) -> web.Response:
        """GET /v1/models."""
        return web.json_response(model_list(self.served_name, self.created))

    async def chat(self, http: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        async with self.lifecycle.serving():
            arrived_s = self._check_open()
            asked = parse_request(ChatRequest, await _read_body(http))
            info = self._check_model(asked.model)
            messages = [message.to_chat() for message in asked.messages]
            size = sum(len(message.content) for message in messages)
            try:
                prompt = await _off_loop(lambda: self.engine.encode_chat(messages), size)
            except PromptError as error:
                raise bad_request(f"messages: {error}", param="messages", code="invalid_value") from error
            default = info.default_max_tokens or info.max_model_len
            generation = self._generation(
                "chatcmpl", asked, prompt, asked.answer_tokens, default, "messages", arrived_s, info
            )
            shape = ChatShape(generation.id, self.served_name, int(time.time()))
            return await self._answer(http, asked, generation, shape)

    async def complete(self, http: web.Request) -> web.StreamResponse:
        """POST /v1/completions."""
        async with self.lifecycle.serving():
            arrived_s = self._check_open()
            asked = parse_request(CompletionRequest, await _read_body(http))
            info = self._check_model(asked.model)
            prompt = await self._plain_prompt(asked)
            generation = self._generation(
                "cmpl", asked, prompt, asked.max_tokens, COMPLETION_MAX_TOKENS, "prompt", arrived_s, info
            )
            shape = CompletionShape(generation.id, self.served_name, int(time.time()))
            return await self._answer(http, asked, generation, shape)

    def _check_open(self) -> float:
        """Refuse at the door, before the body is read; gives the time of arrival."""
        self.lifecycle.check_open()
        self.bridge.check_room()
        return self.bridge.clock()

    def _check_model(self, name: str) -> ModelInfo:
        if name != self.served_name:
            raise ApiError(
                404, f'the model "{name}" does not exist here; this server has "{self.served_name}"',
                param="model", code="model_not_found",
            )  # fmt: skip
        if self.bridge.info is None:
            raise RuntimeError("check_open() comes first")
        return self.bridge.info

    async def _plain_prompt(self, asked: CompletionRequest) -> list[int]:
        tokens = asked.prompt_tokens
        if tokens:
            return tokens
        text = asked.prompt_text
        return await _off_loop(lambda: self.engine.encode(text), len(text))

    def _generation(
        self, prefix: str, asked: ChatRequest | CompletionRequest, prompt: list[int], max_tokens: int | None,
        default_max_tokens: int, param: str, arrived_s: float, info: ModelInfo,
    ) -> Request:  # fmt: skip
        """Check the lengths. Raises ApiError context_length_exceeded."""
        room = info.max_model_len - len(prompt)
        if not prompt:
            raise bad_request(f"{param} has no tokens", param=param, code="invalid_value")
        if max(prompt) >= info.vocab_size:
            # A tokenizer may know more tokens than the model: such a one would break the step, for everybody in it.
            raise bad_request(f"{param}: token ids end at {info.vocab_size - 1}", param=param, code="invalid_value")
        if room < (max_tokens or 1):
            self.bridge.counts.rejected[RejectReason.TOO_LONG] += 1
            raise bad_request(
                f"this model's context is {info.max_model_len} tokens; {param} has {len(prompt)} and "
                f"{max_tokens or 1} more were asked for",
                param=param,
                code="context_length_exceeded",
            )
        return Request(
            id=f"{prefix}-{uuid.uuid4().hex}",
            prompt=tuple(prompt),
            max_tokens=max_tokens or min(room, default_max_tokens),
            sampling=asked.sampling(info.vocab_size),
            stop=asked.stops,
            arrived_s=arrived_s,
        )

    async def _answer(
        self, http: web.Request, asked: ChatRequest | CompletionRequest, generation: Request, shape: Shape
    ) -> web.StreamResponse:
        self.lifecycle.check_open()
        ticket = self.bridge.submit(generation)
        try:
            if asked.stream:
                return await _stream(http, ticket, shape, include_usage=asked.include_usage)
            return await _whole(ticket, shape)
        finally:
            # Cancelled by a disconnect, a failed write or the server's end: whatever it was, nobody reads on.
            self.bridge.abandon(ticket)


async def _whole(ticket: Ticket, shape: Shape) -> web.Response:
    text = []
    while ticket.finish is None:
        text.append(await ticket.read())
    text.append(await ticket.read())
    if ticket.problem is not None:
        raise ticket.problem
    return web.json_response(shape.whole("".join(text), ticket.finish, _usage(ticket)))


async def _stream(http: web.Request, ticket: Ticket, shape: Shape, *, include_usage: bool) -> web.StreamResponse:
    """Headers go out with the first token, so that a refusal from the queue still has its status code."""
    text = await ticket.read()
    response = web.StreamResponse(headers={"Content-Type": sse.CONTENT_TYPE, "Cache-Control": "no-cache"})
    await response.prepare(http)
    if opening := shape.opening():
        await _write(response, sse.event(opening))
    try:
        while True:
            finish: FinishReason | None = ticket.finish
            if text:
                await _write(response, sse.event(shape.piece(text)))
            if finish is not None and ticket.problem is None:
                break
            text = await ticket.read()
    except ApiError as problem:
        await _write(response, sse.event(problem.body()))
        return response
    except ConnectionError:
        raise
    except Exception:
        # The headers are out, so the middleware's answer would land in the middle of the stream.
        log.exception("stream failed", extra={"request": ticket.request.id})
        await _write(response, sse.event(ApiError(500, "the server failed", code="internal_error").body()))
        return response
    tail = sse.event(shape.closing(finish))
    if include_usage:
        tail += sse.event(shape.usage(_usage(ticket)))
    await _write(response, tail + sse.DONE)
    return response


async def _read_body(http: web.Request) -> bytes:
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            return await http.read()
    except TimeoutError as error:
        raise ApiError(408, f"the body did not arrive within {READ_TIMEOUT_S:g} seconds") from error
    except web.RequestPayloadError as error:
        raise bad_request("the body does not have the encoding that its headers state") from error


async def _write(response: web.StreamResponse, data: bytes) -> None:
    try:
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await response.write(data)
    except TimeoutError as error:
        raise ConnectionResetError("the client does not read") from error


def _usage(ticket: Ticket) -> Usage:
    return Usage(len(ticket.request.prompt), ticket.generated)


async def _off_loop(work: Callable[[], list[int]], chars: int) -> list[int]:
    return work() if chars <= INLINE_CHARS else await asyncio.to_thread(work)
