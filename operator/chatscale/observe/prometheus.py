"""Reads the load of known pods from a Prometheus server with instant queries.

Only series of pods that exist count: the series of a deleted pod may stay for up to five minutes (there is no stale
marker if Prometheus restarts at the same time). The address comes from a user's ChatModel. So only one path is
requested, redirects are not followed, and only numbers and kinds of errors of an answer are shown.

The age of a scrape is computed by Prometheus, on the clock that it took the time of the scrape from. So the wall clocks
of the two machines may differ, and either may be set.
"""

import asyncio
import json
import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import aiohttp

from chatscale.errors import MetricsUnavailableError
from chatscale.observe.dialects.dialect import Dialect, Series
from chatscale.observe.dialects.registry import dialect_of
from chatscale.observe.pods import Pod
from chatscale.observe.reader import ScrapeResult
from chatscale.observe.scrape import read_at_most, why_unread
from chatscale.scaling.signals import ReplicaPhase, ReplicaSample

READING_TIMEOUT_S: Final = 5.0
"""Of all queries for one ChatModel."""
MOST_BYTES: Final = 4_194_304
"""The series of a thousand pods have about 2 MB."""
POD_LABEL: Final = "pod"
NAME_LABEL: Final = "__name__"

Sample = tuple[Mapping[str, str], float]
"""Labels and value of one element of an instant vector."""


class PrometheusReader:
    """Queries Prometheus servers; each ChatModel may name its own."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def read(
        self, url: str, namespace: str, chatmodel: str, pods: tuple[Pod, ...], now: datetime
    ) -> ScrapeResult:
        """Read all ready pods of one ChatModel, two queries per dialect; if a query fails, every pod of it fails."""
        deadline = asyncio.get_running_loop().time() + READING_TIMEOUT_S
        ready = [pod for pod in pods if pod.phase is ReplicaPhase.READY]
        samples: dict[str, ReplicaSample] = {}
        failures: dict[str, str] = {}
        source_failure = ""
        for dialect in {id(found): found for found in (dialect_of(pod.engine) for pod in ready)}.values():
            speakers = [pod.name for pod in ready if dialect_of(pod.engine) is dialect]
            matchers = dialect.promql_matchers(namespace, chatmodel)
            result = await self._read(url, dialect, matchers, speakers, now, deadline)
            samples |= result.samples
            failures |= result.failures
            source_failure = source_failure or result.source_failure
        return ScrapeResult(now, samples, failures, source_failure)

    async def _read(
        self, url: str, dialect: Dialect, matchers: str, pods: list[str], now: datetime, deadline: float
    ) -> ScrapeResult:
        values_query = f'{{{NAME_LABEL}=~"{"|".join(dialect.names)}",{matchers}}}'
        # The time of an instant query's answer is that of the query; the age of the scrape needs a second query.
        ages_query = f"time() - timestamp({dialect.timestamp_name}{{{matchers}}})"
        try:
            async with asyncio.timeout_at(deadline):
                values = await self._query(url, values_query)
                ages = await self._query(url, ages_query)
        except TimeoutError:
            return _all_failed(pods, now, f"Prometheus gave no answer within {READING_TIMEOUT_S:g} s")
        except (MetricsUnavailableError, aiohttp.ClientError, OSError, ValueError) as error:
            return _all_failed(pods, now, f"Prometheus: {why_unread(error)}")
        return _scrape_result(dialect, pods, values, ages, now)

    async def _query(self, url: str, query: str) -> list[Sample]:
        endpoint = f"{url.rstrip('/')}/api/v1/query"
        async with self._session.get(endpoint, params={"query": query}, allow_redirects=False) as response:
            body = await read_at_most(response, MOST_BYTES)
            if response.status != 200:  # noqa: PLR2004
                raise MetricsUnavailableError(f"HTTP {response.status}")
        return parse_vector(body)


def parse_vector(body: bytes) -> list[Sample]:
    """Read an instant vector. Raises MetricsUnavailableError for anything else."""
    try:
        answer: dict[str, Any] = json.loads(body)
        kind = (answer["status"], answer["data"]["resultType"])
        vector: list[Sample] = [_sample(item) for item in answer["data"]["result"]]
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise MetricsUnavailableError(
            f"the answer is not that of a Prometheus server ({type(error).__name__})"
        ) from error
    if kind != ("success", "vector"):
        raise MetricsUnavailableError("the query did not give an instant vector")
    return vector


def _sample(item: Mapping[str, Any]) -> Sample:
    labels = {name: value for name, value in item["metric"].items() if isinstance(value, str)}
    return labels, float(item["value"][1])


def _scrape_result(
    dialect: Dialect, pods: list[str], values: list[Sample], ages: list[Sample], now: datetime
) -> ScrapeResult:
    samples: dict[str, ReplicaSample] = {}
    failures: dict[str, str] = {}
    for pod in pods:
        found = [value for labels, value in ages if labels.get(POD_LABEL) == pod and math.isfinite(value)]
        if not found:
            failures[pod] = "Prometheus has no series of this pod"
            continue
        try:
            taken_at = now - timedelta(seconds=max(min(found), 0.0))
            samples[pod] = dialect.to_sample(_series_of(pod, values, dialect.distinct_labels), taken_at)
        except (MetricsUnavailableError, OverflowError, OSError, ValueError) as error:
            failures[pod] = why_unread(error)
    return ScrapeResult(now, samples, failures)


def _series_of(pod: str, values: list[Sample], distinct_labels: tuple[str, ...]) -> Iterable[Series]:
    """The pod's series. Two jobs may scrape the same pod: one value per name and distinct labels."""
    return {
        tuple(labels.get(name, "") for name in (NAME_LABEL, *distinct_labels)): Series(
            labels.get(NAME_LABEL, ""), labels, value
        )
        for labels, value in values
        if labels.get(POD_LABEL) == pod
    }.values()


def _all_failed(pods: list[str], now: datetime, why: str) -> ScrapeResult:
    return ScrapeResult(now, failures=dict.fromkeys(pods, why), source_failure=why)
