"""What the relay needs from an HTTP client: one POST to one replica. Exceptions say what the replica may have got."""

from collections.abc import Mapping
from typing import Protocol

from chatscale_gateway.routing.catalog import Replica


class NotConnectedError(Exception):
    """No connection, or it was lost before the first byte of the response."""

    def __init__(self, message: str, *, sent: bool, stale: bool = False) -> None:
        """sent: the replica may have received the request.  stale: the connection had carried an earlier request."""
        super().__init__(message)
        self.sent = sent
        self.stale = stale


class NoAnswerError(Exception):
    """The replica accepted the request and sent no headers within the timeout."""


class BrokenError(Exception):
    """The response is not valid HTTP, or its connection was lost before its end."""


class UpstreamResponse(Protocol):
    """A response whose headers have arrived. `close` must be called in every case."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case. The values of a repeated header are one list."""
        ...

    async def read(self) -> bytes:
        """The bytes that have arrived, at least one; empty at the end of the body. Raises BrokenError."""
        ...

    def finish(self) -> None:
        """Discard the rest of the body, without a wait. The connection is kept if the end arrives within a second.

        Nothing may be read afterwards, and `close` does nothing.
        """
        ...

    def close(self) -> None:
        """Close the connection, unless the body was read to its end: then the connection is kept for the next request.

        Idempotent.
        """
        ...


class Upstream(Protocol):
    """Sends requests to replicas."""

    async def send(
        self, replica: Replica, path: str, headers: Mapping[str, str], body: bytes, *, fresh: bool = False
    ) -> UpstreamResponse:
        """POST, and wait for the headers of the response. Never repeats a request and follows no redirect.

        fresh: use a new connection.
        Raises NotConnectedError, NoAnswerError or BrokenError. Cancellation closes the connection at once.
        """
        ...
