"""Reads `/metrics` of ready pods over HTTP, with limits on time, size and concurrency.

A pod that cannot be read is a failure with its reason, never a load of zero. Pods are untrusted: redirects are not
followed.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import aiohttp

from chatscale.errors import MetricsUnavailableError
from chatscale.observe.dialects.registry import dialect_of
from chatscale.observe.exposition import read_series
from chatscale.observe.pods import Pod
from chatscale.observe.reader import ScrapeResult
from chatscale.scaling.signals import ReplicaPhase, ReplicaSample
from chatscale_contract.server.endpoints import HTTP_PORT, METRICS_PATH

SCRAPE_TIMEOUT_S: Final = 2.0
"""The server answers /metrics from memory. The load of a server that needs longer is unknown."""
AT_ONCE: Final = 32
"""Concurrent scrapes over all ChatModels: one process, one event loop."""
MOST_BYTES: Final = 1_048_576
"""Of one exposition; our server's has about 50 kB."""
REASON_LENGTH: Final = 200
"""Characters of a failure's reason: parsers quote the text that they cannot parse, however long it is."""


class PodScraper:
    """Scrapes pods. The process has one, so that the limit on concurrency holds over all ChatModels."""

    def __init__(self, session: aiohttp.ClientSession, port: int = HTTP_PORT) -> None:
        self._session = session
        self._port = port
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def read(self, pods: Iterable[Pod], now: datetime) -> ScrapeResult:
        """Scrape every ready pod; the result has the reason for each pod that failed."""
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
                dialect = dialect_of(pod.engine)
                return dialect.to_sample(read_series(await self._fetch(pod.address), dialect.names), now)
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
    """A short reason, for a condition's message."""
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
