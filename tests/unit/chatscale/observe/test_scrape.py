"""Scraping pods within limits; a pod that cannot be read is a failure, never a load of zero."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from chatscale import names
from chatscale.observe import scrape
from chatscale.observe.dialects import registry
from chatscale.observe.pods import Pod, read_pods
from chatscale.observe.scrape import PodScraper
from chatscale.observe.source import metrics_session
from chatscale_contract.server.endpoints import METRICS_PATH
from chatscale_contract.server.environment import EngineName
from tests.support.builders import PodBuilder, a_pod, an_exposition, at
from tests.support.clock import virtual_time_loop
from tests.support.dialects import OTHER_DIALECT


class Replica:
    """The HTTP server of a pod; `behaviour` is one of the names below."""

    def __init__(self) -> None:
        self.behaviour = "healthy"
        self.at_once = self.most_at_once = 0
        self._asked = asyncio.Semaphore(0)

    async def is_asked(self, times: int) -> None:
        """Wait for so many requests."""
        async with asyncio.timeout(10):
            for _ in range(times):
                await self._asked.acquire()

    async def handle(self, _request: web.Request) -> web.StreamResponse:
        self._asked.release()
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await asyncio.sleep(0)
            return await self._answer()
        finally:
            self.at_once -= 1

    async def _answer(self) -> web.StreamResponse:
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
    reading = await scraper.read(
        "demo/tiny", pods(a_pod("a").ready(), a_pod("b"), a_pod("c").ready().terminating()), at(5)
    )
    assert {name: (s.queue_depth, s.running, s.taken_at) for name, s in reading.samples.items()} == {"a": (3, 8, at(5))}
    assert reading.failures == {}


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        pytest.param("broken", "GET /metrics: HTTP 500", id="500"),
        pytest.param("redirecting", "GET /metrics: HTTP 302", id="redirect"),
        pytest.param("endless", "the answer has more than 1048576 bytes", id="too long"),
    ],
)
async def test_a_pod_that_cannot_be_read_is_a_failure_with_its_reason(
    behaviour: str, why: str, replica: Replica, scraper: PodScraper
):
    replica.behaviour = behaviour
    reading = await scraper.read("demo/tiny", pods(a_pod().ready()), at(0))
    assert (reading.samples, reading.failures) == ({}, {"tiny-1": why})


async def test_a_pod_of_another_engine_is_read_in_its_own_dialect(
    replica: Replica, scraper: PodScraper, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(registry.DIALECTS, EngineName.SIMULATED, OTHER_DIALECT)
    replica.behaviour = "bilingual"
    manifests = [a_pod(name).ready().at_address("127.0.0.1").manifest() for name in ("a", "b")]
    manifests[1]["metadata"]["labels"][names.ENGINE_LABEL] = EngineName.SIMULATED.value
    reading = await scraper.read("demo/tiny", read_pods(manifests), at(0))
    assert {name: sample.queue_depth for name, sample in reading.samples.items()} == {"a": 3, "b": 7}


async def test_a_failures_reason_has_a_limit(replica: Replica, scraper: PodScraper):
    replica.behaviour = "verbose"
    why = (await scraper.read("demo/tiny", pods(a_pod().ready()), at(0))).failures["tiny-1"]
    assert why.startswith("not a Prometheus exposition: ")
    assert len(why) == scrape.REASON_LENGTH


async def test_a_deleted_pod_is_a_failure(replica: Replica):
    async with aiohttp.ClientSession() as session:
        reading = await PodScraper(session, port=1).read("demo/tiny", pods(a_pod().ready()), at(0))
    assert list(reading.failures) == ["tiny-1"]


async def test_limits_concurrent_scrapes_of_one_chatmodel_and_of_all(replica: Replica, scraper: PodScraper):
    many = pods(*(a_pod(f"tiny-{n}").ready() for n in range(40)))
    reading = await scraper.read("demo/tiny", many, at(0))
    assert len(reading.samples) == 40
    assert replica.most_at_once <= scrape.AT_ONCE_EACH
    readings = await asyncio.gather(*(scraper.read(f"demo/{n}", many, at(0)) for n in range(5)))
    assert [len(reading.samples) for reading in readings] == [40] * 5
    assert replica.most_at_once <= scrape.AT_ONCE


async def test_unreachable_pods_of_one_chatmodel_do_not_delay_another(replica: Replica, scraper: PodScraper):
    unreachable = pods(*(a_pod(f"lost-{n}").ready() for n in range(320)))
    replica.behaviour = "silent"
    async with asyncio.TaskGroup() as group:
        stuck = group.create_task(scraper.read("other/lost", unreachable, at(0)))
        await replica.is_asked(scrape.AT_ONCE_EACH)
        replica.behaviour = "healthy"
        reading = await scraper.read("demo/tiny", pods(a_pod().ready()), at(0))
        assert (list(reading.samples), stuck.done()) == (["tiny-1"], False)
        stuck.cancel()


class SilentSession:
    """A session whose requests never get an answer."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    @asynccontextmanager
    async def get(self, url: str, **_: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        self.asked.append(url)
        await asyncio.Event().wait()
        yield  # type: ignore[misc]  # never reached


def test_a_reading_has_one_deadline_however_many_pods_do_not_answer():
    with asyncio.Runner(loop_factory=virtual_time_loop) as runner:
        scraper = PodScraper(SilentSession())  # type: ignore[arg-type]  # the one method that a scrape uses
        many = pods(*(a_pod(f"tiny-{n}").ready() for n in range(320)))
        reading = runner.run(scraper.read("demo/tiny", many, at(0)))
        assert runner.get_loop().time() == scrape.READING_TIMEOUT_S
    whys = Counter(reading.failures.values())
    assert whys["no answer within 2 s"] in (scrape.AT_ONCE_EACH, 2 * scrape.AT_ONCE_EACH)
    assert (
        whys.total() - whys["no answer within 2 s"]
        == (whys["not read within 4 s, including the time that other pods took"])
    )


def test_pods_that_failed_are_tried_again_in_turn():
    builders = [a_pod(f"lost-{n}").ready().at_address(f"10.0.0.{n}") for n in range(scrape.AT_ONCE_EACH)]
    lost = read_pods(builder.manifest() for builder in builders)
    with asyncio.Runner(loop_factory=virtual_time_loop) as runner:
        session = SilentSession()
        scraper = PodScraper(session)  # type: ignore[arg-type]
        for reading in range(5):
            runner.run(scraper.read("demo/tiny", lost, at(5 * reading)))
    first, later = session.asked[: len(lost)], session.asked[len(lost) :]
    assert set(first) == set(later)


async def test_pods_that_failed_last_time_do_not_take_the_places_of_the_others(replica: Replica, scraper: PodScraper):
    replica.behaviour = "broken"
    lost = [a_pod(f"lost-{n}").ready() for n in range(scrape.AT_ONCE_EACH)]
    await scraper.read("demo/tiny", pods(*lost), at(0))
    await replica.is_asked(scrape.AT_ONCE_EACH)
    replica.behaviour = "silent"
    async with asyncio.TaskGroup() as group:
        stuck = group.create_task(scraper.read("demo/tiny", pods(*lost, a_pod("new").ready()), at(5)))
        await replica.is_asked(scrape.RETRIES_AT_ONCE_EACH + 1)
        assert replica.at_once == scrape.RETRIES_AT_ONCE_EACH + 1
        stuck.cancel()


async def test_a_recovered_pod_is_read_again(replica: Replica, scraper: PodScraper):
    replica.behaviour = "broken"
    lost = pods(*(a_pod(f"tiny-{n}").ready() for n in range(50)))
    assert len((await scraper.read("demo/tiny", lost, at(0))).failures) == 50
    replica.behaviour = "healthy"
    assert len((await scraper.read("demo/tiny", lost, at(5))).samples) == 50


async def test_a_prometheus_server_that_is_silent_does_not_use_up_the_connections_of_the_scrapes():
    async with metrics_session() as session:
        assert session.connector is not None
        assert session.connector.limit == 0
