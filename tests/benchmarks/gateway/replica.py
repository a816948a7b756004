"""`python -m tests.benchmarks.gateway.replica PORT`: a stub replica with the wire format of the server.

It costs little, so that the proxy's costs show. It notices a lost connection while it waits, as the server does.
"""

import asyncio
import json
import sys
import time
from typing import Any

from aiohttp import web

from chatscale_contract.openai import sse
from chatscale_contract.server.endpoints import PROMPT_TOKENS_HEADER
from tests.benchmarks.gateway.listening import listen
from tests.benchmarks.gateway.wire import PROMPT_TOKENS, RUNNING_PATH, STOPS_PATH, TOKENS_PATH, USAGE_PATH, Plan

_ENVELOPE = {"id": "1", "created": 1, "model": "tiny"}


class Replica:
    """Answers every chat request by its plan."""

    def __init__(self) -> None:
        self._running = 0
        self._tokens = 0
        self._prompt_tokens = 0
        self._stops: dict[str, float] = {}
        delta = {"index": 0, "delta": {"content": "word "}, "finish_reason": None}
        self._chunk = sse.event({**_ENVELOPE, "object": "chat.completion.chunk", "choices": [delta]})

    async def chat(self, http: web.Request) -> web.StreamResponse:
        """POST of a chat completion."""
        body = await http.json()
        self._running += 1
        self._prompt_tokens += PROMPT_TOKENS
        try:
            return await (self._stream(http, body) if body.get("stream") else self._answer(body))
        except (asyncio.CancelledError, ConnectionError):
            self._stops[http.headers.get("X-Request-Id", "")] = time.monotonic()
            raise
        finally:
            self._running -= 1

    async def get(self, http: web.Request) -> web.Response:
        """GET: the counts of the benchmark, or an empty object for the proxies' health checks."""
        if http.path == RUNNING_PATH:
            return web.json_response(self._running)
        if http.path == TOKENS_PATH:
            return web.json_response(self._tokens)
        if http.path == USAGE_PATH:
            return web.json_response(self._prompt_tokens + self._tokens)
        return web.json_response(self._stops if http.path == STOPS_PATH else {})

    async def _answer(self, body: dict[str, Any]) -> web.Response:
        plan = Plan.of(body)
        if plan.first_s:
            await asyncio.sleep(plan.first_s)
        self._tokens += plan.tokens
        message = {"role": "assistant", "content": "word " * plan.tokens}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer = {**_ENVELOPE, "object": "chat.completion", "choices": [choice], "usage": _usage(plan)}
        return web.Response(body=json.dumps(answer).encode(), content_type="application/json")

    async def _stream(self, http: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        plan = Plan.of(body)
        if plan.first_s:
            await asyncio.sleep(plan.first_s)
        response = web.StreamResponse(
            headers={"Content-Type": sse.CONTENT_TYPE, PROMPT_TOKENS_HEADER: str(PROMPT_TOKENS)}
        )
        await response.prepare(http)
        for number in range(plan.tokens):
            if number:
                await asyncio.sleep(plan.every_s)
            self._tokens += 1
            await response.write(self._chunk)
        if (body.get("stream_options") or {}).get("include_usage"):
            chunk = {**_ENVELOPE, "object": "chat.completion.chunk", "choices": [], "usage": _usage(plan)}
            await response.write(sse.event(chunk))
        await response.write(sse.DONE)
        return response


def _usage(plan: Plan) -> dict[str, int]:
    total = PROMPT_TOKENS + plan.tokens
    return {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": plan.tokens, "total_tokens": total}


async def main(port: int) -> None:
    """Serve until the process is ended."""
    replica = Replica()
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/{path:.*}", replica.chat)
    app.router.add_get("/{path:.*}", replica.get)
    await listen(app, port)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
