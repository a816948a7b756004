"""Load from Prometheus: only pods that exist count, each with the time of its scrape."""

import asyncio
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer
from typing_extensions import override

from chatscale import names
from chatscale.observe import prometheus as prometheus_module
from chatscale.observe.dialects import registry
from chatscale.observe.pods import read_pods
from chatscale.observe.prometheus import PrometheusReader, parse_vector
from chatscale.observe.reader import ScrapeResult
from chatscale.scaling.signals import ReplicaSample
from chatscale_contract.server.environment import EngineName
from chatscale_contract.server.metrics import Metric
from tests.support.builders import a_pod, at
from tests.support.dialects import OTHER_DIALECT

VALUES = {
    Metric.QUEUE_DEPTH: 3,
    Metric.REQUESTS_RUNNING: 8,
    Metric.SLOTS: 8,
    Metric.KV_CACHE_USAGE_RATIO: 0.5,
    Metric.REQUESTS_REJECTED_TOTAL: 2,
}


class Prometheus:
    """Answers instant queries from `series`; `answer` replaces the whole response."""

    def __init__(self) -> None:
        self.series: list[tuple[str, dict[str, str], float, float]] = []
        self.answer: tuple[int, bytes] | None = None
        self.queries: list[str] = []
        self.is_silent = False
        self.clock = at(9).timestamp()
        """As the server has it."""

    def has(self, pod: str, *, scraped_at: float = 3, job: str = "pods", **values: float) -> None:
        """Have all metrics of a pod, as scraped that many seconds after the start."""
        for metric, value in VALUES.items():
            labels = {"pod": pod, "job": job, **({"reason": "queue_full"} if "rejected" in metric else {})}
            self.series.append(
                (metric.value, labels, values.get(metric.name.lower(), value), at(scraped_at).timestamp())
            )

    async def handle(self, request: web.Request) -> web.Response:
        query = request.query["query"]
        self.queries.append(query)
        if self.is_silent:
            await asyncio.Event().wait()
        if self.answer is not None:
            return web.Response(status=self.answer[0], body=self.answer[1])
        if query.startswith("time() - timestamp("):
            found = [
                (labels, self.clock - scraped) for name, labels, _, scraped in self.series if f"({name}{{" in query
            ]
        else:
            found = [({"__name__": name, **labels}, value) for name, labels, value, _ in self.series]
        result = [{"metric": labels, "value": [self.clock, str(value)]} for labels, value in found]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})


@pytest.fixture
async def prometheus() -> AsyncIterator[Prometheus]:
    prometheus = Prometheus()
    app = web.Application()
    app.router.add_get("/api/v1/query", prometheus.handle)
    async with TestServer(app) as server:
        prometheus.url = str(server.make_url("/"))
        yield prometheus


async def read(prometheus: Prometheus, *pod_names: str, engines: dict[str, str] | None = None) -> ScrapeResult:
    manifests = [a_pod(name).ready().manifest() for name in pod_names]
    for manifest in manifests:
        manifest["metadata"]["labels"][names.ENGINE_LABEL] = (engines or {}).get(manifest["metadata"]["name"], "")
    pods = read_pods(manifests)
    async with aiohttp.ClientSession() as session:
        return await PrometheusReader(session).read(prometheus.url, "demo", "tiny", pods, at(9))


async def test_a_sample_has_the_time_of_its_scrape(prometheus: Prometheus):
    prometheus.has("tiny-1", scraped_at=3)
    assert await read(prometheus, "tiny-1") == ScrapeResult(
        taken_at=at(9),
        samples={
            "tiny-1": ReplicaSample(
                taken_at=at(3), queue_depth=3, running=8, slots=8, kv_cache_usage_ratio=0.5, rejected_total=2.0
            )
        },
    )


async def test_series_of_deleted_pods_do_not_count(prometheus: Prometheus):
    prometheus.has("tiny-1")
    prometheus.has("tiny-0-deleted", queue_depth=1000)
    assert list((await read(prometheus, "tiny-1")).samples) == ["tiny-1"]


async def test_a_pod_scraped_by_two_jobs_counts_once(prometheus: Prometheus):
    prometheus.has("tiny-1", job="pods")
    prometheus.has("tiny-1", job="annotations")
    assert (await read(prometheus, "tiny-1")).samples["tiny-1"].queue_depth == 3


async def test_a_ready_pod_without_series_is_unknown(prometheus: Prometheus):
    prometheus.has("tiny-1")
    assert (await read(prometheus, "tiny-1", "tiny-2")).failures == {"tiny-2": "Prometheus has no series of this pod"}


