"""Reads `/metrics` of ready pods over HTTP, with limits on time, size and concurrency.

A pod that cannot be read is a failure with its reason, never a load of zero. Pods are untrusted: redirects are not
followed. A reading of one ChatModel has one deadline, waiting included, and its unreachable pods do not delay the
readings of other ChatModels: each has its share of the concurrent scrapes, and pods that failed last time have a small
share of their own.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import aiohttp

from chatscale.errors import MetricsUnavailableError
from chatscale.observe.dialects.registry import dialect_of
from chatscale.observe.exposition import read_series
from chatscale.observe.fair_share import FairShare
from chatscale.observe.pods import Pod
from chatscale.observe.reader import ScrapeResult
from chatscale.scaling.signals import ReplicaPhase, ReplicaSample
from chatscale_contract.server.endpoints import HTTP_PORT, METRICS_PATH

SCRAPE_TIMEOUT_S: Final = 2.0
"""Of one pod. The server answers /metrics from memory. The load of a server that needs longer is unknown."""
CONNECT_TIMEOUT_S: Final = 1.0
"""Of one pod. Inside a cluster a connection takes milliseconds; a packet that is lost is sent again after a second."""
READING_TIMEOUT_S: Final = 4.0
"""Of all pods of one ChatModel, waiting included: below the default interval of 5 s between two readings."""
AT_ONCE: Final = 64
"""Concurrent scrapes over all ChatModels: one process, one event loop."""
AT_ONCE_EACH: Final = 16
"""Of one ChatModel: 1,000 pods that answer in 20 ms take 1.3 s."""
RETRIES_AT_ONCE: Final = 16
"""Concurrent scrapes, besides `AT_ONCE`, of pods that failed in the last reading."""
RETRIES_AT_ONCE_EACH: Final = 4
MOST_BYTES: Final = 1_048_576
"""Of one exposition; our server's has about 50 kB."""
REASON_LENGTH: Final = 200
"""Characters of a failure's reason: parsers quote the text that they cannot parse, however long it is."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a pod could not be read."""

    reason: str
    attempt: int
    """Number of the last whole attempt, counted over all pods; 0 if there was none."""


class PodScraper:
    """Scrapes pods. The process has one, so that the limits on concurrency hold over all ChatModels."""

    def __init__(self, session: aiohttp.ClientSession, port: int = HTTP_PORT) -> None:
        self._session = session
        self._port = port
        self._first_tries = FairShare(AT_ONCE, AT_ONCE_EACH)
        self._retries = FairShare(RETRIES_AT_ONCE, RETRIES_AT_ONCE_EACH)
        self._attempts = 0
        self._failed: dict[str, Mapping[str, _Failure]] = {}
        """The failures of each ChatModel's last reading, by pod."""

    async def read(self, chatmodel: str, pods: Iterable[Pod], now: datetime) -> ScrapeResult:
        """Scrape every ready pod of one ChatModel; the result has the reason for each pod that failed."""
        ready = [pod for pod in pods if pod.phase is ReplicaPhase.READY]
        deadline = asyncio.get_running_loop().time() + READING_TIMEOUT_S
        before = self._failed.get(chatmodel, {})
        # Retries in turn: the longest untried first.
        ordered = sorted(ready, key=lambda pod: before[pod.name].attempt if pod.name in before else 0)
        async with asyncio.TaskGroup() as group:
            tasks = {
                pod.name: group.create_task(self._outcome(chatmodel, pod, before.get(pod.name), now, deadline))
                for pod in ordered
            }
        outcomes = {name: task.result() for name, task in tasks.items()}
        failures = {name: found for name, found in outcomes.items() if isinstance(found, _Failure)}
        self._remember(chatmodel, failures)
        return ScrapeResult(
            taken_at=now,
            samples={name: found for name, found in outcomes.items() if isinstance(found, ReplicaSample)},
            failures={name: found.reason for name, found in failures.items()},
        )

    def _remember(self, chatmodel: str, failures: Mapping[str, _Failure]) -> None:
        if failures:
            self._failed[chatmodel] = failures
        else:
            self._failed.pop(chatmodel, None)

    async def _outcome(
        self, chatmodel: str, pod: Pod, before: _Failure | None, now: datetime, deadline: float
    ) -> ReplicaSample | _Failure:
        """deadline: of the whole reading, in the event loop's time, which no change of the wall clock moves."""
        share = self._retries if before and before.attempt else self._first_tries
        try:
            async with asyncio.timeout_at(deadline), share.place(chatmodel):
                self._attempts += 1
                attempt = self._attempts
                try:
                    return await self._scrape(pod, now)
                except (MetricsUnavailableError, aiohttp.ClientError, OSError) as error:
                    return _Failure(why_unread(error), attempt)
        except TimeoutError:
            # It had no chance, so it comes first next time.
            reason = f"not read within {READING_TIMEOUT_S:g} s, including the time that other pods took"
            return _Failure(reason, before.attempt if before else 0)

    async def _scrape(self, pod: Pod, now: datetime) -> ReplicaSample:
        """Raises MetricsUnavailableError, aiohttp.ClientError or OSError."""
        dialect = dialect_of(pod.engine)
        try:
            async with asyncio.timeout(SCRAPE_TIMEOUT_S):
                text = await self._fetch(pod.address)
        except aiohttp.ConnectionTimeoutError as error:
            raise MetricsUnavailableError(
                f"cannot connect to {pod.address}:{self._port} within {CONNECT_TIMEOUT_S:g} s"
            ) from error
        except TimeoutError as error:
            raise MetricsUnavailableError(f"no answer within {SCRAPE_TIMEOUT_S:g} s") from error
        return dialect.to_sample(read_series(text, dialect.names), now)

    async def _fetch(self, address: str) -> str:
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{self._port}{METRICS_PATH}"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
        async with self._session.get(url, allow_redirects=False, timeout=timeout) as response:
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
