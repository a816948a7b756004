"""The client to replicas: requests, responses, and the connections that it keeps."""

import asyncio
from itertools import pairwise

import pytest
import uvloop
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from chatscale_gateway.routing.catalog import Replica
from tests.unit.gateway.http.fakes import Pod, answer, eventually, serving, start_stream
from tests.unit.gateway.upstream.client_calls import CHUNKED, PATH, a_client, post, read, reset
from tests.unit.gateway.upstream.raw_replica import OK, answering, hang_up, in_turn, raw_replica, silent

# ---- requests and responses ----


async def test_sends_a_request_and_reads_its_response():
    data = b"HTTP/1.1 418 Teapot\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello"
    async with raw_replica(answering(data)) as replica, a_client() as client:
        response = await client.send(replica.as_replica(), PATH, {"Content-Type": "a/b", "x": "y"}, b"{}")
        assert (response.status, response.headers) == (418, {"x-a": "1", "content-length": "5"})
        assert await read(response) == b"hello"
        head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{replica.port}\r\nContent-Type: a/b\r\nx: y\r\n"
        assert replica.requests == [head.encode() + b"Content-Length: 2\r\n\r\n{}"]


async def test_works_with_aiohttp_servers():
    async def stream(http: web.Request) -> web.StreamResponse:
        response = await start_stream(http)
        for _ in range(100):
            await response.write(b"data: x\n\n")
        return response

    async with serving(Pod(behaviour=stream)) as pod, a_client() as client:
        for _ in range(3):
            assert await post(client, pod) == b"data: x\n\n" * 100
        pod.behaviour = answer
        assert b"hello" in await post(client, pod, b'{"model": "m"}')


async def test_names_an_ipv6_host_in_brackets():
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        writer.close()

    heads: list[bytes] = []
    try:
        server = await asyncio.start_server(handle, "::1", 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    port = server.sockets[0].getsockname()[1]
    async with server, a_client() as client:
        await read(await client.send(Replica("u", "p", "::1", port, ready=True, leaving=False), PATH, {}, b""))
    assert f"\r\nHost: [::1]:{port}\r\n".encode() in heads[0]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 400), max_size=12), st.booleans())
def test_reads_the_same_however_a_replica_writes(at, chunked):
    body = b"0123456789" * 30
    coded = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    data = CHUNKED + coded if chunked else b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n" + body
    edges = [0, *sorted(at), len(data)]
    parts = [data[start:end] for start, end in pairwise(edges)]

    async def run() -> None:
        async with raw_replica(answering(*parts)) as replica, a_client() as client:
            for _ in range(2):
                assert await post(client, replica) == body
            assert replica.connections == 1

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def test_ignores_interim_responses():
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
    async with raw_replica(answering(interim, OK)) as replica, a_client() as client:
        assert await post(client, replica) == b"ok"


async def test_reads_a_body_that_ends_with_its_connection():
    async with (
        raw_replica(answering(b"HTTP/1.1 200 OK\r\n\r\n", b"a", b"b", close=True)) as replica,
        a_client() as client,
    ):
        assert await post(client, replica) == b"ab"


async def test_does_not_follow_redirects():
    data = b"HTTP/1.1 307 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    async with raw_replica(answering(data)) as replica, a_client() as client:
        response = await client.send(replica.as_replica(), PATH, {}, b"")
        assert response.status == 307
        response.close()
        assert len(replica.requests) == 1


# ---- kept connections ----


async def test_keeps_a_connection_after_a_complete_response():
    async with raw_replica(answering(OK)) as replica, a_client() as client:
        assert [await post(client, replica) for _ in range(3)] == [b"ok"] * 3
        assert replica.connections == 1


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"), id="close"),
        pytest.param(answering(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"), id="HTTP/1.0"),
        pytest.param(answering(b"HTTP/1.1 200 OK\r\n\r\nok", close=True), id="no length"),
    ],
)
async def test_keeps_no_connection_that_is_not_clean(script):
    async with raw_replica(script) as replica, a_client() as client:
        assert [await post(client, replica) for _ in range(2)] == [b"ok"] * 2
        assert replica.connections == 2


async def test_never_takes_what_an_idle_connection_sent_for_a_response():
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

    async def later(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await idle.wait()
        writer.write(evil)
        sent.set()

    idle, sent = asyncio.Event(), asyncio.Event()
    async with raw_replica(in_turn(later, answering(OK))) as replica, a_client() as client:
        assert await post(client, replica) == b"ok"
        idle.set()
        await sent.wait()
        await eventually(lambda: replica.left == 1)
        assert await post(client, replica) == b"ok"
        assert replica.connections == 2


async def test_closes_a_connection_whose_body_is_not_read():
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"
    async with raw_replica(in_turn(answering(data), answering(OK))) as replica, a_client() as client:
        response = await client.send(replica.as_replica(), PATH, {}, b"")
        response.close()
        response.close()
        await eventually(lambda: replica.left == 1, within_s=1)
        assert await post(client, replica) == b"ok"


@pytest.mark.parametrize("parts", [[b"0\r\n\r\n"], [b"1\r\nc\r\n", b"0\r\n\r\n"]], ids=["end", "rest and end"])
async def test_keeps_a_connection_whose_body_ends_after_its_last_reader(parts):
    async def later(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"2\r\nab\r\n")
        await finished.wait()
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0)
        ended.set()

    finished, ended = asyncio.Event(), asyncio.Event()
    async with raw_replica(in_turn(later, answering(OK))) as replica, a_client() as client:
        response = await client.send(replica.as_replica(), PATH, {}, b"")
        assert await response.read() == b"ab"
        response.finish()
        response.close()
        finished.set()
        await ended.wait()
        for _ in range(5):
            await asyncio.sleep(0)  # the client reads what was written, on this loop
        assert await post(client, replica) == b"ok"
        assert replica.connections == 1


async def test_closes_a_connection_whose_body_does_not_end_after_its_last_reader():
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"2\r\nab\r\n")
        await silent(reader, writer)

    async with raw_replica(never) as replica, a_client(response_timeout_s=0.1) as client:
        response = await client.send(replica.as_replica(), PATH, {}, b"")
        response.finish()
        await eventually(lambda: replica.left == 1, within_s=5)


@pytest.mark.parametrize("end", [hang_up, reset], ids=["closed", "reset"])
async def test_forgets_a_connection_that_is_lost_after_its_last_reader(end):
    async def lose(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"2\r\nab\r\n")
        await finished.wait()
        await end(reader, writer)

    finished = asyncio.Event()
    async with raw_replica(in_turn(lose, answering(OK))) as replica, a_client() as client:
        response = await client.send(replica.as_replica(), PATH, {}, b"")
        response.finish()
        finished.set()
        assert await post(client, replica) == b"ok"
        assert replica.connections == 2


async def test_uses_a_new_connection_on_request():
    async with raw_replica(answering(OK)) as replica, a_client() as client:
        await post(client, replica)
        await post(client, replica, fresh=True)
        assert replica.connections == 2


async def test_gives_a_new_pod_no_connection_of_the_pod_that_had_its_address():
    async with raw_replica(answering(OK)) as replica, a_client() as client:
        for uid in ("old", "new"):
            await read(await client.send(replica.as_replica(uid), PATH, {}, b""))
        assert replica.connections == 2


async def test_closes_its_connections_at_the_end():
    async with raw_replica(answering(OK)) as replica:
        async with a_client() as client:
            await post(client, replica)
        await eventually(lambda: replica.left == 1, within_s=1)