async def test_pods_of_another_engine_are_read_in_their_own_dialect(
    prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(registry.DIALECTS, EngineName.SIMULATED, OTHER_DIALECT)
    prometheus.has("tiny-1")
    prometheus.series.append(("other:waiting", {"pod": "tiny-2"}, 7, at(4).timestamp()))
    reading = await read(prometheus, "tiny-1", "tiny-2", engines={"tiny-2": "Simulated"})
    assert {name: sample.queue_depth for name, sample in reading.samples.items()} == {"tiny-1": 3, "tiny-2": 7}
    assert prometheus.queries[2:] == [
        '{__name__=~"other:waiting",namespace="demo"}',
        'time() - timestamp(other:waiting{namespace="demo"})',
    ]


async def test_queries_this_chatmodel_only(prometheus: Prometheus):
    await read(prometheus, "tiny-1", "tiny-2", engines={"tiny-2": "Simulated"})
    assert all('namespace="demo",chatmodel="tiny"' in query for query in prometheus.queries)
    assert len(prometheus.queries) == 2


async def test_queries_nothing_while_no_pod_is_ready(prometheus: Prometheus):
    assert await read(prometheus) == ScrapeResult(at(9))
    assert prometheus.queries == []


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        pytest.param(503, b"", "Prometheus: HTTP 503", id="503"),
        pytest.param(200, b"<html>", "not that of a Prometheus server (JSONDecodeError)", id="a page"),
        pytest.param(200, b'{"status": "success"}', "not that of a Prometheus server (KeyError)", id="another API"),
        pytest.param(
            200,
            b'{"status": "success", "data": {"resultType": "matrix", "result": []}}',
            "the query did not give an instant vector",
            id="not a vector",
        ),
        pytest.param(
            200,
            b'{"status": "success", "data": {"resultType": "vector", "result": [{"metric": [], "value": [0, "1"]}]}}',
            "the answer is not that of a Prometheus server (AttributeError)",
            id="labels that are none",
        ),
        pytest.param(200, b"[" * 100_000, "(RecursionError)", id="nested without end"),
    ],
)
async def test_an_outage_is_unknown_for_every_pod(status: int, body: bytes, why: str, prometheus: Prometheus):
    prometheus.answer = (status, body)
    reading = await read(prometheus, "tiny-1", "tiny-2")
    assert reading.samples == {}
    assert sorted(reading.failures) == ["tiny-1", "tiny-2"]
    assert why in reading.failures["tiny-1"]


async def test_labels_that_are_not_text_are_ignored():
    body = b'{"status": "success", "data": {"resultType": "vector", "result": [{"metric": {"pod": [], "a": "b"}, "value": [0, "1"]}]}}'  # noqa: E501
    assert parse_vector(body) == [({"a": "b"}, 1.0)]


async def test_a_refused_connection_is_an_outage(prometheus: Prometheus):
    prometheus.url = "http://127.0.0.1:1"
    assert (await read(prometheus, "tiny-1")).failures["tiny-1"].startswith("Prometheus: cannot connect to 127.0.0.1:1")


@pytest.mark.parametrize("hour", [pytest.param(-3600, id="set back"), pytest.param(3600, id="set forward")])
async def test_the_age_of_a_sample_does_not_depend_on_the_wall_clocks(hour: int, prometheus: Prometheus):
    prometheus.has("tiny-1", scraped_at=3)
    prometheus.series = [(name, labels, value, time + hour) for name, labels, value, time in prometheus.series]
    prometheus.clock += hour
    assert (await read(prometheus, "tiny-1")).samples["tiny-1"].taken_at == at(3)


async def test_a_scrape_that_prometheus_finished_after_the_query_is_new(prometheus: Prometheus):
    prometheus.has("tiny-1", scraped_at=10)
    assert (await read(prometheus, "tiny-1")).samples["tiny-1"].taken_at == at(9)


class NoSuchHost(AbstractResolver):
    """A resolver that knows no name."""

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        raise OSError(socket.EAI_NONAME, "Name or service not known")

    @override
    async def close(self) -> None: ...


async def test_an_unknown_host_is_a_failure_of_the_source_at_once():
    pods = read_pods([a_pod("tiny-1").ready(at(9)).manifest()])
    connector = aiohttp.TCPConnector(resolver=NoSuchHost())
    async with aiohttp.ClientSession(connector=connector) as session:
        reading = await PrometheusReader(session).read("http://prometheus.shop:9090", "demo", "tiny", pods, at(9))
    why = "Prometheus: cannot connect to prometheus.shop:9090: Name or service not known"
    assert reading == ScrapeResult(at(9), failures={"tiny-1": why}, source_failure=why)


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        pytest.param(503, b"", "Prometheus: HTTP 503", id="an error"),
        pytest.param(200, b"<html>", "Prometheus: the answer is not that of a Prometheus server", id="another server"),
    ],
)
async def test_an_unusable_answer_is_a_failure_of_the_source(
    status: int, body: bytes, why: str, prometheus: Prometheus
):
    prometheus.answer = (status, body)
    assert (await read(prometheus, "tiny-1")).source_failure.startswith(why)


async def test_a_missing_series_is_no_failure_of_the_source(prometheus: Prometheus):
    assert (await read(prometheus, "tiny-1")).source_failure == ""


async def test_all_queries_for_one_chatmodel_have_one_deadline(prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prometheus_module, "READING_TIMEOUT_S", 0.05)
    monkeypatch.setitem(registry.DIALECTS, EngineName.SIMULATED, OTHER_DIALECT)
    prometheus.is_silent = True
    reading = await read(prometheus, "tiny-1", "tiny-2", engines={"tiny-2": "Simulated"})
    assert set(reading.failures.values()) == {"Prometheus gave no answer within 0.05 s"}
    assert len(prometheus.queries) == 1
