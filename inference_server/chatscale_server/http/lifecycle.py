"""Lifecycle of a replica: loading, ready, draining, failed; and the probes and metrics that report it.

On SIGTERM the replica becomes unready at once, keeps serving while its endpoint is removed from the Service, then
rejects new requests, lets in-flight requests finish until the deadline, and ends the rest with an error event.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry

from chatscale_contract.openai.errors import ApiError
from chatscale_contract.server.load import ReplicaLoad
from chatscale_contract.server.metrics import RejectReason
from chatscale_contract.version import VERSION
from chatscale_server.http.bridge import Bridge
from chatscale_server.http.transport import shutting_down
from chatscale_server.metrics import State, render

log = logging.getLogger(__name__)

LOADING_RETRY_AFTER_S: Final = 5
UNSENT_POLL_S: Final = 0.02
FLUSH_TIMEOUT_S: Final = 2.0
"""Time for handlers to write their error events after the drain deadline."""


class Phase(StrEnum):
    """Phase of the replica's lifecycle."""

    LOADING = "loading"
    READY = "ready"
    LEAVING = "leaving"
    """SIGTERM was received; the replica still serves while its endpoint is removed."""
    DRAINING = "draining"
    """New requests are rejected, in-flight requests finish."""
    FAILED = "failed"


@dataclass(slots=True)
class Lifecycle:
    """Lifecycle of this process. Used on the event loop only."""

    bridge: Bridge
    drain_delay_s: float
    drain_timeout_s: float
    unsent_bytes: Callable[[], int] = lambda: 0
    """Response bytes that clients have not acknowledged."""
    close_uploads: Callable[[], None] = lambda: None
    """Rejects the requests whose body is not complete. Called when new requests are rejected."""
    shorten_write_timeouts: Callable[[], None] = lambda: None
    """Disconnects clients that do not read after a shorter time. Called when new requests are rejected."""
    _leaving: bool = False
    _refusing: bool = False
    _open_requests: int = 0
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def phase(self) -> Phase:
        """The current phase."""
        if self.bridge.failure is not None:
            return Phase.FAILED
        if self._refusing:
            return Phase.DRAINING
        if self._leaving:
            return Phase.LEAVING
        return Phase.LOADING if self.bridge.info is None else Phase.READY

    @property
    def leaving(self) -> bool:
        """True from SIGTERM on. Connections are no longer kept alive."""
        return self._leaving

    def state(self) -> State:
        """The current gauge values."""
        return self.bridge.state(draining=self._leaving)

    def check_open(self) -> None:
        """Raises ApiError 503 while the replica loads or drains, and after a failure."""
        if self.phase is Phase.FAILED:
            raise ApiError(503, "the engine has failed; the server is stopping", code="engine_failed")
        if self._refusing:
            self.bridge.counts.rejected[RejectReason.DRAINING] += 1
            raise shutting_down()
        if self.bridge.info is None:
            self.bridge.counts.rejected[RejectReason.LOADING] += 1
            raise ApiError(503, "the model is still loading", code="model_loading", retry_after_s=LOADING_RETRY_AFTER_S)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Wrap the whole handling of a request: a drain waits for the last byte of the response, not the last token."""
        self._open_requests += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._open_requests -= 1
            if self._open_requests == 0:
                self._idle.set()

    async def drain(self) -> None:
        """Drain. Returns when no request is open or the deadline has passed."""
        self._leaving = True
        log.info("draining", extra={"delay_s": self.drain_delay_s, "open_requests": self._open_requests})
        if self.bridge.info is not None:
            await asyncio.sleep(self.drain_delay_s)
        self._refusing = True
        self.close_uploads()
        self.shorten_write_timeouts()
        if await self._wait_idle(self.drain_timeout_s):
            return
        log.warning(
            "drain deadline passed",
            extra={"open_requests": self._open_requests, "unsent_bytes": self.unsent_bytes()},
        )
        self.bridge.fail_all(_drain_error())
        await self.flush()

    async def flush(self) -> None:
        """Wait until the handlers of ended requests have written their responses, at most `FLUSH_TIMEOUT_S`."""
        await self._wait_idle(FLUSH_TIMEOUT_S)

    async def _wait_idle(self, timeout_s: float) -> bool:
        """Wait until no request is open and all bytes are acknowledged; False after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                if self._open_requests:
                    await self._idle.wait()
                while self.unsent_bytes():  # noqa: ASYNC110 - there is no event for an acknowledgement
                    await asyncio.sleep(UNSENT_POLL_S)
        except TimeoutError:
            return False
        return True


class ProbeHandlers:
    """Handlers of /livez, /readyz and its other names, /version, /load and /metrics. They never wait for the engine."""

    def __init__(self, lifecycle: Lifecycle, registry: CollectorRegistry) -> None:
        self._lifecycle = lifecycle
        self._registry = registry

    async def livez(self, _request: web.Request) -> web.Response:
        """500 if the engine has failed or is stuck."""
        if self._lifecycle.phase is Phase.FAILED:
            return web.Response(status=500, text="the engine has failed\n")
        if self._lifecycle.bridge.stuck():
            return web.Response(status=500, text="the engine has pending work and makes no steps\n")
        return web.Response(text="ok\n")

    async def readyz(self, _request: web.Request) -> web.Response:
        """200 from the end of the warm-up until SIGTERM, otherwise 503."""
        phase = self._lifecycle.phase
        return web.Response(status=200 if phase is Phase.READY else 503, text=f"{phase}\n")

    async def version(self, _request: web.Request) -> web.Response:
        """The version of Chatscale."""
        return web.json_response({"version": VERSION})

    async def load(self, _request: web.Request) -> web.Response:
        """The load of this replica, for the gateway. It answers in all phases."""
        state = self._lifecycle.state()
        load = ReplicaLoad(
            running=state.requests_running,
            waiting=state.queue_depth,
            slots=state.slots if self._lifecycle.bridge.info is not None else 0,
            prefill_tokens_per_second=state.max_tokens_per_second,
            draining=state.draining,
        )
        return web.json_response(load.to_json())

    async def metrics(self, _request: web.Request) -> web.Response:
        """The Prometheus text exposition."""
        return web.Response(body=render(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _drain_error() -> ApiError:
    text = "the server shut down before the response was complete"
    return shutting_down(text)
