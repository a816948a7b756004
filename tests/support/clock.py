"""Time under a test's control: a clock to hand in, and an event loop that jumps over every wait."""

import asyncio
import selectors
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from tests.support.builders import START

T = TypeVar("T")


class FakeClock:
    """Stands still until told to advance."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


class _JumpingSelector(selectors.SelectSelector):
    """Where the loop would wait for its next timer, time jumps there instead."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits, and nothing will ever happen")
        self.elapsed += timeout
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`asyncio.sleep(60)` takes no time; `loop.time()` says that it took 60 s. For code without real I/O."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.elapsed


def eventually(check: Callable[[], T], *, within: float = 30.0, every: float = 0.25) -> T:
    """Repeat `check` until it raises no AssertionError, for at most `within` seconds; then its error stands."""
    deadline = time.monotonic() + within
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(every)
