"""What clients do below HTTP: malformed bytes, slow sending, slow reading; and the gateway's own end."""

import asyncio
import json
import signal
import socket
from contextlib import asynccontextmanager

import aiohttp
import pytest

from chatscale_contract.openai import sse
from chatscale_gateway.http.liveness import STUCK_AFTER_S, Heartbeat
from chatscale_gateway.http.options import HttpOptions
from chatscale_gateway.http.serve import serve
from tests.unit.gateway.http.fakes import (
    CHAT,
    Pod,
    a_gateway,
    answer,
    chat,
    chunk,
    eventually,
    serving,
    start_stream,
    stream_for_ever,
)


@asynccontextmanager
async def a_socket(world, *, receive_bytes: int | None = None):
    raw = socket.socket()
    if receive_bytes:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    raw.settimeout(0)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", world.gateway.ports.api))
    reader, writer = await asyncio.open_connection(sock=raw, limit=receive_bytes or 2**16)
    try:
        yield reader, writer
    finally:
        writer.close()


HEAD = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param("\0\1 rubbish\r\n\r\n", 400, id="rubbish"),
        pytest.param(HEAD + "X: " + "a" * 20_000 + "\r\n\r\n", 431, id="giant header"),
        pytest.param(HEAD + "".join(f"X{n}: {'a' * 400}\r\n" for n in range(60)) + "\r\n", 431, id="many headers"),
        pytest.param(HEAD + "Content-Length: -1\r\n\r\n", 400, id="length"),
        pytest.param(HEAD + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400, id="smuggling"),
        pytest.param(HEAD + "Content-Length: 4\r\n\r\n[1,2", 400, id="no JSON"),
        pytest.param(HEAD + "Content-Length: 2\r\n\r\n{}", 400, id="no model"),
        pytest.param(HEAD + "Content-Length: 200\r\n\r\n" + "[" * 200, 400, id="deep"),
        pytest.param(HEAD + "Content-Length: 99999999999\r\n\r\n", 413, id="giant body"),
        pytest.param(HEAD + "Expect: nonsense\r\nContent-Length: 0\r\n\r\n", 417, id="expect"),
    ],
)
async def test_answers_malformed_requests_in_openais_shape(sent, status):
    async with serving(Pod()) as pod, a_gateway(pod) as world:
        async with a_socket(world) as (reader, writer):
            writer.write(sent.encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            assert int(head.split()[1]) == status
            length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
            assert set(json.loads(await reader.readexactly(length))["error"]) == {"message", "type", "param", "code"}
        async with world.client.post(CHAT, json=chat()) as response:
            assert response.status == 200


async def test_closes_connections_whose_headers_do_not_arrive():
    async with a_gateway(request_timeout_s=0.1) as world, a_socket(world) as (reader, writer):
        writer.write(HEAD.encode())
        async with asyncio.timeout(5):
            assert await reader.read() == b""


async def test_bodies_count_until_their_requests_end_and_more_than_the_limit_are_refused():
    body = json.dumps(chat(padding="x" * 1000))
    async with serving(Pod()) as pod, a_gateway(max_bodies_bytes=2 * len(body) + 100) as world:
        held = [asyncio.ensure_future(world.client.post(CHAT, data=body)) for _ in range(2)]
        await eventually(lambda: world.demand().held == 2)
        async with world.client.post(CHAT, data=body) as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "1")
            assert (await response.json())["error"]["code"] == "gateway_body_bytes"
        world.show(pod)
        assert [(await each).status for each in held] == [200, 200]
        async with world.client.post(CHAT, data=body) as response:
            assert response.status == 200


async def test_refuses_bodies_that_do_not_arrive():
    async with a_gateway(request_timeout_s=0.1) as world, a_socket(world) as (reader, writer):
        writer.write((HEAD + "Content-Length: 10\r\n\r\n{").encode())
        assert b" 408 " in await reader.readline()


async def test_keeps_idle_connections_longer_than_load_balancers():
    assert HttpOptions().idle_timeout_s > 600


