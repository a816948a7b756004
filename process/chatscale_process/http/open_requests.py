"""The requests that a process handles, and the end of them when it leaves."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

FLUSH_TIMEOUT_S: Final = 2.0
"""Time for handlers to write their last bytes after the grace period."""
UNSENT_POLL_S: Final = 0.02


class OpenRequest(Protocol):
    """The record of a request."""

    cut_off: bool
    """The process ended before the request did."""


@dataclass(slots=True)
class OpenRequests:
    """Used on the event loop only."""

    unsent_bytes: Callable[[], int] = lambda: 0
    """Response bytes that clients have not acknowledged."""
    _open: dict[asyncio.Task[None], OpenRequest] = field(default_factory=dict)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def serving(self, record: OpenRequest) -> Iterator[None]:
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

    async def finish(self, timeout_s: float) -> bool:
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

    async def cut_off(self) -> None:
        """Cancel what is open, and let the handlers write their last bytes."""
        for task, record in list(self._open.items()):
            record.cut_off = True
            task.cancel()
        await self.finish(FLUSH_TIMEOUT_S)
