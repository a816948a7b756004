"""Token limits over two gateway processes, and good keys beside many bad ones."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from statistics import median
from typing import Final

import aiohttp

from tests.benchmarks.gateway.client import session
from tests.benchmarks.gateway.gateway import KEYS, NAME, PEER
from tests.benchmarks.gateway.processes import Process, free_port, module, running
from tests.benchmarks.gateway.wire import (
    ANSWER_TOKENS,
    CHAT,
    GOOD_KEY,
    LIMIT_PER_MINUTE,
    LIMITED_KEY,
    TOKENS_PATH,
    Plan,
    body,
)

LIMIT_SECONDS: Final = 30.0
"""Half of a minute's tokens are refilled in this time, beside those of the full bucket."""
BAD_KEYS_PER_MINUTE: Final = 10_000
_GATEWAYS: Final = 2
_CLIENTS: Final = 20
"""At each gateway."""
_PAUSE_S: Final = 0.25
"""After a refusal."""
_CANCEL_AFTER_S: Final = 0.1
"""Each third request: about half of its stream."""
GOOD_ANSWER_S: Final = 0.05
"""Time that the replica takes for an answer to a good key: much less than any model takes."""
_GOOD_CLIENTS: Final = 4
_ROUNDS: Final = 5
_ROUND_S: Final = 3.0
_UNAUTHORIZED: Final = b"HTTP/1.1 401 "


@dataclass(frozen=True, slots=True)
class Limits:
    """The results."""

    allowed_tokens: float
    """A full bucket and what was refilled."""
    used_tokens: int
    """As the replica counted them."""
    answered: int
    cancelled: int
    refused: int
    good_alone_s: float
    """Median latency of requests with a good key."""
    good_beside_bad_s: float
    """The same while `BAD_KEYS_PER_MINUTE` requests with bad keys arrive."""
    bad_per_minute: float
    """Requests with bad keys that were refused."""

    @property
    def used_share(self) -> float:
        """Used over allowed tokens."""
        return self.used_tokens / self.allowed_tokens

    @property
    def slowed(self) -> float:
        """Latency beside bad keys over that without them."""
        return self.good_beside_bad_s / self.good_alone_s


async def measure_limits() -> Limits:
    """Both measurements, each with fresh processes."""
    counts = _Counts()
    async with _world(_GATEWAYS) as (replica, gateways):
        allowed, used = await _spend(replica, gateways, counts)
    async with _world(1) as (_, gateways):
        alone_s, beside_s, per_minute = await _beside_bad_keys(gateways[0])
    return Limits(allowed, used, counts.answered, counts.cancelled, counts.refused, alone_s, beside_s, per_minute)


@dataclass(slots=True)
class _Counts:
    answered: int = 0
    cancelled: int = 0
    refused: int = 0


@asynccontextmanager
async def _world(gateways: int) -> AsyncIterator[tuple[Process, list[Process]]]:
    """A replica, and gateways with keys that read each other."""
    async with AsyncExitStack() as stack:
        port = free_port()
        replica = await stack.enter_async_context(running(module("replica", port), port))
        own = [free_port() for _ in range(gateways)]
        admin = [free_port() for _ in range(gateways)]
        found = []
        for number in range(gateways):
            env = {KEYS: "1", NAME: f"gateway-{number}"}
            if gateways > 1:
                env[PEER] = str(admin[(number + 1) % gateways])
            command = module("gateway", own[number], admin[number], port)
            found.append(await stack.enter_async_context(running(command, own[number], env)))
        yield replica, found


async def _spend(replica: Process, gateways: list[Process], counts: _Counts) -> tuple[float, int]:
    """Send streams and answers in parallel, and cancel some streams. Returns allowed and used tokens."""
    async with session() as http:
        began_s = time.monotonic()
        end_s = began_s + LIMIT_SECONDS
        async with asyncio.TaskGroup() as group:
            for client in range(_CLIENTS * len(gateways)):
                group.create_task(_client(http, gateways[client % len(gateways)].url, client, end_s, counts))
        seconds = time.monotonic() - began_s
        async with http.get(replica.url + TOKENS_PATH) as response:
            used = int(await response.json())
    return LIMIT_PER_MINUTE * (1 + seconds / 60), used


async def _client(http: aiohttp.ClientSession, url: str, number: int, end_s: float, counts: _Counts) -> None:
    while time.monotonic() < end_s:
        number += 1
        streamed = number % 2 == 0
        payload = body(Plan(), streamed=streamed, max_tokens=2 * ANSWER_TOKENS)
        cancel_after_s = _CANCEL_AFTER_S if streamed and number % 3 == 0 else None
        try:
            async with asyncio.timeout(cancel_after_s):
                status = await _post(http, url, payload, LIMITED_KEY)
        except TimeoutError:
            counts.cancelled += 1
            continue
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            counts.refused += 1
            await asyncio.sleep(_PAUSE_S)
        else:
            counts.answered += 1


async def _post(http: aiohttp.ClientSession, url: str, payload: bytes, key: str) -> int:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    async with http.post(url + CHAT, data=payload, headers=headers) as response:
        await response.read()
        return response.status


async def _beside_bad_keys(gateway: Process) -> tuple[float, float, float]:
    """Median latencies of good requests without and with bad ones, and bad requests per minute.

    Rounds alternate, so that other work on the machine changes both.
    """
    payload = body(Plan(first_s=GOOD_ANSWER_S), streamed=False)
    alone: list[float] = []
    beside: list[float] = []
    bad, seconds = _BadKeys(), 0.0
    async with session() as http:
        await _good(http, gateway.url, payload)
        for _ in range(_ROUNDS):
            alone += await _good(http, gateway.url, payload)
            began_s = time.monotonic()
            sending = asyncio.create_task(bad.send(gateway, payload))
            beside += await _good(http, gateway.url, payload)
            seconds += time.monotonic() - began_s
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending
    return median(alone), median(beside), 60 * bad.refused / seconds


async def _good(http: aiohttp.ClientSession, url: str, payload: bytes) -> list[float]:
    """Latencies of the requests of a few clients within `_ROUND_S`."""
    found: list[float] = []
    end_s = time.monotonic() + _ROUND_S

    async def client() -> None:
        while time.monotonic() < end_s:
            began_s = time.perf_counter()
            status = await _post(http, url, payload, GOOD_KEY)
            if status != HTTPStatus.OK:
                raise RuntimeError(f"{url} answered {status} to a good key")
            found.append(time.perf_counter() - began_s)

    async with asyncio.TaskGroup() as group:
        for _ in range(_GOOD_CLIENTS):
            group.create_task(client())
    return found


@dataclass(slots=True)
class _BadKeys:
    """Sends requests with bad keys at an even rate. It parses nothing, so that it costs the good requests little."""

    refused: int = 0

    async def send(self, gateway: Process, payload: bytes) -> None:
        """Until it is cancelled."""
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        try:
            due_s = time.monotonic()
            number = 0
            while True:
                number += 1
                head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer csk-bad-{number}\r\n"
                writer.write(f"{head}Content-Length: {len(payload)}\r\n\r\n".encode() + payload)
                answer = await reader.readuntil(b"\r\n\r\n")
                length = int(answer.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
                await reader.readexactly(length)
                self.refused += answer.startswith(_UNAUTHORIZED)
                due_s += 60 / BAD_KEYS_PER_MINUTE
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        finally:
            writer.close()
