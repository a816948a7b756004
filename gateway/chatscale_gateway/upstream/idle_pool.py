"""Connections that wait for another request."""

from typing import Final

from chatscale_gateway.routing.catalog import Replica
from chatscale_gateway.upstream.connection import Connection

KEEP_ALIVE_S: Final = 4.0
"""Unused connections are closed before uvicorn, the server of most runtimes, closes them after 5 s."""
MAX_PER_REPLICA: Final = 256
MAX_CONNECTIONS: Final = 2048

_Key = tuple[str, str, int]


class IdlePool:
    """The kept connections, by replica. A replica that gets the address of another one gets none of its connections."""

    def __init__(self, *, max_per_replica: int = MAX_PER_REPLICA, max_connections: int = MAX_CONNECTIONS) -> None:
        self._max_per_replica = max_per_replica
        self._max_connections = max_connections
        self._kept: dict[_Key, list[Connection]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def take(self, replica: Replica, now_s: float) -> Connection | None:
        """The connection that was used last, so that the others become old and are closed."""
        kept = self._kept.get((replica.uid, replica.address, replica.port))
        while kept:
            connection = kept.pop()
            self._size -= 1
            if connection.reusable and now_s - connection.unused_since_s < KEEP_ALIVE_S:
                return connection
            connection.abort()
        return None

    def put(self, replica: Replica, connection: Connection, now_s: float) -> None:
        """Keep a reusable connection, or close it if there are too many."""
        key = (replica.uid, replica.address, replica.port)
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = []
        if len(kept) >= self._max_per_replica or self._size >= self._max_connections:
            connection.abort()
            return
        connection.rest(now_s)
        kept.append(connection)
        self._size += 1

    def close_unused(self, now_s: float) -> None:
        """Close connections that are too old, and forget those that their replica has closed."""
        for key, kept in list(self._kept.items()):
            young = []
            for connection in kept:
                if connection.reusable and now_s - connection.unused_since_s < KEEP_ALIVE_S:
                    young.append(connection)
                else:
                    connection.abort()
            self._size -= len(kept) - len(young)
            if young:
                self._kept[key] = young
            else:
                del self._kept[key]

    def close(self) -> None:
        """Close all."""
        for kept in self._kept.values():
            for connection in kept:
                connection.abort()
        self._kept.clear()
        self._size = 0
