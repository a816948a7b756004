"""Lifecycle of a pod: starting, ready, leaving, refusing.

On SIGTERM the pod becomes unready and still accepts connections while its endpoint is removed. Then it closes its
listener and answers open requests until the grace period ends. What is left gets 503, and another pod answers it.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from chatscale_assistant.http.options import HttpOptions
from chatscale_process.http.open_requests import OpenRequests

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Lifecycle:
    """Lifecycle of this process. Used on the event loop only."""

    options: HttpOptions
    has_index: Callable[[], bool]
    """Whether an index is in use, as far embedded as a new pod waits for."""
    stop_listening: Callable[[], None] = lambda: None
    leaving: bool = False
    """True from SIGTERM on. Responses close their connections."""
    requests: OpenRequests = field(default_factory=OpenRequests)
    """Those that are being handled."""

    @property
    def ready(self) -> bool:
        """Whether load balancers should send requests."""
        return self.has_index() and not self.leaving

    async def drain(self) -> None:
        """Drain. Returns when no request is open or the grace period has passed."""
        self.leaving = True
        log.info("draining", extra={"open_requests": len(self.requests), "delay_s": self.options.drain_delay_s})
        await asyncio.sleep(self.options.drain_delay_s)
        self.stop_listening()
        if await self.requests.finish(self.options.grace_period_s - self.options.drain_delay_s):
            return
        log.warning("grace period passed", extra={"open_requests": len(self.requests)})
        await self.requests.cut_off()
