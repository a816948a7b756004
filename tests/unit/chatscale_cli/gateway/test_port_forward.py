"""A request reaches the gateway through the API server's port-forward, with the kubeconfig's credentials."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from kubernetes.client import Configuration

from chatscale_cli.errors import ClusterError, CommandError, GatewayError
from chatscale_cli.gateway.client import GatewayClient
from chatscale_cli.gateway.cluster import ApiServer
from chatscale_cli.gateway.connection import _open_forward
from chatscale_cli.gateway.port_forward import PortForward
from chatscale_contract.gateway.endpoints import API_PORT
from tests.support.gateway_pods import serving, until

PROTOCOL = "v4.channel.k8s.io"
LABELS = {"app.kubernetes.io/name": "chatscale-gateway"}


def a_metrics_service() -> dict[str, Any]:
    """The chart's other Service with the label of the gateway."""
    ports = [{"name": "metrics", "port": 9100, "targetPort": "admin"}]
    metadata = {"namespace": "chatscale-system", "name": "gw-metrics"}
    return {"metadata": metadata, "spec": {"clusterIP": "None", "selector": LABELS, "ports": ports}}


def a_service(namespace: str = "chatscale-system", scheme: str = "http") -> dict[str, Any]:
    ports = [{"name": scheme, "port": 80, "targetPort": "api"}]
    return {"metadata": {"namespace": namespace, "name": "gw"}, "spec": {"selector": LABELS, "ports": ports}}


def a_pod(name: str, *, ready: bool = True, deleted: bool = False) -> dict[str, Any]:
    metadata = {"name": name, **({"deletionTimestamp": "2026-11-27T08:00:00Z"} if deleted else {})}
    return {"metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": str(ready)}]}}


@dataclass
class FakeCluster:
    """The API server and the kubelet of a pod: connections go to `port` on this machine."""

    port: int
    services: list[dict[str, Any]] = field(default_factory=lambda: [a_service(), a_metrics_service()])
    pods: list[dict[str, Any]] = field(default_factory=lambda: [a_pod("gw-1")])
    gone: set[str] = field(default_factory=set)
    """Pods whose port-forward gets 404."""
    kubelet_error: str = ""
    list_status: int = 200
    forwards: list[tuple[str, str]] = field(default_factory=list)
    """Path and port of each."""
    tokens: set[str] = field(default_factory=set)
    open: int = 0

    async def handle(self, http: web.Request) -> web.StreamResponse:
        self.tokens.add(http.headers.get("Authorization", ""))
        if http.path.endswith("/portforward"):
            return await self._forward(http)
        if self.list_status != 200:
            return web.json_response({"kind": "Status", "message": "services is forbidden"}, status=self.list_status)
        if http.path.endswith("/services"):
            namespaces = http.path.split("/")[4:5]
            found = [each for each in self.services if namespaces in ([], [each["metadata"]["namespace"]])]
            return web.json_response({"items": found})
        assert http.query["labelSelector"] == "app.kubernetes.io/name=chatscale-gateway"
        return web.json_response({"items": self.pods})

    async def _forward(self, http: web.Request) -> web.StreamResponse:
        self.forwards.append((http.path, http.query["ports"]))
        if http.path.split("/")[-2] in self.gone:
            return web.json_response({"message": "pods not found"}, status=404)
        websocket = web.WebSocketResponse(protocols=(PROTOCOL,))
        await websocket.prepare(http)
        assert websocket.ws_protocol == PROTOCOL
        number = API_PORT.to_bytes(2, "little")
        await websocket.send_bytes(b"\0" + number)
        await websocket.send_bytes(b"\1" + number)
        if self.kubelet_error:
            await websocket.send_bytes(b"\1" + self.kubelet_error.encode())
            await websocket.close()
            return websocket
        self.open += 1
        try:
            await self._pipe(websocket)
        finally:
            self.open -= 1
        return websocket

    async def _pipe(self, websocket: web.WebSocketResponse) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)

        async def back() -> None:
            while part := await reader.read(100):
                await websocket.send_bytes(b"\0" + part)
            await websocket.close()

        task = asyncio.ensure_future(back())
        try:
            async for message in websocket:
                assert message.data[:1] == b"\0"
                writer.write(message.data[1:])
                await writer.drain()
        finally:
            task.cancel()
            writer.close()


async def models(_http: web.Request) -> web.Response:
    await asyncio.sleep(0)
    return web.json_response({"data": [{"id": "tiny"}, {"id": "x" * 200_000}]})


