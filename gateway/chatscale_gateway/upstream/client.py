"""The `Upstream`: an HTTP/1.1 client for POST requests to replicas.

It exists because aiohttp's client needs more than half of a proxy's CPU time. It does what the gateway needs and no
more: no TLS, redirects, cookies, proxies, compression or name lookup.
"""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from chatscale_gateway.routing.catalog import Replica
from chatscale_gateway.upstream.connection import Connection
from chatscale_gateway.upstream.idle_pool import IdlePool
from chatscale_gateway.upstream.interface import NotConnectedError, UpstreamResponse
from chatscale_gateway.upstream.request_head import request_head

CONNECT_TIMEOUT_S: Final = 5.0
END_TIMEOUT_S: Final = 1.0
"""For the end of a body that is no longer read."""
_CHECK_S: Final = 1.0
"""Period in which timeouts are enforced."""


class ReplicaClient:
    """An async context manager: connections are closed at its end.

    This class never sends a request twice. Its errors say when the caller may send it again:

    - A kept connection is lost before the first byte of a response (`stale`): the replica closed it while it was idle.
      The same replica may get the request on a new connection.
    - A new connection is lost before the first byte: another replica may get the request, once. The replica may have
      begun, but without a connection its work is lost or cancelled, and the client has seen nothing.
    - After the first byte of a response, or after a timeout: never. The replica has begun, or is still at work.
    """

    def __init__(self, *, response_timeout_s: float) -> None:
        """response_timeout_s: from the start of the request to the headers, and between two parts of the body.

        Both are enforced up to 1 s late.
        """
        self._response_timeout_s = response_timeout_s
        self._period_s = min(_CHECK_S, response_timeout_s / 4)
        self._pool = IdlePool()
        self._busy: set[Connection] = set()
        self._ending: dict[Connection, tuple[Replica, float]] = {}
        """Connections whose body is no longer read, with the time at which they are closed."""
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._period_s, self._check)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for connection in (*self._busy, *self._ending):
            connection.abort()
        self._pool.close()
        await asyncio.sleep(0)  # transports close in the next iteration of the loop

    async def send(
        self, replica: Replica, path: str, headers: Mapping[str, str], body: bytes, *, fresh: bool = False
    ) -> UpstreamResponse:
        """See `Upstream`."""
        began_s = self._loop.time()
        host = f"[{replica.address}]" if ":" in replica.address else replica.address
        head = request_head(f"{host}:{replica.port}", path, headers, len(body))
        connection = None if fresh else self._pool.take(replica, began_s)
        if connection is None:
            connection = await self._connect(replica)
        self._busy.add(connection)
        try:
            await connection.request(head, body, began_s + self._response_timeout_s)
        except BaseException:
            self._busy.discard(connection)
            connection.abort()
            raise
        return _Response(self, replica, connection)

    def release(self, replica: Replica, connection: Connection) -> None:
        """Keep a connection whose response is complete, or close it."""
        self._busy.discard(connection)
        if connection.reusable:
            self._pool.put(replica, connection, self._loop.time())
        else:
            connection.abort()

    def release_at_end(self, replica: Replica, connection: Connection) -> None:
        """Release a connection as soon as its response is complete or the connection is lost."""
        if connection.ended:
            self.release(replica, connection)
            return
        self._busy.discard(connection)
        self._ending[connection] = (replica, self._loop.time() + END_TIMEOUT_S)
        connection.on_end = self._release_ended

    def _release_ended(self, connection: Connection) -> None:
        connection.on_end = None
        replica, _ = self._ending.pop(connection)
        self.release(replica, connection)

    async def _connect(self, replica: Replica) -> Connection:
        try:
            async with asyncio.timeout(min(CONNECT_TIMEOUT_S, self._response_timeout_s)):
                _, connection = await self._loop.create_connection(Connection, replica.address, replica.port)
        except TimeoutError as error:
            raise NotConnectedError(f"no connection within {CONNECT_TIMEOUT_S:g} s", sent=False) from error
        except OSError as error:
            raise NotConnectedError(f"cannot connect: {error}", sent=False) from error
        return connection

    def _check(self) -> None:
        now_s = self._loop.time()
        for connection in self._busy:
            connection.check(now_s, self._response_timeout_s)
        for connection, (_, deadline_s) in self._ending.items():
            if now_s >= deadline_s:
                connection.abort()
        self._pool.close_unused(now_s)
        self._timer = self._loop.call_later(self._period_s, self._check)


class _Response:
    __slots__ = ("_client", "_connection", "_replica", "headers", "status")

    def __init__(self, client: ReplicaClient, replica: Replica, connection: Connection) -> None:
        self._client = client
        self._replica = replica
        self._connection: Connection | None = connection
        self.status: Final = connection.response.status
        self.headers: Final[Mapping[str, str]] = connection.response.headers

    async def read(self) -> bytes:
        connection = self._connection
        if connection is None:
            raise RuntimeError("the response is closed")
        return await connection.read()

    def finish(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._client.release_at_end(self._replica, connection)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._client.release(self._replica, connection)
