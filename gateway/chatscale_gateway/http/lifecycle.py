"""Lifecycle of the gateway: starting, ready, leaving, refusing.

On SIGTERM the gateway becomes unready and still accepts connections while load balancers remove its endpoint. Then it
closes its listener, and serves open connections, streams and held requests until the grace period ends. What is left
then gets 503 or, in a stream, an error event.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from chatscale_gateway.dispatch.interface import Dispatcher
from chatscale_gateway.http.options import HttpOptions
from chatscale_process.http.open_requests import OpenRequests

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Lifecycle:
    """Lifecycle of this process. Used on the event loop only."""

    dispatcher: Dispatcher
    options: HttpOptions
    stop_listening: Callable[[], None] = lambda: None
    _catalog_complete: bool = False
    leaving: bool = False
    """True from SIGTERM on. Responses close their connections."""
    requests: OpenRequests = field(default_factory=OpenRequests)
    """Those that are being handled."""

    def catalog_complete(self) -> None:
        """Catalog, keys and peers have been read: the gateway is ready."""
        self._catalog_complete = True

    @property
    def ready(self) -> bool:
        """Whether load balancers should send requests."""
        return self._catalog_complete and not self.leaving

    async def drain(self) -> None:
        """Drain. Returns when no request is open or the grace period has passed."""
        self.leaving = True
        self.dispatcher.stop_accepting()
        log.info("draining", extra={"open_requests": len(self.requests), "delay_s": self.options.endpoint_delay_s})
        await asyncio.sleep(self.options.endpoint_delay_s)
        self.stop_listening()
        if await self.requests.finish(self.options.grace_period_s - self.options.endpoint_delay_s):
            return
        log.warning("grace period passed", extra={"open_requests": len(self.requests)})
        self.dispatcher.refuse_held()
        await self.requests.cut_off()
