"""Runs passes: one worker per ChatModel, woken by events and by its own clock, until told to stop.

Passes over one object never overlap; wakes that come during a pass make one more. A failure delays its own object
and no other. What went wrong is told by the error's type: see `chatscale.errors`.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from chatscale import metrics
from chatscale.errors import ClusterUnavailableError, ConflictError
from chatscale.reconcile.snapshot import Key, Revision

SETTLE_S: Final = 0.2
"""Least time between two passes over an object: a rollout's dozens of events become a few passes."""
FIRST_RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 30.0
"""An API server that is back in the middle of a burst must not be waited for longer."""

log = logging.getLogger(__name__)


class Reconciler(Protocol):
    """What a controller runs."""

    def reconcile(self, key: Key) -> Awaitable[float | None]:
        """One pass: seconds until the next, None once the object is gone."""
        ...


@dataclass(slots=True)
class _Worker:
    task: asyncio.Task[None]
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    seen: Revision | None = None
    """The newest that an event of the ChatModel itself told."""


class Controller:
    """The workers of all ChatModels. `wake` is called on the event loop that runs `run`."""

    def __init__(self, reconciler: Reconciler, jitter: Callable[[], float] = random.random) -> None:
        self._reconciler = reconciler
        self._jitter = jitter
        self._workers: dict[Key, _Worker] = {}
        self._group: asyncio.TaskGroup | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Work until `stop`. Passes under way are cancelled: the next process continues from the cluster's state."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            await self._stopping.wait()
            self._group = None
            for worker in self._workers.values():
                worker.task.cancel()

    def stop(self) -> None:
        """End `run` soon."""
        self._stopping.set()

    def wake(self, key: Key, revision: Revision | None = None) -> None:
        """Something about the ChatModel may have changed, or it may be gone: the pass will see.

        With `revision` given (the ChatModel's own event), one seen before is ignored: our status patches come
        back as events, and must not make us read metrics again.
        """
        if self._group is None:
            return
        worker = self._workers.get(key)
        if worker is None:
            woken = asyncio.Event()
            worker = _Worker(self._group.create_task(self._work(key, woken), name=f"reconcile {key}"), woken)
            self._workers[key] = worker
        elif revision is not None and worker.seen == revision:
            return
        worker.seen = revision or worker.seen
        worker.woken.set()

    @property
    def is_running(self) -> bool:
        """Whether wakes are taken."""
        return self._group is not None

    async def _work(self, key: Key, woken: asyncio.Event) -> None:
        failures = 0
        delay: float | None = 0.0
        while delay is not None or woken.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await woken.wait()
            woken.clear()
            delay, failures = await self._attempt(key, failures)
            # However fast events come, and whatever a failing pass asks for.
            await asyncio.sleep(SETTLE_S if failures == 0 else self._backoff(failures))
        # No await since the last look at `woken`: a wake that comes now finds no worker and makes one.
        del self._workers[key]

    async def _attempt(self, key: Key, failures: int) -> tuple[float | None, int]:
        """One pass: the delay to the next, and how many have failed in a row."""
        started = time.monotonic()
        fields = {"chatmodel": str(key), "failures": failures + 1}
        delay: float | None = 0.0
        try:
            delay = await self._reconciler.reconcile(key)
            outcome, failures = ("gone" if delay is None else "ok"), 0
        except ConflictError as error:
            log.info("conflict, reading again", extra={**fields, "why": str(error)})
            outcome, failures = "conflict", failures + 1
        except ClusterUnavailableError as error:
            log.warning("cluster unavailable", extra={**fields, "why": str(error)})
            outcome, failures = "unavailable", failures + 1
        except Exception:
            log.exception("bug in a pass", extra=fields)
            outcome, failures = "bug", failures + 1
        metrics.RECONCILE_TOTAL.labels(outcome).inc()
        metrics.RECONCILE_SECONDS.observe(time.monotonic() - started)
        return delay, failures

    def _backoff(self, failures: int) -> float:
        """Doubling, with jitter downwards so that objects that failed together do not come back together."""
        longest: float = min(FIRST_RETRY_S * 2.0 ** min(failures - 1, 10), LONGEST_RETRY_S)
        return longest * (0.5 + 0.5 * self._jitter())
