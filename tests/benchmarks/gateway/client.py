"""A closed loop of clients."""

import asyncio
import time
from dataclasses import dataclass

import aiohttp

from chatscale_contract.openai import sse
from tests.benchmarks.gateway.wire import CHAT, Plan, body

REQUEST_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent to every peer."""

    name: str
    clients: int
    requests: int
    streamed: bool


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds: to the whole answer or, of a stream, to its first bytes."""

    p50_s: float
    p95_s: float


def session() -> aiohttp.ClientSession:
    """A session without a limit of connections."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    )


async def send(http: aiohttp.ClientSession, url: str, load: Load, requests: int) -> Latency:
    """Send `requests` requests from the load's clients. Raises RuntimeError for an answer that is not complete."""
    payload = body(Plan(), streamed=load.streamed)
    times: list[float] = []
    left = iter(range(requests))

    async def client() -> None:
        for _ in left:
            time_s = await _one(http, url, payload, streamed=load.streamed)
            times.append(time_s)

    async with asyncio.TaskGroup() as group:
        for _ in range(load.clients):
            group.create_task(client())
    times.sort()
    return Latency(times[len(times) // 2], times[int(0.95 * len(times))])


async def _one(http: aiohttp.ClientSession, url: str, payload: bytes, *, streamed: bool) -> float:
    began_s = time.perf_counter()
    async with http.post(url + CHAT, data=payload, headers={"Content-Type": "application/json"}) as response:
        start = await response.content.readany()
        first_s = time.perf_counter() - began_s
        whole = start + await response.read()
        if response.status != 200 or (streamed and not whole.endswith(sse.DONE)):
            raise RuntimeError(f"{url} answered {response.status}: {whole[-200:]!r}")
    return first_s if streamed else time.perf_counter() - began_s
