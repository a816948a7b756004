"""Discovery reports complete pictures only, and keeps the last valid state of a ChatModel."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from chatscale_contract.gateway.demand import GatewayDemand
from chatscale_contract.server.load import ReplicaLoad
from chatscale_gateway.discovery.api_server import Event, EventType, MissingError, Page, Resource
from chatscale_gateway.discovery.discover import Discovery, Scope
from chatscale_gateway.discovery.pod_http import pod_session
from chatscale_gateway.routing.catalog import Catalog, ModelKey
from tests.support.builders import a_chatmodel
from tests.support.gateway_pods import Manifest, a_replica_pod, a_shopassistant, an_assistant_pod, until

TINY = ModelKey("demo", "tiny")
CHATMODELS, PODS = "/apis/chatscale.dev/v1alpha1/chatmodels", "/api/v1/pods"
SHOPASSISTANTS = "/apis/chatscale.dev/v1alpha1/shopassistants"
WHOLE_CLUSTER = Scope((), "", "gateway-1", "")


class Cluster:
    """Lists `objects` by path; a path that is not there yet waits. Events come from `send`.

    There is no ShopAssistant unless `objects` has some; None: their CRD is not installed.
    """

    def __init__(self, objects: Mapping[str, list[Manifest] | None]) -> None:
        self.objects = {SHOPASSISTANTS: [], **objects}
        self.asked: set[tuple[str, str]] = set()
        self.appeared = asyncio.Event()
        self._events: dict[str, asyncio.Queue[Event]] = {}

    async def list_pages(self, resource: Resource) -> AsyncGenerator[Page, None]:
        self.asked.add((resource.path, resource.selector))
        while resource.path not in self.objects:
            await self.appeared.wait()
            self.appeared.clear()
        items = self.objects[resource.path]
        if items is None:
            raise MissingError(f"list {resource.path}: HTTP 404")
        yield Page(tuple(items), "1", "")

    async def watch(self, resource: Resource, _version: str) -> AsyncGenerator[Event, None]:
        while True:
            yield await self._queue(resource.path).get()

    def send(self, path: str, manifest: Manifest, kind: EventType = EventType.MODIFIED) -> None:
        self._queue(path).put_nowait(Event(kind, manifest))

    def _queue(self, path: str) -> asyncio.Queue[Event]:
        return self._events.setdefault(path, asyncio.Queue())


class Recorder:
    """Stands for the dispatcher."""

    def __init__(self) -> None:
        self.catalogs: list[Catalog] = []
        self.loads: list[Mapping[str, ReplicaLoad | None]] = []
        self.peers: list[Mapping[str, GatewayDemand]] = []

    def catalog_changed(self, catalog: Catalog) -> None:
        self.catalogs.append(catalog)

    def loads_read(self, loads: Mapping[str, ReplicaLoad | None], now_s: float) -> None:
        assert now_s > 0
        self.loads.append(loads)

    def peers_read(self, peers: Mapping[str, GatewayDemand]) -> None:
        self.peers.append(peers)


def chatmodel(**spec: Any) -> Manifest:
    manifest = a_chatmodel().with_spec(**spec).manifest()
    manifest["metadata"]["creationTimestamp"] = "2026-11-27T08:00:00Z"
    return manifest


@asynccontextmanager
async def discovering(cluster: Cluster, scope: Scope = WHOLE_CLUSTER) -> AsyncIterator[tuple[Discovery, Recorder]]:
    seen = Recorder()
    async with pod_session() as session:
        discovery = Discovery(cluster, session, seen, scope, admin_port=1)
        task = asyncio.create_task(discovery.run())
        try:
            yield discovery, seen
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_reports_nothing_before_every_list_was_read():
    cluster = Cluster({CHATMODELS: [chatmodel()]})
    async with discovering(cluster) as (discovery, seen):
        await until(lambda: len(cluster.asked) == 3)
        assert not discovery.ready
        assert seen.catalogs == []

        cluster.objects[PODS] = [a_replica_pod(status={"podIP": "127.0.0.1"})]
        cluster.appeared.set()
        await discovery.wait_until_ready()

        assert [each.name for each in seen.catalogs[0].replicas[TINY]] == ["tiny-v1-a"]
        assert len(seen.catalogs) == 1


async def test_reads_the_loads_of_ready_replicas():
    ready = a_replica_pod(status={"podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]})
    starting = a_replica_pod("tiny-v1-b", status={"podIP": "127.0.0.1"})
    async with discovering(Cluster({CHATMODELS: [chatmodel()], PODS: [ready, starting]})) as (_, seen):
        await until(lambda: bool(seen.loads))

    assert seen.loads[0].keys() == {"uid-tiny-v1-a"}


async def test_a_chatmodel_that_becomes_invalid_keeps_its_last_valid_state(caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    cluster = Cluster({CHATMODELS: [chatmodel(replicas=2)], PODS: []})
    async with discovering(cluster) as (discovery, seen):
        await discovery.wait_until_ready()
        for _ in range(3):
            cluster.send(CHATMODELS, chatmodel(replicas="many"))
        cluster.send(PODS, a_replica_pod(), EventType.ADDED)
        await until(lambda: len(seen.catalogs) == 2)
        await until(lambda: "invalid ChatModel" in caplog.text)
        assert seen.catalogs[-1].models[TINY].replicas == 2

        cluster.send(CHATMODELS, chatmodel(replicas=3))
        await until(lambda: seen.catalogs[-1].models[TINY].replicas == 3)

    messages = [record.message for record in caplog.records]
    assert messages.count("invalid ChatModel") == 1
    assert messages.count("valid ChatModel") == 1


async def test_a_deleted_chatmodel_is_unknown():
    cluster = Cluster({CHATMODELS: [chatmodel()], PODS: []})
    async with discovering(cluster) as (discovery, seen):
        await discovery.wait_until_ready()
        cluster.send(CHATMODELS, chatmodel(), EventType.DELETED)
        await until(lambda: not seen.catalogs[-1].models)


async def test_reads_only_the_named_namespaces_and_its_own():
    cluster = Cluster({})
    async with discovering(cluster, Scope(("shop", "support"), "system", "gateway-1", "prod")):
        await until(lambda: len(cluster.asked) == 7)

    server = "app.kubernetes.io/name in (chatscale-server,chatscale-assistant)"
    assert cluster.asked == {
        ("/apis/chatscale.dev/v1alpha1/namespaces/shop/chatmodels", ""),
        ("/apis/chatscale.dev/v1alpha1/namespaces/support/chatmodels", ""),
        ("/apis/chatscale.dev/v1alpha1/namespaces/shop/shopassistants", ""),
        ("/apis/chatscale.dev/v1alpha1/namespaces/support/shopassistants", ""),
        ("/api/v1/namespaces/shop/pods", server),
        ("/api/v1/namespaces/support/pods", server),
        (
            "/api/v1/namespaces/system/pods",
            "app.kubernetes.io/instance=prod,app.kubernetes.io/name=chatscale-gateway",
        ),
    }


async def test_a_shopassistant_is_a_model_whose_pods_are_replicas():
    assistant, pod = a_shopassistant(), an_assistant_pod()
    async with discovering(Cluster({CHATMODELS: [], SHOPASSISTANTS: [assistant], PODS: [pod]})) as (discovery, seen):
        await discovery.wait_until_ready()

    (found,) = seen.catalogs[-1].models.values()
    assert str(found.key) == "demo/shop"
    assert [replica.name for replica in seen.catalogs[-1].replicas[found.key]] == ["shop-assistant-v1-a"]


async def test_a_gateway_serves_chatmodels_where_the_crd_of_shopassistants_is_missing():
    cluster = Cluster({CHATMODELS: [chatmodel()], SHOPASSISTANTS: None, PODS: []})
    async with discovering(cluster) as (discovery, seen):
        await discovery.wait_until_ready()

    assert list(seen.catalogs[-1].models) == [TINY]


async def test_a_gateway_is_no_peer_of_itself():
    peers = "/api/v1/namespaces/system/pods"
    cluster = Cluster({CHATMODELS: [], PODS: [], peers: [a_replica_pod("gateway-1")]})
    async with discovering(cluster, Scope((), "system", "gateway-1", "")) as (_, seen):
        await until(lambda: bool(seen.peers))

    assert seen.peers[0] == {}


async def test_promise_19_a_gateway_is_not_ready_before_it_has_read_what_its_peers_admitted():
    peers = "/api/v1/namespaces/system/pods"
    cluster = Cluster({CHATMODELS: [], PODS: [], peers: [a_replica_pod("gateway-2")]})
    async with discovering(cluster, Scope((), "system", "gateway-1", "")) as (discovery, seen):
        await discovery.wait_until_ready()
        assert seen.peers


async def test_an_unreadable_peer_keeps_no_gateway_from_becoming_ready():
    peers = "/api/v1/namespaces/system/pods"
    pod = a_replica_pod("gateway-2", status={"phase": "Running", "podIP": "127.0.0.1", "conditions": []})
    cluster = Cluster({CHATMODELS: [], PODS: [], peers: [pod]})
    async with discovering(cluster, Scope((), "system", "gateway-1", "")) as (discovery, seen):
        await discovery.wait_until_ready()
        assert seen.peers == [{}]
