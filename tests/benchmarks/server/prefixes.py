"""What reuse of prefixes saves: the same chats, once with one system prompt for all and once with one for each."""

from dataclasses import dataclass

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from chatscale_contract.server.endpoints import METRICS_PATH
from chatscale_contract.server.metrics import Metric
from tests.benchmarks.server.client import Figures, measure, session
from tests.benchmarks.server.peers import Started
from tests.benchmarks.server.workload import Cell


@dataclass(frozen=True, slots=True)
class Reuse:
    """One cell in one round."""

    figures: Figures
    found_ratio: float
    """Of the prompt tokens that were looked for in the cache, how many were there."""


async def reuse(server: Started, model: str, cell: Cell) -> Reuse:
    """Run the cell, and see what the server counted meanwhile."""
    async with session(server.base_url) as http:
        queries, hits = await _counts(http)
        found = await measure(server.base_url, model, cell)
        queries_after, hits_after = await _counts(http)
    return Reuse(found, (hits_after - hits) / (queries_after - queries))


async def _counts(http: aiohttp.ClientSession) -> tuple[float, float]:
    async with http.get(METRICS_PATH) as response:
        text = await response.text()
    values = {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}
    return values[Metric.PREFIX_CACHE_QUERIES_TOTAL], values[Metric.PREFIX_CACHE_HITS_TOTAL]
