"""Stand-ins of what an assistant talks to: a slow chat model, and a desk."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

_TEXT: Final = "Thank you for your question."


@asynccontextmanager
async def slow_model(slots: int, answer_s: float) -> AsyncIterator[str]:
    """A model that answers `slots` requests at once, each in `answer_s` seconds; others wait. Yields its address."""
    free = asyncio.Semaphore(slots)

    async def complete(_request: web.Request) -> web.Response:
        async with free:
            await asyncio.sleep(answer_s)
        message = {"role": "assistant", "content": _TEXT}
        return web.json_response(
            {
                "id": "stand-in",
                "object": "chat.completion",
                "created": 0,
                "model": "stand-in",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
            }
        )

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    async with _listening(app) as url:
        yield f"{url}/v1"


@asynccontextmanager
async def desk() -> AsyncIterator[str]:
    """A desk that accepts every case. Yields the address of its webhook."""

    async def accept(_request: web.Request) -> web.Response:
        return web.json_response({"accepted": True})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", accept)
    async with _listening(app) as url:
        yield f"{url}/hook"


@asynccontextmanager
async def _listening(app: web.Application) -> AsyncIterator[str]:
    # handler_cancellation: a client that gave up frees the slot.
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
