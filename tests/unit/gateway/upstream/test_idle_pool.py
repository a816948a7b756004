"""Kept connections: how many, for how long, for whom."""

from chatscale_gateway.routing.catalog import Replica
from chatscale_gateway.upstream.connection import Connection
from chatscale_gateway.upstream.idle_pool import KEEP_ALIVE_S, IdlePool
from tests.unit.gateway.upstream.fake_transport import FakeTransport


def a_connection() -> tuple[Connection, FakeTransport]:
    """One whose response is complete."""
    connection, transport = Connection(), FakeTransport()
    connection.connection_made(transport)
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    return connection, transport


def a_replica(uid: str = "a") -> Replica:
    return Replica(uid, uid, "10.0.0.1", 8000, ready=True, leaving=False)


def test_gives_the_connection_that_was_used_last():
    pool = IdlePool()
    old, new = a_connection()[0], a_connection()[0]
    pool.put(a_replica(), old, 0.0)
    pool.put(a_replica(), new, 1.0)
    assert [pool.take(a_replica(), 1.0), pool.take(a_replica(), 1.0), pool.take(a_replica(), 1.0)] == [new, old, None]
    assert len(pool) == 0


def test_keeps_connections_apart_by_pod():
    pool = IdlePool()
    pool.put(a_replica("a"), a_connection()[0], 0.0)
    assert pool.take(a_replica("b"), 0.0) is None


def test_gives_no_connection_that_is_old_or_closed():
    pool = IdlePool()
    (old, old_transport), (lost, _) = a_connection(), a_connection()
    pool.put(a_replica(), old, 0.0)
    pool.put(a_replica(), lost, KEEP_ALIVE_S)
    lost.connection_lost(None)
    assert pool.take(a_replica(), KEEP_ALIVE_S) is None
    assert (old_transport.aborted, len(pool)) == (True, 0)


def test_closes_unused_connections():
    pool = IdlePool()
    (old, old_transport), (new, new_transport) = a_connection(), a_connection()
    pool.put(a_replica(), old, 0.0)
    pool.put(a_replica(), new, 1.0)
    pool.close_unused(KEEP_ALIVE_S)
    assert (old_transport.aborted, new_transport.aborted, len(pool)) == (True, False, 1)
    pool.close_unused(2 * KEEP_ALIVE_S)
    assert (new_transport.aborted, len(pool)) == (True, 0)


def test_keeps_no_more_than_its_bounds():
    pool = IdlePool(max_per_replica=2, max_connections=3)
    transports = []
    for uid in ("a", "a", "a", "b", "b"):
        connection, transport = a_connection()
        transports.append(transport)
        pool.put(a_replica(uid), connection, 0.0)
    assert [transport.aborted for transport in transports] == [False, False, True, False, True]
    assert len(pool) == 3
    pool.close()
    assert all(transport.aborted for transport in transports)
    assert len(pool) == 0
