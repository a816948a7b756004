"""One thread for encoders and searches, so that the event loop is never blocked and encoders never compete for a CPU.

Questions of customers go first. A batch of passages that runs already takes 0.1 s, so that is what a question waits for
at most while an index is built.
"""

import asyncio
import itertools
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, TypeVar

T = TypeVar("T")
_THREAD_NAME: Final = "assistant-search"


class Priority(IntEnum):
    """Which job is next. Equal ones run in the order of their arrival."""

    QUESTION = 0
    INDEXING = 1
    CLOSE = 2


@dataclass(order=True, slots=True)
class _Job:
    priority: Priority
    number: int
    run: Callable[[], None] = field(compare=False)


class Worker:
    """Runs functions in its thread. Start it and use it from one event loop; close it once."""

    def __init__(self) -> None:
        self._jobs: queue.PriorityQueue[_Job] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._given = 0
        self._begun = 0
        self._open = True
        self._thread = threading.Thread(target=self._run, name=_THREAD_NAME, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Questions that wait for the thread."""
        return self._given - self._begun

    async def call(self, function: Callable[[], T], priority: Priority = Priority.QUESTION) -> T:
        """The function's result or exception. A job whose caller was cancelled before it began is left out."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()
        cancelled = threading.Event()

        def run() -> None:
            self._begun += priority is Priority.QUESTION
            if cancelled.is_set():
                return
            try:
                value = function()
            except BaseException as e:  # noqa: BLE001 - it belongs to the caller
                _hand_back(loop, _set_exception, result, e)
            else:
                _hand_back(loop, _set_result, result, value)

        self._given += priority is Priority.QUESTION
        self._put(priority, run)
        try:
            return await result
        finally:
            cancelled.set()

    async def close(self) -> None:
        """Waits for the jobs that were given before."""
        if self._open:
            self._open = False
            self._put(Priority.CLOSE, _stop)
        await asyncio.to_thread(self._thread.join)

    def _put(self, priority: Priority, run: Callable[[], None]) -> None:
        self._jobs.put(_Job(priority, next(self._numbers), run))

    def _run(self) -> None:
        while (job := self._jobs.get()).run is not _stop:
            job.run()


def _stop() -> None:
    """Marks the end of the queue."""


def _set_result(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)


def _set_exception(future: asyncio.Future[T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _hand_back(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: object) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(function, *arguments)
