"""Reads `/metrics` of ready pods over HTTP: bounded in time, in size and in how many at once.

A pod that does not answer is a failure with its reason, never a zero. Pods are untrusted: no redirects.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import aiohttp

from chatscale.errors import MetricsUnavailableError
from chatscale.observe.exposition import parse_exposition
from chatscale.observe.pods import Pod
from chatscale.observe.reader import ScrapeResult
from chatscale.scaling.signals import ReplicaPhase, ReplicaSample
from chatscale_contract.server.endpoints import HTTP_PORT, METRICS_PATH

SCRAPE_TIMEOUT_S: Final = 2.0
"""The server answers /metrics from memory; one that needs longer is in trouble, and its load is unknown."""
AT_ONCE: Final = 32
"""Scrapes at a time, over all ChatModels: one process, one event loop."""
MOST_BYTES: Final = 1_048_576
"""Of one exposition; the server's own has about 20 kB."""
REASON_LENGTH: Final = 200
"""Of what a failure may quote: parsers name the text that they choke on, which is as long as the sender likes."""


class PodScraper:
    """Scrapes pods; one for the whole process, so that the bound on concurrency holds over all ChatModels."""

    def __init__(self, session: aiohttp.ClientSession, port: int = HTTP_PORT) -> None:
        self._session = session
        self._port = port
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def read(self, pods: Iterable[Pod], now: datetime) -> ScrapeResult:
        """Scrape every ready pod; those that fail are named with the reason."""
        ready = [pod for pod in pods if pod.phase is ReplicaPhase.READY]
        async with asyncio.TaskGroup() as group:
            tasks = {pod.name: group.create_task(self._outcome(pod, now)) for pod in ready}
        outcomes = {name: task.result() for name, task in tasks.items()}
        return ScrapeResult(
            taken_at=now,
            samples={name: found for name, found in outcomes.items() if isinstance(found, ReplicaSample)},
            failures={name: found for name, found in outcomes.items() if isinstance(found, str)},
        )

    async def _outcome(self, pod: Pod, now: datetime) -> ReplicaSample | str:
        try:
            async with self._slots, asyncio.timeout(SCRAPE_TIMEOUT_S):
                return parse_exposition(await self._fetch(pod.address), now)
        except TimeoutError:
            return f"no answer within {SCRAPE_TIMEOUT_S:g} s"
        except (MetricsUnavailableError, aiohttp.ClientError, OSError) as error:
            return why_unread(error)

    async def _fetch(self, address: str) -> str:
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{self._port}{METRICS_PATH}"
        async with self._session.get(url, allow_redirects=False) as response:
            if response.status != 200:  # noqa: PLR2004
                raise MetricsUnavailableError(f"GET {METRICS_PATH}: HTTP {response.status}")
            return (await read_at_most(response, MOST_BYTES)).decode(errors="replace")


def why_unread(error: Exception) -> str:
    """The reason in a few words, for a condition's message."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect to {error.host}:{error.port}: {error.os_error.strerror or error.os_error}"
    return (str(error) or type(error).__name__)[:REASON_LENGTH]


async def read_at_most(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """The whole body; raises MetricsUnavailableError if it is longer than `most_bytes`."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(65_536):
        body += chunk
        if len(body) > most_bytes:
            raise MetricsUnavailableError(f"the answer has more than {most_bytes} bytes")
    return bytes(body)
