"""One TCP connection to a replica: it carries one request at a time.

Flow control works in both directions: a body is written as fast as the replica accepts it, and reading stops while too
many bytes wait to be taken.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, cast

from typing_extensions import override

from chatscale_gateway.upstream.interface import BrokenError, NoAnswerError, NotConnectedError
from chatscale_gateway.upstream.response_parser import MalformedResponseError, ResponseParser

PART_BYTES: Final = 256 * 1024
"""A larger body is written in parts, so that it does not block the event loop or fill the transport's buffer."""
READ_BUFFER_BYTES: Final = 128 * 1024
"""Reading stops while more than this waits to be taken."""


class Connection(asyncio.Protocol):
    """A connection that exists, from `connection_made` on."""

    __slots__ = (
        "_failure", "_head_deadline_s", "_lost", "_paused_reading", "_paused_writing", "_sent", "_transport",
        "_wait_began_s", "_waiter", "_waiter_seen", "on_end", "response", "reused", "unused_since_s", "writing",
    )  # fmt: skip

    def __init__(self) -> None:
        self.response: Final = ResponseParser()
        self.reused = False
        """It has carried an earlier request."""
        self.writing = False
        """A request is not written completely."""
        self.unused_since_s = 0.0
        """Set by the pool."""
        self.on_end: Callable[[Connection], None] | None = None
        """Called when the response is complete or the connection is lost."""
        self._transport: asyncio.Transport | None = None
        self._lost = False
        self._sent = False
        self._failure: Callable[[], Exception] | None = None
        """Makes the exception. A kept exception would keep the frames that raised it, and the bodies in them."""
        self._waiter: asyncio.Future[None] | None = None
        self._paused_reading = False
        self._paused_writing = False
        self._head_deadline_s = 0.0
        self._waiter_seen: asyncio.Future[None] | None = None
        self._wait_began_s = 0.0

    # ---- one request ----

    async def request(self, head: bytes, body: bytes, deadline_s: float) -> None:
        """Send a request, and wait for the headers of its response. A response may arrive before the end of the body.

        deadline_s: for the headers, on the loop's clock; `check` enforces it.
        Raises NotConnectedError, NoAnswerError or BrokenError. Abort the connection after an exception.
        """
        transport = self._transport
        if transport is None:
            raise RuntimeError("the connection has not been made")
        response = self.response
        response.begin()
        self._head_deadline_s = deadline_s
        if not transport.is_closing():  # a new connection can be lost already, and uvloop raises if it is written to
            self._sent = True
            if len(body) <= PART_BYTES:
                transport.write(head + body)
            else:
                await self._write_parts(transport, head, body)
        while not response.has_head:
            await self._wait()
        self._head_deadline_s = 0.0

    async def read(self) -> bytes:
        """The next bytes of the body; empty at its end. Raises BrokenError."""
        response = self.response
        while not response.parts:
            if response.complete:
                return b""
            await self._wait()
        data = response.take()
        if self._paused_reading:
            self._paused_reading = False
            if self._transport is not None:
                self._transport.resume_reading()
        return data

    @property
    def reusable(self) -> bool:
        """Whether it can carry another request."""
        response = self.response
        return (
            response.complete
            and response.keep_alive
            and not self._lost
            and not self.writing
            and self._transport is not None
            and not self._transport.is_closing()
            and self._transport.get_write_buffer_size() == 0
        )

    @property
    def ended(self) -> bool:
        """Whether nothing more of the response will arrive."""
        return self.response.complete or self._lost

    def rest(self, now_s: float) -> None:
        """Keep it for the next request."""
        self.reused = True
        self.unused_since_s = now_s
        self.response.parts.clear()
        if self._paused_reading and self._transport is not None:
            self._paused_reading = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close at once; what is not written is lost. Idempotent."""
        if self._transport is not None:
            self._transport.abort()

    def check(self, now_s: float, silence_s: float) -> None:
        """End a wait that lasts too long. Called about once a second for all connections: no request needs a timer.

        silence_s: longest wait for the next bytes of a body. Only the time of a `read` that waits counts.
        """
        waiter = self._waiter
        if waiter is None:
            self._waiter_seen = None
        elif self._head_deadline_s:
            if now_s >= self._head_deadline_s:
                self._fail(partial(NoAnswerError, "no response in time"))
        elif waiter is not self._waiter_seen:
            self._waiter_seen = waiter
            self._wait_began_s = now_s
        elif now_s - self._wait_began_s >= silence_s:
            self._fail(partial(BrokenError, "the replica sent nothing for too long"))

    async def _write_parts(self, transport: asyncio.Transport, head: bytes, body: bytes) -> None:
        self.writing = True
        view = memoryview(body)
        transport.write(head)
        for start in range(0, len(body), PART_BYTES):
            while (self._paused_writing or transport.is_closing()) and not self.response.has_head:
                await self._wait()
            if self.response.has_head:
                return  # an early response; `writing` stays set, so the connection cannot be used again
            transport.write(view[start : start + PART_BYTES])
        self.writing = False

    async def _wait(self) -> None:
        """Wait until the state changes. Raises at once if the connection has failed already."""
        if self._failure is not None:
            raise self._failure()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, failure: Callable[[], Exception]) -> None:
        if self._failure is None:
            self._failure = failure
        self._wake()

    # ---- asyncio.Protocol ----

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        response = self.response
        if response.complete:
            # Nothing was requested. On a kept connection it would be taken for the next response.
            response.keep_alive = False
            self.abort()
            return
        try:
            response.feed(data)
        except MalformedResponseError as error:
            self._fail(partial(BrokenError, f"not a valid HTTP response: {error}"))
            self.abort()
            return
        if response.has_head:
            if response.size > READ_BUFFER_BYTES and self._transport is not None:
                self._paused_reading = True
                self._transport.pause_reading()
            self._wake()
            if self.on_end is not None and self.ended:
                self.on_end(self)

    @override
    def eof_received(self) -> None:
        """The replica sends nothing more. `connection_lost` follows."""
        self.response.feed_eof()
        self.abort()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        response = self.response
        if response.complete:
            self._wake()
        elif response.received:
            self._fail(partial(BrokenError, "the connection was lost before the end of the response"))
        else:
            text = "the connection was lost before the response"
            self._fail(partial(NotConnectedError, text, sent=self._sent, stale=self.reused))
        if self.on_end is not None:
            self.on_end(self)

    @override
    def pause_writing(self) -> None:
        self._paused_writing = True

    @override
    def resume_writing(self) -> None:
        self._paused_writing = False
        self._wake()