@asynccontextmanager
async def a_client(cluster: FakeCluster, namespace: str | None = None) -> AsyncIterator[GatewayClient]:
    async with serving(cluster.handle) as server:
        configuration = Configuration(host=str(server.make_url("")).rstrip("/"))
        configuration.api_key["authorization"] = "Bearer of-the-kubeconfig"
        async with _open_forward(ApiServer(configuration), namespace, tls=True) as client:
            yield client


async def test_several_requests_at_a_time_each_over_its_own_connection():
    async with serving(models) as gateway:
        cluster = FakeCluster(gateway.port or 0)
        async with a_client(cluster) as client:
            found = await asyncio.gather(*(client.models() for _ in range(5)))
    assert found == [["tiny", "x" * 200_000]] * 5
    assert cluster.forwards == [("/api/v1/namespaces/chatscale-system/pods/gw-1/portforward", "8080")] * 5
    assert cluster.tokens == {"Bearer of-the-kubeconfig"}
    assert cluster.open == 0


async def test_a_pod_that_is_gone_is_replaced_by_a_ready_one():
    async with serving(models) as gateway:
        cluster = FakeCluster(gateway.port or 0)
        async with a_client(cluster) as client:
            await client.models()
            cluster.gone = {"gw-1"}
            cluster.pods = [a_pod("gw-0", ready=False), a_pod("gw-1", deleted=True), a_pod("gw-2")]
            assert len(await client.models()) == 2
            assert cluster.forwards[-1][0].endswith("/gw-2/portforward")
            cluster.gone = {"gw-2"}
            with pytest.raises(GatewayError, match=r"denied the port-forward to pod chatscale-system/gw-2: HTTP 404"):
                await client.models()
            cluster.pods = []
            with pytest.raises(GatewayError, match="has no ready pod, of 0 pods"):
                await client.models()


async def test_an_error_of_the_kubelet_is_in_the_message():
    cluster = FakeCluster(1, kubelet_error="connection refused in the pod")
    async with a_client(cluster) as client:
        with pytest.raises(GatewayError, match="connection refused in the pod"):
            await client.models()


async def test_finds_the_only_gateway_in_another_namespace():
    async with serving(models) as gateway:
        cluster = FakeCluster(gateway.port or 0, services=[a_service("llm")])
        async with a_client(cluster) as client:
            await client.models()
    assert cluster.forwards[0][0].startswith("/api/v1/namespaces/llm/")


@pytest.mark.parametrize(
    ("services", "namespace", "message"),
    [
        pytest.param([], None, "no Service with the label .* in any namespace", id="none"),
        pytest.param([a_service("llm")], "other", "in namespace other: give the namespace", id="not-here"),
        pytest.param([a_service("a"), a_service("b")], None, "several gateways, a/gw, b/gw", id="several"),
    ],
)
async def test_without_one_gateway_the_message_says_what_to_give(
    services: list[dict[str, Any]], namespace: str | None, message: str
):
    with pytest.raises(CommandError, match=message):
        async with a_client(FakeCluster(1, services=services), namespace):
            pass


async def test_a_denied_reading_is_a_cluster_error():
    with pytest.raises(ClusterError, match="services is forbidden"):
        async with a_client(FakeCluster(1, list_status=403)):
            pass


def never_answering(began: asyncio.Event) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler that sets `began`, and then waits."""

    async def never(_http: web.Request) -> web.Response:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError

    return never


async def test_a_stopped_request_leaves_no_connection_in_the_cluster():
    """While a person types, the event loop rests: the connection must be closed before."""
    began = asyncio.Event()
    async with serving(never_answering(began)) as gateway:
        cluster = FakeCluster(gateway.port or 0)
        async with a_client(cluster) as client:
            request = asyncio.ensure_future(client.models())
            await began.wait()
            assert cluster.open == 1
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)
            await client.settle()
            assert isinstance(client._forward, PortForward)
            assert not client._forward._open, "the WebSocket was closed, with the answer of the other side"
            await until(lambda: cluster.open == 0)


async def test_closes_open_connections_at_the_end():
    began = asyncio.Event()
    async with serving(never_answering(began)) as gateway:
        cluster = FakeCluster(gateway.port or 0)
        async with a_client(cluster) as client:
            request = asyncio.ensure_future(client.models())
            await began.wait()
        with pytest.raises((GatewayError, asyncio.CancelledError, aiohttp.ClientError)):
            await request
