"""Stops calls to a server that does not answer, so that customers do not wait for it."""

from collections.abc import Callable
from typing import Final

FAILURES: Final = 5
"""In a row; then the breaker opens."""
OPEN_S: Final = 10.0


class Breaker:
    """Closed: calls run. Open: none runs for `OPEN_S`; then one call tries, and its result decides.

    clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock: Final = clock
        self._failures = 0
        self._opens_until_s = float("-inf")

    def admits(self) -> bool:
        """Whether a call may run now. The call that tries an open breaker keeps others away while it runs."""
        if self._failures < FAILURES:
            return True
        if self._clock() < self._opens_until_s:
            return False
        self._opens_until_s = self._clock() + OPEN_S
        return True

    def succeeded(self) -> None:
        """The server answered, with whatever result."""
        self._failures = 0

    def failed(self) -> None:
        """The server did not answer, or not in time."""
        self._failures += 1
        if self._failures >= FAILURES:
            self._opens_until_s = self._clock() + OPEN_S
