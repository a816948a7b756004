"""Manifests of pods as the gateway finds them, and a server that plays the API server."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

Manifest = dict[str, Any]


def a_key_secret(
    name: str = "live", namespace: str = "demo", *, version: int = 1, raw: Manifest | None = None, **data: str
) -> Manifest:
    """A Secret with an API key. data: its fields as plain text; raw: further `data` as it is."""
    encoded = {field: base64.b64encode(value.encode()).decode() for field, value in data.items()}
    metadata = {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{namespace}-{name}",
        "resourceVersion": str(version),
        "labels": {"chatscale.dev/api-key": "true"},
    }
    return {"metadata": metadata, "data": {**encoded, **(raw or {})}}


def a_replica_pod(
    name: str = "tiny-v1-a", *, chatmodel: str = "tiny", namespace: str = "demo", **changes: Any
) -> Manifest:
    """A Ready pod of the ChatModel's Deployment. changes: top-level keys of metadata, or `status`."""
    status = changes.pop("status", {"phase": "Running", "podIP": "10.0.0.1", "conditions": [ready()]})
    metadata = {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{name}",
        "resourceVersion": "1",
        "labels": {
            "app.kubernetes.io/name": "chatscale-server",
            "chatscale.dev/chatmodel": chatmodel,
            "pod-template-hash": "v1",
        },
        "ownerReferences": [owner(f"{chatmodel}-v1")],
        **changes,
    }
    return {"metadata": metadata, "status": status}


def a_shopassistant(name: str = "shop", namespace: str = "demo", **spec: Any) -> Manifest:
    """As the API server lists it."""
    metadata = {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{namespace}-{name}",
        "resourceVersion": "1",
        "creationTimestamp": "2026-11-27T08:00:00Z",
    }
    return {"metadata": metadata, "spec": {"model": {"chatModel": "tiny"}, **spec}}


def an_assistant_pod(name: str = "shop-assistant-v1-a", *, assistant: str = "shop") -> Manifest:
    """A Ready pod of the ShopAssistant's Deployment."""
    labels = {
        "app.kubernetes.io/name": "chatscale-assistant",
        "chatscale.dev/shopassistant": assistant,
        "pod-template-hash": "v1",
    }
    return a_replica_pod(name, labels=labels, ownerReferences=[owner(f"{assistant}-assistant-v1")])


def owner(name: str, *, kind: str = "ReplicaSet", controller: bool = True) -> Manifest:
    return {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": f"uid-{name}", "controller": controller}


def ready(status: str = "True") -> Manifest:
    return {"type": "Ready", "status": status}


class FakeApiServer:
    """Lists `items` and serves one scripted watch after another; the last script waits until the watch's timeout."""

    def __init__(self) -> None:
        self.items: list[Manifest] = []
        self.version = 1
        self.page_items = 500
        self.list_status = 200
        self.lists = 0
        self.watches: list[dict[str, str]] = []
        """The query of each watch."""
        self.scripts: asyncio.Queue[list[Manifest | str]] = asyncio.Queue()
        """Each entry is an event, or `end` (as planned), `break`, `gone` or a raw text."""
        self.authorization: str | None = None
        self.created: dict[str, Manifest] = {}
        """By name, as POST requests create them."""
        self.create_status = 201

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.authorization = request.headers.get("Authorization")
        if request.method == "POST":
            return await self._create(request)
        return await (self._watch(request) if "watch" in request.query else self._list(request))

    async def _create(self, request: web.Request) -> web.Response:
        manifest = await request.json()
        name = manifest["metadata"]["name"]
        if name in self.created:
            return web.json_response({"kind": "Status", "message": "exists"}, status=409)
        if self.create_status == 201:
            self.created[name] = manifest
        return web.json_response(manifest, status=self.create_status)

    async def _list(self, request: web.Request) -> web.Response:
        self.lists += 1
        if self.list_status != 200:
            return web.json_response({"kind": "Status", "message": "away"}, status=self.list_status)
        start = int(request.query.get("continue", 0))
        page = self.items[start : start + self.page_items]
        rest = str(start + self.page_items) if start + self.page_items < len(self.items) else ""
        return web.json_response({"metadata": {"resourceVersion": str(self.version), "continue": rest}, "items": page})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        self.watches.append(dict(request.query))
        script = await self.scripts.get()
        if script == ["gone"]:
            return web.json_response({"kind": "Status", "code": 410, "message": "too old"}, status=410)
        response = web.StreamResponse()
        await response.prepare(request)
        for step in script:
            if step == "break":
                assert request.transport is not None
                request.transport.abort()
                break
            if step == "end":
                break
            text = step if isinstance(step, str) else json.dumps(step) + "\n"
            await response.write(text.encode())
        return response


@asynccontextmanager
async def serving(handle: Callable[[web.Request], Any]) -> AsyncIterator[TestServer]:
    """A real HTTP server on localhost for all paths."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(app) as server:
        yield server


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    """Let other tasks run until `condition` holds. AssertionError after `within_s`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not condition():
        assert loop.time() < deadline, "the condition never held"
        await asyncio.sleep(0.002)
