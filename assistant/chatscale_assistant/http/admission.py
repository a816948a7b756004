"""How many requests are answered at the same time, and how many wait.

Under load the model step is dropped first (`upstream`). Beyond what the pod can answer without the model, a request
gets 429 with Retry-After within `wait_timeout_s`, so that its client can try another pod.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from chatscale_assistant import metrics
from chatscale_assistant.http.options import HttpOptions
from chatscale_contract.openai.errors import ApiError


@dataclass(slots=True)
class Admission:
    """Places of one pod. Used on the event loop only. The order is first come, first served."""

    options: HttpOptions
    name: str
    """Of the ShopAssistant, for the metric."""
    running: int = 0
    waiting: int = 0
    _places: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._places = asyncio.Semaphore(self.options.max_running)
        self._report()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place. Raises ApiError 429 if too many wait, or if none is free in time."""
        await self._take()
        self.running += 1
        self._report()
        try:
            yield
        finally:
            self.running -= 1
            self._report()
            self._places.release()

    async def _take(self) -> None:
        if not self._places.locked():
            await self._places.acquire()
            return
        if self.waiting >= self.options.max_waiting:
            raise _busy()
        self.waiting += 1
        self._report()
        try:
            async with asyncio.timeout(self.options.wait_timeout_s):
                await self._places.acquire()
        except TimeoutError as error:
            raise _busy() from error
        finally:
            self.waiting -= 1
            self._report()

    def _report(self) -> None:
        metrics.REQUESTS_IN_FLIGHT_GAUGE.labels(self.name).set(self.running + self.waiting)


def _busy() -> ApiError:
    text = "this pod of the assistant has as many requests as it can answer; try again later"
    return ApiError(429, text, code="assistant_busy", retry_after_s=1)
