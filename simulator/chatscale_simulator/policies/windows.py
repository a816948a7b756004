"""Sliding windows of policies: largest, smallest and mean value of the last seconds. `now_s` must be ascending."""

from collections import deque
from typing import Final

INSTANT_S: Final = 1e-6
"""More than the rounding error of a clock that adds up periods: a value this close to a window's edge is on it."""


class WindowedMax:
    """The largest value added in the last `window_s` seconds, the newest included; constant time on average."""

    def __init__(self, window_s: float) -> None:
        self.window_s: Final = window_s
        self._kept: deque[tuple[float, float]] = deque()

    def put(self, now_s: float, value: float) -> float:
        """Add `value` and return the largest within the window."""
        kept = self._kept
        oldest = now_s - self.window_s + INSTANT_S
        while kept and kept[0][0] <= oldest:
            kept.popleft()
        while kept and kept[-1][1] <= value:
            kept.pop()
        kept.append((now_s, value))
        return kept[0][1]


class WindowedMin:
    """The smallest value added in the last `window_s` seconds, the newest included."""

    def __init__(self, window_s: float) -> None:
        self._negated: Final = WindowedMax(window_s)

    def put(self, now_s: float, value: float) -> float:
        """Add `value` and return the smallest within the window."""
        return -self._negated.put(now_s, -value)


class WindowedMean:
    """The plain mean of the values added in the last `window_s` seconds, the newest included."""

    def __init__(self, window_s: float) -> None:
        self.window_s: Final = window_s
        self._kept: deque[tuple[float, float]] = deque()
        self._sum = 0.0

    def put(self, now_s: float, value: float) -> float:
        """Add `value` and return the mean within the window."""
        kept = self._kept
        oldest = now_s - self.window_s + INSTANT_S
        kept.append((now_s, value))
        self._sum += value
        while kept[0][0] <= oldest and len(kept) > 1:
            self._sum -= kept.popleft()[1]
        if len(kept) == 1:
            self._sum = value  # removes the accumulated rounding error
        return self._sum / len(kept)
