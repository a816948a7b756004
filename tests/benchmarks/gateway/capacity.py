"""What one gateway process can keep: open streams, held requests, and clients that disconnect."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp

from chatscale_contract.gateway.endpoints import DEMAND_PATH
from chatscale_contract.openai import sse
from tests.benchmarks.gateway.client import session
from tests.benchmarks.gateway.processes import Process, free_port, module, running
from tests.benchmarks.gateway.wire import CHAT, RUNNING_PATH, STOPS_PATH, Plan, body

OPEN_STREAMS: Final = 1000
DISCONNECTS: Final = 1000
STOP_WITHIN_S: Final = 1.0
HELD: Final = 200
_WAVE: Final = 100
_LONG: Final = Plan(tokens=20, every_s=1.0)
_SILENT: Final = Plan(first_s=30.0)
_FAR_S: Final = 60.0
_POLL_S: Final = 0.05
_HELD_FOR_S: Final = 6.0
"""Longer than the keep-alive interval of 5 s, so that streams get a keep-alive first."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """The results."""

    memory_idle_mib: float
    memory_streams_mib: float
    """Highest reading while the streams are open."""
    streams_complete: int
    disconnects_stopped: int
    """Disconnects after which the replica stopped within `STOP_WITHIN_S`."""
    disconnect_max_s: float
    disconnect_p50_s: float
    held_answered: int
    held_seconds: float
    """From the first pod to the last answer."""


async def measure_capacity() -> Capacity:
    """All of them, each with a fresh gateway."""
    idle, most, complete = await _open_streams()
    delays = sorted(await _disconnects())
    answered, seconds = await _hold()
    return Capacity(
        memory_idle_mib=idle,
        memory_streams_mib=most,
        streams_complete=complete,
        disconnects_stopped=sum(delay <= STOP_WITHIN_S for delay in delays),
        disconnect_max_s=delays[-1],
        disconnect_p50_s=delays[len(delays) // 2],
        held_answered=answered,
        held_seconds=seconds,
    )


@asynccontextmanager
async def _world(*, pods: bool = True) -> AsyncIterator[tuple[Process, Process, str]]:
    """A replica, a gateway and the URL of the gateway's admin port."""
    async with AsyncExitStack() as stack:
        port, own, admin = free_port(), free_port(), free_port()
        replica = await stack.enter_async_context(running(module("replica", port), port))
        command = module("gateway", own, admin, *([port] if pods else []))
        gateway = await stack.enter_async_context(running(command, own))
        yield replica, gateway, f"http://127.0.0.1:{admin}"


async def _open_streams() -> tuple[float, float, int]:
    """Memory before and during the streams, and how many of them were complete."""
    payload = body(_LONG, streamed=True)
    async with _world() as (_, gateway, _), session() as http, asyncio.TaskGroup() as group:
        idle = most = gateway.memory_mib()
        streams = [group.create_task(_whole(http, gateway.url, payload)) for _ in range(OPEN_STREAMS)]
        while not all(stream.done() for stream in streams):
            await asyncio.sleep(_POLL_S)
            most = max(most, gateway.memory_mib())
        return idle, most, sum(stream.result() for stream in streams)


async def _hold() -> tuple[int, float]:
    """Requests that arrive while there is no pod: how many are answered, and how long after the first pod."""
    payloads = [body(Plan(), streamed=number % 2 == 0) for number in range(HELD)]
    async with _world(pods=False) as (replica, gateway, admin), session() as http, asyncio.TaskGroup() as group:
        requests = [group.create_task(_whole(http, gateway.url, payload)) for payload in payloads]
        async with asyncio.timeout(_FAR_S):
            while await _held(http, admin) < HELD:  # noqa: ASYNC110 - the queue is in another process
                await asyncio.sleep(_POLL_S)
        await asyncio.sleep(_HELD_FOR_S)
        gateway.tell(str(replica.port))
        began_s = time.monotonic()
        answered = sum(await asyncio.gather(*requests))
        return answered, time.monotonic() - began_s


async def _held(http: aiohttp.ClientSession, admin: str) -> int:
    async with http.get(admin + DEMAND_PATH) as response:
        demand = await response.json()
    return sum(int(model["held"]) for model in demand["models"].values())


async def _whole(http: aiohttp.ClientSession, url: str, payload: bytes) -> bool:
    """Whether the answer is complete."""
    try:
        async with http.post(url + CHAT, data=payload) as response:
            text = await response.read()
    except (aiohttp.ClientError, TimeoutError):
        return False
    is_stream = response.content_type == sse.CONTENT_TYPE
    return response.status == 200 and (text.endswith(sse.DONE) if is_stream else text.endswith(b"}"))


async def _disconnects() -> list[float]:
    """Seconds from each disconnect to the end of the replica's work; infinite if it went on."""
    delays: list[float] = []
    rng = random.Random(1)
    async with _world() as (replica, gateway, _), session() as http:
        for wave in range(DISCONNECTS // _WAVE):
            # A connection of its own for each client, so that closing it is a disconnect.
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            async with aiohttp.ClientSession(connector=connector) as clients:
                leave = asyncio.Event()
                left: dict[str, float] = {}
                async with asyncio.TaskGroup() as group:
                    for number in range(_WAVE):
                        request_id, delay_s = f"leaver-{wave}-{number}", rng.random()
                        group.create_task(
                            _leave(clients, gateway.url, request_id, leave, delay_s, left, silent=number % 2 == 0)
                        )
                    await _until_running(http, replica, _WAVE)
                    leave.set()
            await _until_running(http, replica, 0)
            async with http.get(replica.url + STOPS_PATH) as response:
                stops = await response.json()
            delays += [stops.get(request_id, float("inf")) - at_s for request_id, at_s in left.items()]
    return delays


async def _until_running(http: aiohttp.ClientSession, replica: Process, count: int) -> None:
    """Wait until the replica works on `count` requests, or for too long."""
    deadline_s = time.monotonic() + 5 * STOP_WITHIN_S
    while time.monotonic() < deadline_s:
        async with http.get(replica.url + RUNNING_PATH) as response:
            if await response.json() == count:
                return
        await asyncio.sleep(_POLL_S)


async def _leave(
    http: aiohttp.ClientSession, url: str, request_id: str, leave: asyncio.Event, delay_s: float,
    left: dict[str, float], *, silent: bool,
) -> None:  # fmt: skip
    """Send a request and disconnect `delay_s` after `leave`. silent: the replica has sent nothing by then."""
    payload = body(_SILENT if silent else _LONG, streamed=True)
    request = asyncio.create_task(_read(http, url, payload, request_id))
    await leave.wait()
    await asyncio.sleep(delay_s)
    left[request_id] = time.monotonic()
    request.cancel()
    await asyncio.wait([request])


async def _read(http: aiohttp.ClientSession, url: str, payload: bytes, request_id: str) -> None:
    async with http.post(url + CHAT, data=payload, headers={"X-Request-Id": request_id}) as response:
        async for _ in response.content.iter_any():
            pass
