"""`Retry-After`: from the rate at which a queue empties, or from the time that a first replica takes to start."""

from collections import deque
from math import ceil
from typing import Final

SHORTEST_RETRY_S: Final = 1
LONGEST_RETRY_S: Final = 60
"""OpenAI's older clients ignore a longer `Retry-After`."""
RETRY_WITHOUT_RATE_S: Final = 10
"""No request left the queue within the window, or a start takes longer than measured or was never measured. A guess."""
_WINDOW_S: Final = 30.0
_MAX_SAMPLES: Final = 64


def retry_after_start_s(start_s: float | None, waited_s: float) -> int:
    """Seconds until a replica that starts should be ready, 1 to 60.

    start_s: measured time of the last starts; None if no start was measured.  waited_s: since the start was requested.
    """
    if start_s is None or waited_s >= start_s:
        return RETRY_WITHOUT_RATE_S
    return min(LONGEST_RETRY_S, max(SHORTEST_RETRY_S, ceil(start_s - waited_s)))


class DrainRate:
    """The last requests that left the queue for a replica."""

    __slots__ = ("_released_s",)

    def __init__(self) -> None:
        self._released_s: deque[float] = deque(maxlen=_MAX_SAMPLES)

    def record(self, now_s: float) -> None:
        """A held request got a place."""
        self._released_s.append(now_s)

    def retry_after_s(self, waiting: int, now_s: float) -> int:
        """Seconds until the `waiting` requests have left the queue at the recent rate, 1 to 60."""
        released_s = self._released_s
        while released_s and now_s - released_s[0] > _WINDOW_S:
            released_s.popleft()
        if not released_s:
            return RETRY_WITHOUT_RATE_S
        # Requests released in one batch say little about the rate, so the time since then counts for at least 1 s.
        per_second = len(released_s) / max(1.0, now_s - released_s[0])
        return min(LONGEST_RETRY_S, max(SHORTEST_RETRY_S, ceil(waiting / per_second)))
