"""Time under a test's control: a clock to hand in, and an event loop that jumps over every wait."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

import looptime

from tests.support.builders import START

T = TypeVar("T")


class FakeClock:
    """Stands still until told to advance."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    monotonic_s = 1000.0

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.monotonic_s

    def advance(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        self.monotonic_s += seconds
        return self.now

    def set_wall(self, seconds: float) -> None:
        """Someone sets the wall clock forward, or back if negative."""
        self.now += timedelta(seconds=seconds)


def virtual_time_loop() -> asyncio.AbstractEventLoop:
    """An event loop in which `asyncio.sleep(60)` takes no real time. For code without real I/O.

    A test in which every task waits forever fails after a real second.
    """
    return looptime.new_event_loop(start=0, idle_timeout=1.0)


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
