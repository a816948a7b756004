"""Selects the metrics source of a ChatModel."""

from datetime import datetime

import aiohttp
from typing_extensions import override

from chatscale.api.v1alpha1 import ChatModel, SourceType
from chatscale.observe.pods import Pod
from chatscale.observe.prometheus import PrometheusReader
from chatscale.observe.reader import MetricsReader, ScrapeResult
from chatscale.observe.scrape import PodScraper


def metrics_session() -> aiohttp.ClientSession:
    """The HTTP session for a `ConfiguredReader`, without a limit on connections. Close it after use.

    The readers have limits of their own. In a queue for connections, a Prometheus server that does not answer would
    delay the scrapes of every ChatModel.
    """
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


class ConfiguredReader(MetricsReader):
    """A `MetricsReader` that follows `spec.autoscaling.source`."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._scraper = PodScraper(session)
        self._prometheus = PrometheusReader(session)

    @override
    async def read(self, chatmodel: ChatModel, pods: tuple[Pod, ...], now: datetime) -> ScrapeResult:
        source = chatmodel.spec.autoscaling.source
        if source.type is SourceType.PROMETHEUS and source.prometheus_url:
            meta = chatmodel.metadata
            return await self._prometheus.read(source.prometheus_url, meta.namespace, meta.name, pods, now)
        return await self._scraper.read(chatmodel.key, pods, now)
