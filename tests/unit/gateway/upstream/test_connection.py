"""Time limits and flow control of one connection, without a network and without a clock."""

import asyncio

import pytest

from chatscale_gateway.upstream.connection import PART_BYTES, READ_BUFFER_BYTES, Connection
from chatscale_gateway.upstream.interface import BrokenError, NoAnswerError, NotConnectedError
from tests.unit.gateway.upstream.fake_transport import FakeTransport

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


def a_connection() -> tuple[Connection, FakeTransport]:
    connection, transport = Connection(), FakeTransport()
    connection.connection_made(transport)
    return connection, transport


async def soon(coroutine) -> "asyncio.Task":
    """A task that has run up to its first wait."""
    task = asyncio.ensure_future(coroutine)
    await asyncio.sleep(0)
    return task


async def test_the_headers_have_one_deadline_however_they_trickle_in():
    connection, _ = a_connection()
    request = await soon(connection.request(b"head", b"", 10.0))
    for now_s in range(10):
        connection.data_received(b"H" if now_s == 0 else b"TTP/1.1 200 OK\r\n" if now_s == 1 else b"X: y\r\n")
        connection.check(now_s, 5.0)
        await asyncio.sleep(0)
    assert not request.done()
    connection.check(10.0, 5.0)
    with pytest.raises(NoAnswerError):
        await request


async def test_only_time_in_which_somebody_reads_counts_as_silence():
    connection, _ = a_connection()
    request = await soon(connection.request(b"head", b"", 10.0))
    connection.data_received(HEAD + b"a")
    await request
    for now_s in range(100):
        connection.check(now_s, 5.0)  # the client is slow, not the replica
    assert await connection.read() == b"a"
    reading = await soon(connection.read())
    for now_s in (100.0, 104.0):
        connection.check(now_s, 5.0)
    connection.data_received(b"b")
    assert await reading == b"b"
    reading = await soon(connection.read())
    for now_s in (105.0, 109.9):
        connection.check(now_s, 5.0)
        await asyncio.sleep(0)
    assert not reading.done()
    connection.check(110.0, 5.0)
    with pytest.raises(BrokenError, match="too long"):
        await reading


async def test_stops_reading_while_nobody_takes_the_body():
    connection, transport = a_connection()
    request = await soon(connection.request(b"head", b"", 10.0))
    connection.data_received(HEAD)
    await request
    connection.data_received(b"x" * READ_BUFFER_BYTES)
    assert transport.reading
    connection.data_received(b"x")
    assert not transport.reading
    assert len(await connection.read()) == READ_BUFFER_BYTES + 1
    assert transport.reading


async def test_writes_a_large_body_only_as_fast_as_the_replica_accepts_it():
    connection, transport = a_connection()
    body = b"x" * (3 * PART_BYTES)
    connection.pause_writing()
    request = await soon(connection.request(b"head", body, 10.0))
    assert transport.written == b"head"
    connection.resume_writing()
    connection.pause_writing()
    await asyncio.sleep(0)
    assert transport.written == b"head"  # it is full again
    connection.resume_writing()
    await asyncio.sleep(0)
    assert transport.written == b"head" + body
    connection.data_received(b"HTTP/1.1 204 None\r\n\r\n")
    await request
    assert connection.reusable


async def test_a_body_that_nobody_accepts_has_the_deadline_of_the_headers():
    connection, transport = a_connection()
    connection.pause_writing()
    request = await soon(connection.request(b"head", b"x" * (2 * PART_BYTES), 10.0))
    connection.check(10.0, 5.0)
    with pytest.raises(NoAnswerError):
        await request
    assert transport.written == b"head"


async def test_a_connection_whose_request_is_not_complete_is_not_used_again():
    connection, _ = a_connection()
    connection.pause_writing()
    request = await soon(connection.request(b"head", b"x" * (2 * PART_BYTES), 10.0))
    connection.data_received(b"HTTP/1.1 204 None\r\n\r\n")
    await request
    assert (connection.response.complete, connection.reusable) == (True, False)


async def test_a_new_connection_that_is_lost_at_once_has_sent_nothing():
    connection, transport = a_connection()
    transport.abort()
    connection.connection_lost(ConnectionResetError())
    with pytest.raises(NotConnectedError) as raised:
        await connection.request(b"head", b"", 10.0)
    assert (raised.value.sent, bytes(transport.written)) == (False, b"")


async def test_stops_writing_a_body_when_the_connection_is_lost():
    connection, transport = a_connection()
    connection.pause_writing()
    request = await soon(connection.request(b"head", b"x" * (2 * PART_BYTES), 10.0))
    transport.abort()
    connection.resume_writing()  # transports do so when they drop what is not written
    await asyncio.sleep(0)
    connection.connection_lost(ConnectionResetError())
    with pytest.raises(NotConnectedError) as raised:
        await request
    assert (raised.value.sent, bytes(transport.written)) == (True, b"head")


async def test_a_failed_connection_keeps_no_request_body():
    connection, _ = a_connection()
    connection.connection_lost(None)
    errors = []
    for _ in range(2):
        with pytest.raises(NotConnectedError) as raised:
            await connection.request(b"head", b"", 10.0)
        errors.append(raised.value)
    assert errors[0] is not errors[1]  # a kept exception would keep the frames, and so the bodies, of its callers
