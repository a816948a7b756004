"""A server that is full: how fast it refuses, and how fast it still tells its metrics."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import aiohttp

from chatscale_contract.server.endpoints import CHAT_COMPLETIONS_PATH, METRICS_PATH
from tests.benchmarks.server.client import BadAnswerError, percentile, session
from tests.benchmarks.server.peers import QUEUE, SLOTS, Started

LONG_TOKENS: Final = 1500
PACE_S: Final = 0.02
FILL_TIMEOUT_S: Final = 60.0


async def refusals(server: Started, model: str, samples: int) -> tuple[float, float]:
    """p99 in seconds of (a 429, a scrape) while every slot decodes and the queue is full."""
    async with session(server.base_url) as http:
        crowd = [asyncio.create_task(_hold(http, model, at)) for at in range(SLOTS + QUEUE)]
        try:
            await _until_full(http, model)
            refused = await _times(samples, lambda: _refused(http, model))
            scraped = await _times(samples, lambda: _scrape(http))
        finally:
            for task in crowd:
                task.cancel()
            await asyncio.gather(*crowd, return_exceptions=True)
    return percentile(refused, 99), percentile(scraped, 99)


def _body(model: str, text: str) -> dict[str, object]:
    return {
        "model": model, "messages": [{"role": "user", "content": text}], "max_tokens": LONG_TOKENS, "stream": True,
        "temperature": 1,
    }  # fmt: skip


async def _hold(http: aiohttp.ClientSession, model: str, at: int) -> None:
    body = _body(model, f"Count from {at} to ten thousand, without a break.")
    while True:
        async with http.post(CHAT_COMPLETIONS_PATH, json=body) as response:
            async for _ in response.content:
                pass


async def _until_full(http: aiohttp.ClientSession, model: str) -> None:
    async with asyncio.timeout(FILL_TIMEOUT_S):
        while True:
            async with http.post(CHAT_COMPLETIONS_PATH, json=_body(model, "Am I in?")) as response:
                if response.status == HTTPStatus.TOO_MANY_REQUESTS:
                    return
            await asyncio.sleep(PACE_S)


async def _times(samples: int, probe: Callable[[], Awaitable[float | None]]) -> list[float]:
    times: list[float] = []
    while len(times) < samples:
        if (seconds := await probe()) is not None:
            times.append(seconds)
        await asyncio.sleep(PACE_S)
    return times


async def _refused(http: aiohttp.ClientSession, model: str) -> float | None:
    """None when a place was free after all, because somebody's answer had ended."""
    began_s = time.perf_counter()
    async with http.post(CHAT_COMPLETIONS_PATH, json=_body(model, "Am I in?")) as response:
        if response.status == HTTPStatus.OK:
            return None
        await response.read()
        if response.status != HTTPStatus.TOO_MANY_REQUESTS or "Retry-After" not in response.headers:
            raise BadAnswerError(f"expected 429 with Retry-After, found {response.status}")
        return time.perf_counter() - began_s


async def _scrape(http: aiohttp.ClientSession) -> float:
    began_s = time.perf_counter()
    async with http.get(METRICS_PATH) as response:
        if not response.ok:
            raise BadAnswerError(f"expected metrics, found {response.status}")
        await response.read()
        return time.perf_counter() - began_s
