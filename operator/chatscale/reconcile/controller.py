"""Runs passes over custom resources: one worker per object, started by changes and by the object's own timer.

The passes over one object never overlap, and changes during a pass cause one more pass. A failure delays only its own
object. The type of an error decides what follows; see `chatscale.errors`. The controller knows no kind: the
object's kind selects the reconciler.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from chatscale import metrics
from chatscale.desired.manifest import ObjectKey
from chatscale.errors import ClusterUnavailableError, ConflictError

SETTLE_S: Final = 0.2
"""Minimum time between two passes over an object, so that dozens of events in a rollout cause a few passes."""
FIRST_RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 30.0
"""Maximum retry delay, so that passes resume soon after an outage of the API server."""
CONFLICT_WAIT_S: Final = 30.0
"""After a conflict the watch delivers the newer object and starts a pass. This limit covers a broken watch."""

log = logging.getLogger(__name__)


class Reconciler(Protocol):
    """The passes over all objects of one kind."""

    def reconcile(self, key: ObjectKey) -> Awaitable[float | None]:
        """Run one pass. Returns the seconds until the next pass, None if the object does not exist."""
        ...


@dataclass(slots=True)
class _Worker:
    task: asyncio.Task[None]
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class Controller:
    """The workers of all objects. reconcilers: by kind, such as `ChatModel`.

    Call `wake` on the event loop that runs `run`.
    """

    def __init__(self, reconcilers: Mapping[str, Reconciler], jitter: Callable[[], float] = random.random) -> None:
        self._reconcilers = dict(reconcilers)
        self._jitter = jitter
        self._workers: dict[ObjectKey, _Worker] = {}
        self._group: asyncio.TaskGroup | None = None
        self._stopping = asyncio.Event()

    def add(self, kind: str, reconciler: Reconciler) -> None:
        """Add the reconciler of one more kind, before `run`."""
        self._reconcilers[kind] = reconciler

    async def run(self, existing: Iterable[ObjectKey] = ()) -> None:
        """Work until `stop` or until cancelled, beginning with a pass over each existing object.

        Cancels the passes that run at that moment and waits for their end: the next process continues from the state
        of the cluster. May be called again afterwards.
        """
        self._stopping.clear()
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for key in existing:
                    self.wake(key)
                await self._stopping.wait()
                self._group = None
                for worker in self._workers.values():
                    worker.task.cancel()
        finally:
            self._group = None
            self._workers.clear()

    def stop(self) -> None:
        """Make `run` return soon."""
        self._stopping.set()

    def wake(self, key: ObjectKey) -> None:
        """Run a pass soon: the object or something that concerns it has changed, or the object is deleted."""
        if self._group is None:
            return
        worker = self._workers.get(key)
        if worker is None:
            woken = asyncio.Event()
            worker = _Worker(self._group.create_task(self._work(key, woken), name=f"reconcile {key}"), woken)
            self._workers[key] = worker
        worker.woken.set()

    @property
    def is_running(self) -> bool:
        """Whether `wake` has an effect."""
        return self._group is not None

    async def _work(self, key: ObjectKey, woken: asyncio.Event) -> None:
        failures = 0
        delay: float | None = 0.0
        while delay is not None or woken.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await woken.wait()
            woken.clear()
            delay, failures = await self._attempt(key, failures)
            # Events do not shorten this pause, and a failing pass cannot either.
            await asyncio.sleep(SETTLE_S if failures == 0 else self._backoff(failures))
        # There is no await since the last check of `woken`: a later wake finds no worker and starts a new one.
        del self._workers[key]

    async def _attempt(self, key: ObjectKey, failures: int) -> tuple[float | None, int]:
        """Run one pass. Returns the seconds until the next pass and the number of consecutive failures."""
        started = time.monotonic()
        fields = {"object": str(key), "failures": failures + 1}
        delay: float | None = 0.0
        try:
            delay = await self._reconcilers[key.kind].reconcile(key)
            outcome, failures = ("gone" if delay is None else "ok"), 0
        except Exception as raised:  # the top of the loop: no error of a pass ends the worker
            match _worst_of(raised):
                case ConflictError() as error:
                    log.info("conflict, waiting for the watch", extra={"object": str(key), "why": str(error)})
                    outcome, delay, failures = "conflict", CONFLICT_WAIT_S, 0
                case ClusterUnavailableError() as error:
                    log.warning("cluster unavailable", extra={**fields, "why": str(error)})
                    outcome, failures = "unavailable", failures + 1
                case _:
                    log.exception("bug in a pass", extra=fields)
                    outcome, failures = "bug", failures + 1
        metrics.RECONCILE_TOTAL.labels(key.kind, outcome).inc()
        metrics.RECONCILE_SECONDS.observe(time.monotonic() - started)
        return delay, failures

    def _backoff(self, failures: int) -> float:
        """Double the delay with each failure. The jitter spreads the retries of objects that failed together."""
        longest: float = min(FIRST_RETRY_S * 2.0 ** min(failures - 1, 10), LONGEST_RETRY_S)
        return longest * (0.5 + 0.5 * self._jitter())


def _worst_of(error: Exception) -> Exception:
    """The error itself, or of a task group's errors the one that needs the strongest reaction: a bug, then a retry."""
    if not isinstance(error, ExceptionGroup):
        return error
    return max((_worst_of(each) for each in error.exceptions), key=_severity)


def _severity(error: Exception) -> int:
    match error:
        case ConflictError():
            return 0
        case ClusterUnavailableError():
            return 1
        case _:
            return 2
