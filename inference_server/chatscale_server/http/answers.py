"""Write an answer as it comes from the engine: whole, or as a stream of events."""

import json
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from chatscale_contract.openai import sse
from chatscale_contract.openai.errors import ApiError
from chatscale_server.http.off_loop import off_loop
from chatscale_server.http.responses import ChatChoice, Head, TextChoice, Usage
from chatscale_server.http.ticket import News, Ticket, read_together
from chatscale_server.logs import where

log = logging.getLogger(__name__)

SCORE_CHARS: Final = 64
"""At least, of a token's score in an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is to be written: a choice for each ticket."""

    head: Head
    choices: Sequence[ChatChoice | TextChoice]
    tickets: Sequence[Ticket]
    prompt_tokens: int
    """Of all prompts, each counted once."""

    def usage(self) -> Usage:
        """Of now; final at the end."""
        return Usage(self.prompt_tokens, sum(ticket.generated for ticket in self.tickets))


async def write_whole(answer: Answer) -> web.Response:
    """One JSON body. Raises ApiError if a choice has failed."""
    heard: list[list[News]] = [[] for _ in answer.tickets]
    async for index, news in read_together(answer.tickets):
        heard[index].append(news)
    chars = sum(
        len(part.text) + SCORE_CHARS * sum(1 + len(score.top) for score in part.scores)
        for parts in heard
        for part in parts
    )
    return web.json_response(text=await off_loop(lambda: _whole(answer, heard), chars))


def _whole(answer: Answer, heard: Sequence[Sequence[News]]) -> str:
    for choice, parts in zip(answer.choices, heard, strict=True):
        text, scores = "".join(part.text for part in parts), tuple(one for part in parts for one in part.scores)
        choice.take(text, scores, parts[-1].finish)
    return json.dumps(answer.head.whole([choice.whole() for choice in answer.choices], answer.usage()))


async def write_stream(http: web.Request, answer: Answer, *, include_usage: bool) -> web.StreamResponse:
    """Headers go out with the first news, so that a refusal from the queue still has its status code."""
    news = read_together(answer.tickets)
    first = await anext(news)
    response = web.StreamResponse(headers={"Content-Type": sse.CONTENT_TYPE, "Cache-Control": "no-cache"})
    await response.prepare(http)
    try:
        await _write_events(response, answer, first, news)
    except ApiError as problem:
        await response.write(sse.event(problem.body()))
        return response
    except ConnectionError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it was, the client must be told
        # The headers are out, so the middleware's answer would land in the middle of the stream.
        fields = {"request": answer.head.id, **where(error)}
        log.error("stream failed", extra=fields)  # noqa: TRY400 - the message may quote the answer
        await response.write(sse.event(ApiError(500, "the server failed", code="internal_error").body()))
        return response
    tail = sse.event(answer.head.usage(answer.usage())) if include_usage else b""
    await response.write(tail + sse.DONE)
    return response


async def _write_events(
    response: web.StreamResponse, answer: Answer, first: tuple[int, News], others: AsyncIterator[tuple[int, News]]
) -> None:
    """Everything but the tail; one write for all that a step brought a choice."""
    openings = [opening for choice in answer.choices if (opening := choice.opening())]
    if openings:
        await response.write(b"".join(sse.event(answer.head.chunk(opening)) for opening in openings))
    index, news = first
    while True:
        chunks = answer.choices[index].feed(news.text, news.scores, news.finish)
        if chunks:
            await response.write(b"".join(sse.event(answer.head.chunk(chunk)) for chunk in chunks))
        try:
            index, news = await anext(others)
        except StopAsyncIteration:
            return
