"""The client to replicas: failures, flow control, and requests that are cancelled."""

import asyncio
import socket

import pytest

from chatscale_gateway.upstream.interface import BrokenError, NoAnswerError, NotConnectedError
from tests.unit.gateway.http.fakes import eventually
from tests.unit.gateway.upstream.client_calls import CHUNKED, LARGE, PATH, a_client, post, read, reset
from tests.unit.gateway.upstream.raw_replica import OK, RawReplica, answering, hang_up, in_turn, raw_replica, silent

# ---- failures ----


async def test_says_that_a_refused_connection_sent_nothing():
    async with raw_replica(answering(OK)) as replica:
        pass
    async with a_client() as client:
        with pytest.raises(NotConnectedError) as raised:
            await post(client, replica)
        assert (raised.value.sent, raised.value.stale) == (False, False)


async def test_says_that_a_connection_that_is_not_accepted_sent_nothing():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)  # noqa: FBT003 - the socket module's signature
            filler.connect_ex(address)
        replica = RawReplica(hang_up, port=address[1])
        async with a_client(response_timeout_s=0.2) as client:
            with pytest.raises(NotConnectedError) as raised:
                await post(client, replica)
            assert not raised.value.sent
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("end", [hang_up, reset], ids=["closed", "reset"])
@pytest.mark.parametrize("reused", [False, True], ids=["new", "kept"])
async def test_separates_a_lost_new_connection_from_a_kept_one(reused, end):
    scripts = (answering(OK), end) if reused else (end,)
    async with raw_replica(in_turn(*scripts)) as replica, a_client() as client:
        if reused:
            await post(client, replica)
        with pytest.raises(NotConnectedError) as raised:
            await post(client, replica)
        assert (raised.value.sent, raised.value.stale) == (True, reused)
        assert replica.connections == 1


@pytest.mark.parametrize("reused", [False, True], ids=["new", "kept"])
@pytest.mark.parametrize("data", [b"H", b"HTTP/1.1 200 OK\r\nX: y\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_one_byte_of_a_response_means_that_the_replica_has_begun(data, reused):
    half = answering(data, close=True)
    async with raw_replica(in_turn(answering(OK), half) if reused else half) as replica, a_client() as client:
        if reused:
            await post(client, replica)
        with pytest.raises(BrokenError):
            await post(client, replica)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", id="length"),
        pytest.param(CHUNKED + b"2\r\nab\r\n", id="no last chunk"),
        pytest.param(CHUNKED + b"9\r\nab", id="half a chunk"),
        pytest.param(CHUNKED + b"2\r\nab\r\n0\r\n", id="no end of trailers"),
    ],
)
@pytest.mark.parametrize("end", [hang_up, reset], ids=["closed", "reset"])
async def test_never_takes_a_cut_body_for_a_whole_one(data, end):
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await got.wait()
        await end(reader, writer)

    got = asyncio.Event()
    async with raw_replica(script) as replica, a_client() as client:
        response = await client.send(replica.as_replica(), PATH, {}, b"")
        assert await response.read() == b"ab"
        got.set()
        with pytest.raises(BrokenError):
            await response.read()
        response.close()


async def test_a_reset_does_not_end_a_body_without_a_length():
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nab")
        await got.wait()
        await reset(reader, writer)

    got = asyncio.Event()
    async with raw_replica(script) as replica, a_client() as client:
        response = await client.send(replica.as_replica(), PATH, {}, b"")
        assert await response.read() == b"ab"
        got.set()
        with pytest.raises(BrokenError):
            await response.read()
        response.close()


@pytest.mark.parametrize(
    "data",
    [b"garbage\r\n\r\n", CHUNKED + b"zz\r\n", OK + b"x", OK + OK],
    ids=["head", "body", "a byte behind it", "two responses"],
)
async def test_closes_a_connection_with_a_malformed_response(data):
    async with raw_replica(answering(data)) as replica, a_client() as client:
        with pytest.raises(BrokenError, match="not a valid HTTP response"):
            await post(client, replica)
        await eventually(lambda: replica.left == 1, within_s=1)


async def test_gives_what_arrived_before_a_malformed_chunk():
    async with raw_replica(answering(CHUNKED + b"2\r\nab\r\nzz\r\n")) as replica, a_client() as client:
        response = await client.send(replica.as_replica(), PATH, {}, b"")
        assert await response.read() == b"ab"
        with pytest.raises(BrokenError):
            await response.read()
        response.close()


async def test_ends_a_request_that_a_replica_does_not_answer():
    async with raw_replica(silent) as replica, a_client(response_timeout_s=0.1) as client:
        with pytest.raises(NoAnswerError):
            await post(client, replica)
        await eventually(lambda: replica.left == 1, within_s=1)


async def test_ends_a_body_that_falls_silent():
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"2\r\nab\r\n")
        await silent(reader, writer)

    async with raw_replica(half) as replica, a_client(response_timeout_s=0.1) as client:
        with pytest.raises(BrokenError, match="too long"):
            await post(client, replica)
        await eventually(lambda: replica.left == 1, within_s=1)


# ---- flow control ----


async def test_reads_a_body_that_is_larger_than_all_buffers():
    body = LARGE * 3
    data = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with raw_replica(answering(data + body)) as replica, a_client() as client:
        for _ in range(2):
            assert await post(client, replica) == body
        assert replica.connections == 1


async def test_sends_a_large_body_as_the_replica_accepts_it():
    async with raw_replica(answering(OK)) as replica, a_client() as client:
        for _ in range(2):
            assert await post(client, replica, LARGE) == b"ok"
        assert [request.partition(b"\r\n\r\n")[2] == LARGE for request in replica.requests] == [True, True]
        assert replica.connections == 1


async def test_returns_an_early_response_and_sends_no_more_of_the_body():
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 413 Large\r\nContent-Length: 2\r\n\r\nno")
        await reader.read(0)
        await left.wait()
        writer.close()

    heads: list[bytes] = []
    left = asyncio.Event()
    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    replica = RawReplica(hang_up, port=server.sockets[0].getsockname()[1])
    async with server, a_client() as client:
        for _ in range(2):
            response = await client.send(replica.as_replica(), PATH, {}, LARGE)
            assert (response.status, await read(response)) == (413, b"no")
        assert len(heads) == 2
        left.set()


# ---- cancellation ----


@pytest.mark.parametrize("body", [b"", LARGE], ids=["sent", "being sent"])
async def test_a_cancelled_request_closes_its_connection_at_once(body):
    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        began.set()
        await asyncio.wait_for(cancelled.wait(), 5)
        try:
            while await reader.read(65_536):
                pass
        except ConnectionError:
            pass
        closed.set()
        writer.close()

    began, cancelled, closed = asyncio.Event(), asyncio.Event(), asyncio.Event()
    server = await asyncio.start_server(stall, "127.0.0.1", 0)
    replica = RawReplica(hang_up, port=server.sockets[0].getsockname()[1])
    async with server, a_client() as client:
        sent = asyncio.ensure_future(post(client, replica, body))
        await began.wait()
        sent.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sent
        cancelled.set()
        async with asyncio.timeout(1):
            await closed.wait()


async def test_a_cancelled_read_closes_its_connection():
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"2\r\nab\r\n")
        await silent(reader, writer)

    async with raw_replica(half) as replica, a_client() as client:
        response = await client.send(replica.as_replica(), PATH, {}, b"")
        assert await response.read() == b"ab"
        waiting = asyncio.ensure_future(read(response))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await eventually(lambda: replica.left == 1, within_s=1)
