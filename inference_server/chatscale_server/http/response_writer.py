"""Writes the response to a generation request: one JSON body, or a stream of server-sent events."""

import json
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from chatscale_contract.openai import sse
from chatscale_contract.openai.errors import ApiError
from chatscale_contract.server.endpoints import CACHED_TOKENS_HEADER, PROMPT_TOKENS_HEADER
from chatscale_server.http.in_flight import InFlightRequest, OutputDelta, read_deltas
from chatscale_server.http.responses import ChatChoice, ResponseEnvelope, TextChoice, Usage
from chatscale_server.http.transport import off_loop
from chatscale_server.logs import where

log = logging.getLogger(__name__)

STREAM_HEADERS: Final = {
    "Content-Type": sse.CONTENT_TYPE,
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}
"""The last one makes nginx, and the ingress controllers built on it, pass on each event at once."""
SCORE_CHARS: Final = 64
"""Minimum size of one token's score in a response."""


@dataclass(frozen=True, slots=True)
class PendingResponse:
    """A response that is being generated: one choice for each in-flight request."""

    envelope: ResponseEnvelope
    choices: Sequence[ChatChoice | TextChoice]
    requests: Sequence[InFlightRequest]
    prompt_tokens: int
    """Of all prompts, each counted once."""
    choices_per_prompt: int = 1

    def usage(self) -> Usage:
        """Token counts so far; final when all requests have finished."""
        first_choices = self.requests[:: self.choices_per_prompt]
        return Usage(
            self.prompt_tokens,
            sum(request.generated for request in self.requests),
            sum(request.cached_tokens for request in first_choices),
        )


async def write_complete(response: PendingResponse) -> web.Response:
    """Wait for all output and return one JSON body. Raises ApiError if a choice failed."""
    received: list[list[OutputDelta]] = [[] for _ in response.requests]
    async for index, delta in read_deltas(response.requests):
        received[index].append(delta)
    chars = sum(
        len(delta.text) + SCORE_CHARS * sum(1 + len(score.top) for score in delta.scores)
        for deltas in received
        for delta in deltas
    )
    return web.json_response(text=await off_loop(lambda: _complete_body(response, received), chars))


def _complete_body(response: PendingResponse, received: Sequence[Sequence[OutputDelta]]) -> str:
    for choice, deltas in zip(response.choices, received, strict=True):
        text = "".join(delta.text for delta in deltas)
        scores = tuple(score for delta in deltas for score in delta.scores)
        choice.add(text, scores, deltas[-1].finish)
    return json.dumps(response.envelope.complete([choice.complete() for choice in response.choices], response.usage()))


async def write_stream(http: web.Request, response: PendingResponse, *, include_usage: bool) -> web.StreamResponse:
    """Stream the output as server-sent events.

    The headers are sent with the first output, so a request that fails in the queue still gets its status code.
    """
    deltas = read_deltas(response.requests)
    first = await anext(deltas)
    known = response.usage()
    counts = {PROMPT_TOKENS_HEADER: str(known.prompt), CACHED_TOKENS_HEADER: str(known.cached)}
    stream = web.StreamResponse(headers={**STREAM_HEADERS, **counts})
    await stream.prepare(http)
    try:
        await _write_events(stream, response, first, deltas, include_usage=include_usage)
    except ApiError as problem:
        await stream.write(sse.event(problem.body()))
        return stream
    except ConnectionError:
        raise
    except Exception as error:  # noqa: BLE001 - the client needs an event for every failure
        # The headers are sent: an error response would end up in the middle of the stream.
        fields = {"request": response.envelope.id, **where(error)}
        log.error("stream failed", extra=fields)  # noqa: TRY400 - the error's message may quote the output
        await stream.write(sse.event(ApiError(500, "the server failed", code="internal_error").body()))
        return stream
    usage = sse.event(response.envelope.usage(response.usage())) if include_usage else b""
    await stream.write(usage + sse.DONE)
    return stream


async def _write_events(
    stream: web.StreamResponse,
    response: PendingResponse,
    first: tuple[int, OutputDelta],
    others: AsyncIterator[tuple[int, OutputDelta]],
    *,
    include_usage: bool,
) -> None:
    """Write all events but the last two, with one write for each delta of a choice."""
    head, tail = response.envelope.chunk_frame(with_usage=include_usage)

    def events(chunks: Sequence[dict[str, Any]]) -> bytes:
        return "".join([f"data: {head}{sse.encode_json(chunk)}{tail}\n\n" for chunk in chunks]).encode()

    first_chunks = [chunk for choice in response.choices if (chunk := choice.first_chunk())]
    if first_chunks:
        await stream.write(events(first_chunks))
    index, delta = first
    while True:
        chunks = response.choices[index].add_as_chunks(delta.text, delta.scores, delta.finish)
        if chunks:
            await stream.write(events(chunks))
        try:
            index, delta = await anext(others)
        except StopAsyncIteration:
            return
