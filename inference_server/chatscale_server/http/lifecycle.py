"""The life of a replica as probes and clients see it: loading, ready, draining, failed.

On SIGTERM: unready at once, serve on while endpoints are withdrawn, refuse new requests, let admitted
ones finish until the deadline, then end what is left with an error event.
"""

import asyncio
import fcntl
import logging
import sys
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from chatscale_contract.openai.errors import ApiError
from chatscale_contract.server.metrics import RejectReason
from chatscale_server.http.bridge import Bridge
from chatscale_server.metrics import State

log = logging.getLogger(__name__)

LOADING_RETRY_AFTER_S: Final = 5
DRAINING_RETRY_AFTER_S: Final = 1
"""Another replica can take it at once."""
UNSENT_POLL_S: Final = 0.02
FLUSH_TIMEOUT_S: Final = 2.0
"""For handlers to write the error event after the drain deadline."""


class Phase(StrEnum):
    """Where the replica stands."""

    LOADING = "loading"
    READY = "ready"
    LEAVING = "leaving"
    """SIGTERM came; still serving while endpoints are withdrawn."""
    DRAINING = "draining"
    """New requests are refused, admitted ones finish."""
    FAILED = "failed"


@dataclass(slots=True)
class Lifecycle:
    """One per process; belongs to the event loop."""

    bridge: Bridge
    drain_delay_s: float
    drain_timeout_s: float
    unsent_bytes: Callable[[], int] = lambda: 0
    """Written by handlers, and not yet with the clients."""
    _leaving: bool = False
    _refusing: bool = False
    _open_requests: int = 0
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def phase(self) -> Phase:
        """The first of these that holds."""
        if self.bridge.failure is not None:
            return Phase.FAILED
        if self._refusing:
            return Phase.DRAINING
        if self._leaving:
            return Phase.LEAVING
        return Phase.LOADING if self.bridge.info is None else Phase.READY

    @property
    def leaving(self) -> bool:
        """SIGTERM has come: connections are not kept alive any more."""
        return self._leaving

    def state(self) -> State:
        """The gauges of this moment."""
        return self.bridge.state(draining=self._leaving)

    def check_open(self) -> None:
        """Raises ApiError 503 while loading, while draining and after a failure."""
        if self.phase is Phase.FAILED:
            raise ApiError(503, "the engine has failed; the server is stopping", code="engine_failed")
        if self._refusing:
            self.bridge.counts.rejected[RejectReason.DRAINING] += 1
            raise ApiError(503, "the server is shutting down", code="draining", retry_after_s=DRAINING_RETRY_AFTER_S)
        if self.bridge.info is None:
            self.bridge.counts.rejected[RejectReason.LOADING] += 1
            raise ApiError(503, "the model is still loading", code="model_loading", retry_after_s=LOADING_RETRY_AFTER_S)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Around a request's whole handling: the drain waits for the answer's last byte, not its last token."""
        self._open_requests += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._open_requests -= 1
            if self._open_requests == 0:
                self._idle.set()

    async def drain(self) -> None:
        """Leave without losing a request; returns when nothing is open any more or the time is up."""
        self._leaving = True
        log.info("draining", extra={"delay_s": self.drain_delay_s, "open_requests": self._open_requests})
        if self.bridge.info is not None:
            await asyncio.sleep(self.drain_delay_s)
        self._refusing = True
        if await self._wait_idle(self.drain_timeout_s):
            return
        log.warning(
            "drain deadline passed",
            extra={"open_requests": self._open_requests, "unsent_bytes": self.unsent_bytes()},
        )
        self.bridge.fail_all(_cut())
        await self.flush()

    async def flush(self) -> None:
        """Give the handlers of requests that have just ended a moment to write it."""
        await self._wait_idle(FLUSH_TIMEOUT_S)

    async def _wait_idle(self, timeout_s: float) -> bool:
        """Until no request is open and the clients have all that was written; False if that takes too long."""
        try:
            async with asyncio.timeout(timeout_s):
                if self._open_requests:
                    await self._idle.wait()
                while self.unsent_bytes():  # noqa: ASYNC110 - nobody tells when a peer acknowledges
                    await asyncio.sleep(UNSENT_POLL_S)
        except TimeoutError:
            return False
        return True


def unsent_bytes(connection: asyncio.Protocol) -> int:
    """What a connection still owes its client: in our buffer, and in the kernel's until the client acknowledges it.

    The kernel's counts too: with a pod's end its network is gone, and with it what the kernel would still send.
    """
    transport: asyncio.WriteTransport | None = getattr(connection, "transport", None)
    if transport is None:
        return 0
    waiting = transport.get_write_buffer_size()
    raw = transport.get_extra_info("socket")
    try:
        in_kernel = fcntl.ioctl(raw.fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):
        return waiting  # closed meanwhile
    return waiting + int.from_bytes(in_kernel, sys.byteorder)


def _cut() -> ApiError:
    text = "the server shut down before the answer was complete"
    return ApiError(503, text, code="draining", retry_after_s=DRAINING_RETRY_AFTER_S)
