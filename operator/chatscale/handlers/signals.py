"""SIGTERM and SIGINT before kopf handles them.

As process 1 of a container, Python ignores SIGTERM until it has a handler. kopf installs its own when it starts; a pod
that still waits for the CRD would end only when its termination grace period is over.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final


class Stopped(Exception):  # noqa: N818 - not an error: the process was asked to end
    """A signal came during a block of `StopSignal.cancels`."""


class StopSignal:
    """SIGTERM or SIGINT, until kopf replaces the handlers. Create it on the running event loop of the main thread.

    kopf's stop flag is not used: kopf leaves a task that waits for it, and would wait 5 s for this task at its end. It
    is not needed either, as the event loop does not run between the last block and kopf's own handlers.
    """

    def __init__(self) -> None:
        self.has_come: Final = asyncio.Event()
        self._block: asyncio.Timeout | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop)

    @asynccontextmanager
    async def cancels(self) -> AsyncIterator[None]:
        """Cancel the block when a signal comes, or has come, and raise Stopped."""
        block = asyncio.timeout(None)
        try:
            async with block:
                self._block = block
                if self.has_come.is_set():
                    block.reschedule(0)
                yield
        except TimeoutError:
            if block.expired():
                raise Stopped from None
            raise
        finally:
            self._block = None

    def _stop(self) -> None:
        if not self.has_come.is_set() and self._block is not None:
            self._block.reschedule(0)
        self.has_come.set()
