"""Reads the load of known pods from a Prometheus server with instant queries.

Only series of pods that exist are taken, so that what a gone pod leaves behind for up to five minutes (no stale
marker when Prometheus restarts with it) does not count twice. The address comes from a user's ChatModel: only this
one path is asked, no redirect is followed, and nothing of an answer but numbers and error kinds is shown.
"""

import asyncio
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp

from chatscale.errors import MetricsUnavailableError
from chatscale.observe.exposition import DISTINCT_LABELS, READ, sample_from
from chatscale.observe.pods import Pod
from chatscale.observe.reader import ScrapeResult
from chatscale.observe.scrape import read_at_most, why_unread
from chatscale.scaling.signals import ReplicaPhase, ReplicaSample
from chatscale_contract.server.metrics import CHATMODEL_LABEL, Metric

QUERY_TIMEOUT_S: Final = 5.0
MOST_BYTES: Final = 4_194_304
"""A thousand pods' series have about 2 MB."""
POD_LABEL: Final = "pod"
NAMESPACE_LABEL: Final = "namespace"

Series = tuple[Mapping[str, str], float]


class PrometheusReader:
    """Asks Prometheus servers; each ChatModel may name its own."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def read(
        self, url: str, namespace: str, chatmodel: str, pods: tuple[Pod, ...], now: datetime
    ) -> ScrapeResult:
        """Read all ready pods of one ChatModel with two queries; a server that fails fails every pod."""
        ready = [pod.name for pod in pods if pod.phase is ReplicaPhase.READY]
        if not ready:
            return ScrapeResult(now)
        labels = f'{NAMESPACE_LABEL}="{namespace}",{CHATMODEL_LABEL}="{chatmodel}"'
        values_query = f'{{__name__=~"{"|".join(READ)}",{labels}}}'
        # An instant query answers with its own time: when the value was scraped has to be asked for.
        times_query = f"timestamp({Metric.QUEUE_DEPTH.value}{{{labels}}})"
        try:
            async with asyncio.timeout(QUERY_TIMEOUT_S):
                values = await self._query(url, values_query)
                times = await self._query(url, times_query)
        except TimeoutError:
            return _all_failed(ready, now, f"Prometheus gave no answer within {QUERY_TIMEOUT_S:g} s")
        except (MetricsUnavailableError, aiohttp.ClientError, OSError, ValueError) as error:
            return _all_failed(ready, now, f"Prometheus: {why_unread(error)}")
        return _reading(ready, values, times, now)

    async def _query(self, url: str, query: str) -> list[Series]:
        endpoint = f"{url.rstrip('/')}/api/v1/query"
        async with self._session.get(endpoint, params={"query": query}, allow_redirects=False) as response:
            body = await read_at_most(response, MOST_BYTES)
            if response.status != 200:  # noqa: PLR2004
                raise MetricsUnavailableError(f"HTTP {response.status}")
        return parse_vector(body)


def parse_vector(body: bytes) -> list[Series]:
    """Read an instant vector. Raises MetricsUnavailableError for anything else."""
    try:
        answer: dict[str, Any] = json.loads(body)
        kind = (answer["status"], answer["data"]["resultType"])
        series: list[Series] = [_series(item) for item in answer["data"]["result"]]
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise MetricsUnavailableError(
            f"the answer is not that of a Prometheus server ({type(error).__name__})"
        ) from error
    if kind != ("success", "vector"):
        raise MetricsUnavailableError("the query did not give an instant vector")
    return series


def _series(item: Mapping[str, Any]) -> Series:
    labels = {name: value for name, value in item["metric"].items() if isinstance(value, str)}
    return labels, float(item["value"][1])


def _reading(ready: list[str], values: list[Series], times: list[Series], now: datetime) -> ScrapeResult:
    samples: dict[str, ReplicaSample] = {}
    failures: dict[str, str] = {}
    for pod in ready:
        # Two jobs that scrape the same pod tell the same thing twice: one value per metric and distinct labels.
        own = {
            (labels.get("__name__", ""), *(labels.get(name, "") for name in DISTINCT_LABELS)): (labels, value)
            for labels, value in values
            if labels.get(POD_LABEL) == pod
        }
        scraped = [value for labels, value in times if labels.get(POD_LABEL) == pod and math.isfinite(value)]
        if not scraped:
            failures[pod] = "Prometheus has no series of this pod"
            continue
        try:
            taken_at = min(datetime.fromtimestamp(max(scraped), UTC), now)
            samples[pod] = sample_from(((key[0], labels, v) for key, (labels, v) in own.items()), taken_at)
        except (MetricsUnavailableError, OverflowError, OSError, ValueError) as error:
            failures[pod] = why_unread(error)
    return ScrapeResult(now, samples, failures)


def _all_failed(ready: list[str], now: datetime, why: str) -> ScrapeResult:
    return ScrapeResult(now, failures=dict.fromkeys(ready, why))