async def test_disconnects_a_client_that_does_not_read_and_holds_little_for_it():
    written = 0

    async def endless(http):
        nonlocal written
        response = await start_stream(http)
        while True:
            await response.write(chunk("x" * 16_000))
            written += 16_000

    async with serving(Pod(behaviour=endless)) as pod, a_gateway(pod, write_timeout_s=0.3) as world:
        async with a_socket(world, receive_bytes=4096) as (_reader, writer):
            body = json.dumps(chat(stream=True))
            writer.transport.pause_reading()
            writer.write(f"{HEAD}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            await eventually(lambda: pod.left == 1, within_s=20)
            assert written < 16 * 2**20
        await eventually(lambda: world.demand().in_flight == 0)


async def test_resets_the_connection_of_a_client_that_cannot_see_a_broken_body():
    async def break_off(http):
        response = await start_stream(http)
        await response.write(chunk())
        return response

    async with (
        serving(Pod(behaviour=break_off)) as pod,
        a_gateway(pod) as world,
        a_socket(world) as (reader, writer),
    ):
        body = json.dumps(chat(stream=True))
        writer.write(f"POST {CHAT} HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        with pytest.raises(ConnectionResetError):
            await reader.read()


# ---- shutdown ----


async def test_finishes_streams_and_held_requests_on_its_own_rollout():
    go = asyncio.Event()

    async def wait(http):
        await go.wait()
        return await answer(http)

    async with serving(Pod(behaviour=wait)) as pod, a_gateway(pod, endpoint_delay_s=2) as world:
        world.read_loads(pod, slots=1)
        held = [asyncio.ensure_future(read(world, stream=True)) for _ in range(4)]
        await eventually(lambda: world.demand().held > 0)
        drained = asyncio.ensure_future(world.gateway.lifecycle.drain())
        await eventually(lambda: world.dispatcher.demand().draining)
        async with world.client.get(f"{world.admin_url}/readyz") as response:
            assert response.status == 503
        late = asyncio.ensure_future(read(world, stream=True))
        await eventually(lambda: len(world.gateway.lifecycle.requests) == 5)
        go.set()
        assert all(text.endswith(b"data: [DONE]\n\n") for text in await asyncio.gather(*held, late))
        await drained


async def test_refuses_held_requests_and_ends_streams_as_errors_when_the_grace_period_ends():
    async with serving(Pod(behaviour=stream_for_ever)) as pod, a_gateway(pod, grace_period_s=0.2) as world:
        world.read_loads(pod, slots=1)
        streaming = [await world.client.post(CHAT, json=chat(stream=True)) for _ in range(2)]
        held = asyncio.ensure_future(world.client.post(CHAT, json=chat()))
        await eventually(lambda: world.demand().held == 1)
        # aiohttp's client drops bytes that arrive together with the end of the connection, so read all the time.
        reading = [asyncio.ensure_future(read_to_failure(response)) for response in streaming]
        await world.gateway.lifecycle.drain()
        async with await held as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
        for body in await asyncio.gather(*reading):
            assert b'"error"' in body
            assert sse.DONE not in body
        assert {line["outcome"] for line in world.lines if line["streamed"]} == {"cut_off"}


async def test_asks_clients_to_close_their_connections_when_it_leaves():
    async with serving(Pod()) as pod, a_gateway(pod) as world:
        world.gateway.lifecycle.leaving = True
        async with world.client.post(CHAT, json=chat()) as response:
            assert response.headers["Connection"] == "close"


async def test_drains_on_sigterm():
    async with a_gateway() as world:
        served = asyncio.ensure_future(serve(world.gateway))
        await asyncio.sleep(0)
        signal.raise_signal(signal.SIGTERM)
        await served
        assert world.gateway.lifecycle.leaving


def test_is_alive_until_the_loop_stands_still():
    now = 0.0
    heartbeat = Heartbeat(clock=lambda: now)
    heartbeat.beat()
    now = STUCK_AFTER_S - 1
    assert heartbeat.alive
    now = STUCK_AFTER_S + 1
    assert not heartbeat.alive


async def test_tells_a_waiting_operator_at_once_that_a_model_must_wake():
    async with a_gateway() as world:
        url = f"{world.admin_url}/demand?wake_seq=0&wait_s=5"
        waiting = asyncio.ensure_future(world.client.get(url))
        asked = asyncio.ensure_future(world.client.post(CHAT, json=chat()))
        async with asyncio.timeout(1):
            async with await waiting as response:
                report = await response.json()
        assert (report["wake_seq"], report["models"]["demo/tiny"]["held"]) == (1, 1)
        asked.cancel()


async def test_stays_live_with_a_thousand_open_streams():
    # Client, gateway and replica share a process: on a busy machine the replica is slow to answer 1,000 requests.
    slow = a_gateway(pod := Pod(behaviour=stream_for_ever), keep_alive_s=60, response_timeout_s=120)
    async with serving(pod), slow as world:
        world.read_loads(pod, slots=2000)
        async with aiohttp.ClientSession(world.url, connector=aiohttp.TCPConnector(limit=0)) as many:
            opened = await asyncio.gather(*(many.post(CHAT, json=chat(stream=True)) for _ in range(1000)))
            assert world.demand().in_flight == 1000
            async with asyncio.timeout(1), world.client.get(f"{world.admin_url}/readyz") as response:
                assert response.status == 200
            for response in opened:
                response.close()
        await eventually(lambda: (world.demand().in_flight, pod.left) == (0, 1000))


async def read_to_failure(response: aiohttp.ClientResponse) -> bytes:
    """What arrived before the connection was aborted."""
    body = b""
    try:
        while part := await response.content.readany():
            body += part
    except aiohttp.ClientPayloadError:
        return body
    raise AssertionError("the response ended as a complete one")


async def read(world, **fields: object) -> bytes:
    async with world.client.post(CHAT, json=chat(**fields)) as response:
        return await response.read()
