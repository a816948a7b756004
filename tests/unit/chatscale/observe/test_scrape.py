"""Scraping pods within limits; a pod that cannot be read is a failure, never a load of zero."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from chatscale import names
from chatscale.observe import scrape
from chatscale.observe.dialects import registry
from chatscale.observe.pods import Pod, read_pods
from chatscale.observe.scrape import PodScraper
from chatscale_contract.server.endpoints import METRICS_PATH
from chatscale_contract.server.environment import EngineName
from tests.support.builders import PodBuilder, a_pod, an_exposition, at
from tests.support.dialects import OTHER_DIALECT


class Replica:
    """The HTTP server of a pod; `behaviour` is one of the names below."""

    def __init__(self) -> None:
        self.behaviour = "healthy"
        self.at_once = self.most_at_once = 0

    async def handle(self, _request: web.Request) -> web.StreamResponse:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        match self.behaviour:
            case "silent":
                await asyncio.Event().wait()
            case "broken":
                raise web.HTTPInternalServerError
            case "redirecting":
                raise web.HTTPFound("http://169.254.169.254/")
            case "endless":
                return web.Response(text="# comment\n" * 200_000)
            case "verbose":
                return web.Response(text=f"inference_queue_depth {'x' * 1500}")
            case "bilingual":
                return web.Response(text=an_exposition(queue=3, running=8) + "other:waiting 7\n")
        return web.Response(text=an_exposition(queue=3, running=8))


@pytest.fixture
async def replica() -> AsyncIterator[Replica]:
    replica = Replica()
    app = web.Application()
    app.router.add_get(METRICS_PATH, replica.handle)
    async with TestServer(app) as server:
        replica.port = server.port
        yield replica


@pytest.fixture
async def scraper(replica: Replica) -> AsyncIterator[PodScraper]:
    async with aiohttp.ClientSession() as session:
        yield PodScraper(session, port=replica.port)


def pods(*builders: PodBuilder) -> tuple[Pod, ...]:
    return read_pods(builder.at_address("127.0.0.1").manifest() for builder in builders)


async def test_reads_only_ready_pods(scraper: PodScraper):
    reading = await scraper.read(pods(a_pod("a").ready(), a_pod("b"), a_pod("c").ready().terminating()), at(5))
    assert {name: (s.queue_depth, s.running, s.taken_at) for name, s in reading.samples.items()} == {"a": (3, 8, at(5))}
    assert reading.failures == {}


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        pytest.param("broken", "GET /metrics: HTTP 500", id="500"),
        pytest.param("redirecting", "GET /metrics: HTTP 302", id="redirect"),
        pytest.param("endless", "the answer has more than 1048576 bytes", id="too long"),
        pytest.param("silent", "no answer within 0.05 s", id="timeout"),
    ],
)
async def test_a_pod_that_cannot_be_read_is_a_failure_with_its_reason(
    behaviour: str, why: str, replica: Replica, scraper: PodScraper, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scrape, "SCRAPE_TIMEOUT_S", 0.05)
    replica.behaviour = behaviour
    reading = await scraper.read(pods(a_pod().ready()), at(0))
    assert (reading.samples, reading.failures) == ({}, {"tiny-1": why})


async def test_a_pod_of_another_engine_is_read_in_its_own_dialect(
    replica: Replica, scraper: PodScraper, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(registry.DIALECTS, EngineName.SIMULATED, OTHER_DIALECT)
    replica.behaviour = "bilingual"
    manifests = [a_pod(name).ready().at_address("127.0.0.1").manifest() for name in ("a", "b")]
    manifests[1]["metadata"]["labels"][names.ENGINE_LABEL] = EngineName.SIMULATED.value
    reading = await scraper.read(read_pods(manifests), at(0))
    assert {name: sample.queue_depth for name, sample in reading.samples.items()} == {"a": 3, "b": 7}


async def test_a_failures_reason_has_a_limit(replica: Replica, scraper: PodScraper):
    replica.behaviour = "verbose"
    why = (await scraper.read(pods(a_pod().ready()), at(0))).failures["tiny-1"]
    assert why.startswith("not a Prometheus exposition: ")
    assert len(why) == scrape.REASON_LENGTH


async def test_a_deleted_pod_is_a_failure(replica: Replica):
    async with aiohttp.ClientSession() as session:
        reading = await PodScraper(session, port=1).read(pods(a_pod().ready()), at(0))
    assert list(reading.failures) == ["tiny-1"]


async def test_limits_concurrent_scrapes(replica: Replica, scraper: PodScraper):
    reading = await scraper.read(pods(*(a_pod(f"tiny-{n}").ready() for n in range(100))), at(0))
    assert len(reading.samples) == 100
    assert replica.most_at_once <= scrape.AT_ONCE
