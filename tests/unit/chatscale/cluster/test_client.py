"""The client against an HTTP server: its requests, and the error class of each failure."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.configuration import Configuration
from prometheus_client import REGISTRY

from chatscale.cluster import client
from chatscale.cluster.client import KubernetesCluster, connect
from chatscale.cluster.interface import CHATMODEL, DEPLOYMENT, POD, Listing
from chatscale.errors import (
    ClusterUnavailableError,
    ConflictError,
    ForbiddenError,
    InvalidSpecError,
    NotFoundError,
    RejectedRequestError,
)
from tests.support.builders import a_chatmodel

MANIFEST = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "tiny", "namespace": "demo", "uid": "u1"},
    "spec": {"replicas": 2},
}


class ApiServer:
    """Answers every request with `status` and `body`, and records the requests."""

    def __init__(self) -> None:
        self.status = 200
        self.body: Any = {}
        self.silent = False
        self.accepted: list[str] = []
        self.asked: list[tuple[str, str, dict[str, str], str | None, Any]] = []

    async def handle(self, request: web.Request) -> web.Response:
        text = await request.text()
        self.asked.append(
            (
                request.method,
                request.path,
                dict(request.query),
                request.headers.get("Content-Type") if text else None,
                json.loads(text) if text else None,
            )
        )
        self.accepted.append(request.headers["Accept"])
        if self.silent:
            await asyncio.Event().wait()
        body = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return web.Response(status=self.status, text=body)


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = ApiServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    async with TestServer(app) as running:
        server.url = str(running.make_url("")).rstrip("/")
        yield server


@pytest.fixture
async def cluster(server: ApiServer) -> AsyncIterator[KubernetesCluster]:
    configuration = Configuration()
    configuration.host = server.url
    async with connect(configuration) as cluster:
        yield cluster


async def test_lists_by_label_and_gives_each_item_its_kind(server: ApiServer, cluster: KubernetesCluster):
    server.body = {"items": [{"metadata": {"name": "a"}}]}
    found = await cluster.list(POD, "demo", "chatscale.dev/chatmodel=tiny")
    assert found == [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}]
    assert server.asked[0][:3] == (
        "GET",
        "/api/v1/namespaces/demo/pods",
        {"labelSelector": "chatscale.dev/chatmodel=tiny"},
    )


async def test_lists_identities_as_metadata_only(server: ApiServer, cluster: KubernetesCluster):
    server.body = {"metadata": {"resourceVersion": "77"}, "items": [{"metadata": {"uid": "u1"}}]}
    assert await cluster.list_identities(POD, None) == Listing("77", frozenset({"u1"}))
    assert server.asked[0][:3] == ("GET", "/api/v1/pods", {})
    assert server.accepted == ["application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"]


async def test_lists_all_namespaces_of_a_group(server: ApiServer, cluster: KubernetesCluster):
    server.body = {"items": []}
    assert await cluster.list(DEPLOYMENT, None) == []
    assert server.asked[0][1] == "/apis/apps/v1/deployments"


async def test_counts_its_requests_by_verb_and_kind(server: ApiServer, cluster: KubernetesCluster):
    def count(verb: str) -> float:
        return REGISTRY.get_sample_value("chatscale_api_requests_total", {"verb": verb, "kind": "Deployment"}) or 0.0

    before = {verb: count(verb) for verb in ("get", "list", "patch")}
    await cluster.get(DEPLOYMENT, "demo", "tiny")
    await cluster.list(DEPLOYMENT, "demo")
    await cluster.apply(MANIFEST, "chatscale")
    server.status = 503
    with pytest.raises(ClusterUnavailableError):
        await cluster.apply(MANIFEST, "chatscale")
    assert {verb: count(verb) - before[verb] for verb in before} == {"get": 1, "list": 1, "patch": 2}


async def test_applies_on_the_server_as_a_named_manager(server: ApiServer, cluster: KubernetesCluster):
    await cluster.apply(MANIFEST, "chatscale-scaler")
    assert server.asked == [
        (
            "PATCH",
            "/apis/apps/v1/namespaces/demo/deployments/tiny",
            {"fieldManager": "chatscale-scaler", "force": "true"},
            "application/apply-patch+yaml",
            MANIFEST,
        )
    ]


async def test_scales_only_what_it_has_read(server: ApiServer, cluster: KubernetesCluster):
    await cluster.write_scale(a_chatmodel().manifest(), 3, "chatscale-scaler")
    method, path, query, content_type, body = server.asked[0]
    assert (method, path) == ("PATCH", "/apis/chatscale.dev/v1alpha1/namespaces/demo/chatmodels/tiny/scale")
    assert (query, content_type) == ({"fieldManager": "chatscale-scaler"}, "application/merge-patch+json")
    assert body == {"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 3}}


async def test_writes_status_to_its_subresource(server: ApiServer, cluster: KubernetesCluster):
    await cluster.patch_status(CHATMODEL, "demo", "tiny", {"replicas": 1, "phase": None})
    assert server.asked[0][1].endswith("/chatmodels/tiny/status")
    assert server.asked[0][4] == {"status": {"replicas": 1, "phase": None}}


async def test_merges_into_the_annotations_of_an_object(server: ApiServer, cluster: KubernetesCluster):
    await cluster.annotate(POD, "demo", "tiny-1", {"a": "1", "b": None})
    method, path, query, content_type, body = server.asked[0]
    assert (method, path) == ("PATCH", "/api/v1/namespaces/demo/pods/tiny-1")
    assert (query, content_type) == ({"fieldManager": "chatscale"}, "application/merge-patch+json")
    assert body == {"metadata": {"annotations": {"a": "1", "b": None}}}


async def test_deletes_exactly_this_object_and_treats_absence_as_success(server: ApiServer, cluster: KubernetesCluster):
    server.status = 404
    await cluster.delete(MANIFEST)
    assert server.asked[0][4] == {"propagationPolicy": "Background", "preconditions": {"uid": "u1"}}


async def test_creates_and_replaces_a_lease_by_its_resource_version(server: ApiServer, cluster: KubernetesCluster):
    lease = {"kind": "Lease", "metadata": {"name": "op", "namespace": "demo", "resourceVersion": "7"}, "spec": {}}
    server.body = lease
    assert await cluster.create(lease) == lease
    assert await cluster.replace(lease) == lease
    path = "/apis/coordination.k8s.io/v1/namespaces/demo/leases"
    assert server.asked == [
        ("POST", path, {}, "application/json", lease),
        ("PUT", f"{path}/op", {}, "application/json", lease),
    ]


CALLS: dict[str, Callable[[KubernetesCluster], Awaitable[object]]] = {
    "get": lambda cluster: cluster.get(DEPLOYMENT, "demo", "tiny"),
    "list": lambda cluster: cluster.list(DEPLOYMENT, "demo"),
    "delete": lambda cluster: cluster.delete(MANIFEST),
    "patch_status": lambda cluster: cluster.patch_status(CHATMODEL, "demo", "tiny", {"replicas": -1}),
    "annotate": lambda cluster: cluster.annotate(POD, "demo", "tiny-1", {"a": None}),
    "write_scale": lambda cluster: cluster.write_scale(a_chatmodel().manifest(), 3, "chatscale-scaler"),
    "create": lambda cluster: cluster.create({**MANIFEST, "kind": "Event"}),
    "replace": lambda cluster: cluster.replace({**MANIFEST, "kind": "Lease"}),
    "apply": lambda cluster: cluster.apply(MANIFEST, "chatscale"),
}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, ClusterUnavailableError),
        (403, ForbiddenError),
        (409, ConflictError),
        (429, ClusterUnavailableError),
        (500, ClusterUnavailableError),
        (503, ClusterUnavailableError),
    ],
)
@pytest.mark.parametrize("call", CALLS)
async def test_each_http_error_becomes_the_class_of_its_reaction(
    call: str, status: int, error: type[Exception], server: ApiServer, cluster: KubernetesCluster
):
    server.status, server.body = status, {"kind": "Status", "message": "because"}
    with pytest.raises(error, match="because"):
        await CALLS[call](cluster)


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("call", CALLS)
async def test_only_a_rejected_child_is_an_error_of_the_spec(
    call: str, status: int, server: ApiServer, cluster: KubernetesCluster
):
    server.status, server.body = status, {"kind": "Status", "message": "because"}
    with pytest.raises(InvalidSpecError if call == "apply" else RejectedRequestError, match="because"):
        await CALLS[call](cluster)


async def test_a_missing_object_is_not_found(server: ApiServer, cluster: KubernetesCluster):
    server.status, server.body = 404, {"kind": "Status", "message": "because"}
    with pytest.raises(NotFoundError, match="because"):
        await cluster.get(DEPLOYMENT, "demo", "tiny")


@pytest.mark.parametrize(("call", "error"), [("apply", InvalidSpecError), ("patch_status", ClusterUnavailableError)])
async def test_an_apply_of_wrong_types_is_an_error_of_the_spec_although_its_status_is_500(
    call: str, error: type[Exception], server: ApiServer, cluster: KubernetesCluster
):
    why = "failed to create typed patch object (demo/tiny; apps/v1, Kind=Deployment): .spec.x: field not declared"
    server.status, server.body = 500, {"kind": "Status", "message": why}
    with pytest.raises(error, match="failed to create typed patch object"):
        await CALLS[call](cluster)


async def test_a_terminating_namespace_counts_as_not_found(server: ApiServer, cluster: KubernetesCluster):
    server.status, server.body = 403, {"details": {"causes": [{"reason": "NamespaceTerminating"}]}}
    with pytest.raises(NotFoundError):
        await cluster.apply(MANIFEST, "chatscale")


async def test_an_html_page_of_a_proxy_means_unavailable(server: ApiServer, cluster: KubernetesCluster):
    server.status, server.body = 502, "<html>Bad Gateway</html>"
    with pytest.raises(ClusterUnavailableError, match="HTTP 502: no reason given"):
        await cluster.get(DEPLOYMENT, "demo", "tiny")


async def test_a_missing_response_ends_at_the_deadline(
    server: ApiServer, cluster: KubernetesCluster, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(client, "CALL_TIMEOUT_S", 0.05)
    server.silent = True
    with pytest.raises(ClusterUnavailableError, match=r"GET .*/deployments/tiny: no answer from the API server"):
        await cluster.get(DEPLOYMENT, "demo", "tiny")


async def test_a_server_that_is_down_means_unavailable():
    configuration = Configuration()
    configuration.host = "http://127.0.0.1:1"
    async with connect(configuration) as cluster:
        with pytest.raises(ClusterUnavailableError, match="no answer from the API server"):
            await cluster.get(DEPLOYMENT, "demo", "tiny")


@pytest.mark.parametrize(
    ("status", "body", "served"),
    [
        pytest.param(200, {"resources": [{"name": "chatmodels"}, {"name": "chatmodels/scale"}]}, True, id="served"),
        pytest.param(200, {"resources": []}, False, id="not yet"),
        pytest.param(404, {}, False, id="no such group"),
    ],
)
async def test_reads_which_crds_are_installed(
    status: int, body: Any, server: ApiServer, cluster: KubernetesCluster, *, served: bool
):
    server.status, server.body = status, body
    assert ("chatmodels" in await cluster.served_kinds()) is served
    assert "shopassistants" not in await cluster.served_kinds()
