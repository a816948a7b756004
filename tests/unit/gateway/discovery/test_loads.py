"""A replica's load is what it reports, or unknown; never zero by accident."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from chatscale_contract.server.load import ReplicaLoad
from chatscale_gateway.discovery import loads
from chatscale_gateway.discovery.loads import LoadReader, LoadTarget
from chatscale_gateway.discovery.pod_http import pod_session, url_of
from chatscale_gateway.routing.catalog import Replica
from tests.support.gateway_pods import serving

LOAD = ReplicaLoad(running=3, waiting=1, slots=8, prefill_tokens_per_second=900.0)


def a_target(port: int, uid: str = "u1", slots: int = 16) -> LoadTarget:
    return LoadTarget(Replica(uid, f"pod-{uid}", "127.0.0.1", port, ready=True, leaving=False), slots)


async def read_from(handle: Any, **target: Any) -> ReplicaLoad | None:
    async with serving(handle) as server, pod_session() as session:
        assert server.port is not None
        return (await LoadReader(session).read([a_target(server.port, **target)]))["u1"]


async def test_reads_the_load():
    async def handle(request: web.Request) -> web.Response:
        assert request.path == "/load"
        return web.json_response(LOAD.to_json())

    assert await read_from(handle) == LOAD


async def test_a_server_without_load_has_the_slots_of_its_chatmodel():
    async def handle(_request: web.Request) -> web.Response:
        raise web.HTTPNotFound

    assert await read_from(handle, slots=16) == ReplicaLoad(running=0, waiting=0, slots=16)


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        pytest.param(500, b"{}", {}, id="error"),
        pytest.param(302, b"", {"Location": "http://169.254.169.254/"}, id="redirect"),
        pytest.param(200, b"<html>", {}, id="not JSON"),
        pytest.param(200, b'{"running": -1, "waiting": 0, "slots": 1}', {}, id="negative"),
        pytest.param(200, b"[" * 10_000, {}, id="deep"),
        pytest.param(200, b" " * 1_000_000, {}, id="giant"),
    ],
)
async def test_any_other_answer_is_unknown(status: int, body: bytes, headers: dict[str, str]):
    async def handle(_request: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers=headers)

    assert await read_from(handle) is None


async def test_a_replica_that_never_answers_delays_no_other(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loads, "READ_TIMEOUT_S", 0.2)
    released = asyncio.Event()

    async def silent(_request: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    async def handle(_request: web.Request) -> web.Response:
        return web.json_response(LOAD.to_json())

    async with serving(silent) as mute, serving(handle) as server, pod_session() as session:
        assert mute.port is not None
        assert server.port is not None
        found = await LoadReader(session).read(
            [a_target(mute.port, "mute"), a_target(server.port, "good"), a_target(1, "refuses")]
        )
        released.set()

    assert found == {"mute": None, "good": LOAD, "refuses": None}


async def test_no_more_than_the_limit_are_read_at_once():
    now, most = 0, 0

    async def handle(_request: web.Request) -> web.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        return web.json_response(LOAD.to_json())

    async with serving(handle) as server, pod_session() as session:
        assert server.port is not None
        port = server.port
        found = await LoadReader(session).read(a_target(port, str(number)) for number in range(200))

    assert len(found) == 200
    assert None not in found.values()
    assert most <= loads.AT_ONCE


def test_ipv6_addresses_are_bracketed():
    assert url_of("fd00::1", 8000, "/load") == "http://[fd00::1]:8000/load"
