"""Lifecycle of a pod: starting, ready, leaving, refusing.

On SIGTERM the pod becomes unready and still accepts connections while its endpoint is removed. Then it closes its
listener and answers open requests until the grace period ends. What is left gets 503, and another pod answers it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from chatscale_assistant.http.options import HttpOptions
from chatscale_assistant.http.record import RequestRecord

log = logging.getLogger(__name__)

FLUSH_TIMEOUT_S: Final = 2.0
"""Time for handlers to write their last bytes after the grace period."""
UNSENT_POLL_S: Final = 0.02


@dataclass(slots=True)
class Lifecycle:
    """Lifecycle of this process. Used on the event loop only."""

    options: HttpOptions
    has_index: Callable[[], bool]
    """Whether a complete index is in use."""
    unsent_bytes: Callable[[], int] = lambda: 0
    """Response bytes that clients have not acknowledged."""
    stop_listening: Callable[[], None] = lambda: None
    leaving: bool = False
    """True from SIGTERM on. Responses close their connections."""
    _open: dict[asyncio.Task[None], RequestRecord] = field(default_factory=dict)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ready(self) -> bool:
        """Whether load balancers should send requests."""
        return self.has_index() and not self.leaving

    @property
    def open_requests(self) -> int:
        """Requests that are being handled."""
        return len(self._open)

    @contextmanager
    def serving(self, record: RequestRecord) -> Iterator[None]:
        """Wrap the handling of a request, in the task that handles it."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a request is handled by a task")
        self._open[task] = record
        try:
            yield
        finally:
            self._open.pop(task, None)
            if not self._open:
                self._idle.set()

    async def drain(self) -> None:
        """Drain. Returns when no request is open or the grace period has passed."""
        self.leaving = True
        log.info("draining", extra={"open_requests": self.open_requests, "delay_s": self.options.drain_delay_s})
        await asyncio.sleep(self.options.drain_delay_s)
        self.stop_listening()
        if await self._wait_idle(self.options.grace_period_s - self.options.drain_delay_s):
            return
        log.warning("grace period passed", extra={"open_requests": self.open_requests})
        for task, record in list(self._open.items()):
            record.cut_off = True
            task.cancel()
        await self._wait_idle(FLUSH_TIMEOUT_S)

    async def _wait_idle(self, timeout_s: float) -> bool:
        """Wait until no request is open and all bytes are acknowledged; False after `timeout_s`."""
        try:
            async with asyncio.timeout(max(0.0, timeout_s)):
                while self._open:
                    self._idle.clear()
                    await self._idle.wait()
                while self.unsent_bytes():  # noqa: ASYNC110 - there is no event for an acknowledgement
                    await asyncio.sleep(UNSENT_POLL_S)
        except TimeoutError:
            return False
        return True
