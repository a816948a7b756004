"""Finds a jump of the arrival rate: a change that is larger than the noise of this model's traffic. Pure.

The load is averaged over a minute, because a shorter average follows single arrivals. A jump must not wait for that
minute. Once it is found, the average starts at the jump.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from chatscale.scaling.tuning import DISPERSION_MEMORY, JUMP_RATIO, JUMP_SIGNIFICANCE, JUMP_WINDOW, LOAD_WINDOW
from chatscale.scaling.windows import Window

_ANSCOMBE = 3 / 8
_MAX_RESIDUAL = 9.0
"""Largest square of one standardized residual: one spike must not hide the next one."""


@dataclass(frozen=True, slots=True)
class Jump:
    """A change of the arrival rate."""

    since: datetime
    """Time of the last reading before the change."""
    seen_at: datetime
    """Time of the first reading after the change, which may cover only a part of it."""
    rps_before: float
    """Requests per second before the change."""


@dataclass(frozen=True, slots=True)
class _Count:
    requests: float = 0.0
    seconds: float = 0.0

    @property
    def rps(self) -> float:
        return self.requests / self.seconds if self.seconds > 0 else 0.0

    def plus(self, requests: float, seconds: float) -> "_Count":
        return _Count(self.requests + requests, self.seconds + seconds)


@dataclass(frozen=True, slots=True)
class ArrivalNoise:
    """How much more the arrivals of this model vary than independent arrivals (a Poisson process) do."""

    dispersion: float = 1.0
    """Variance of the requests in one reading, over their mean; at least 1."""

    def with_reading(self, requests: float, seconds: float, mean_rps: float) -> "ArrivalNoise":
        """Add one reading that is not part of a jump. mean_rps: over LOAD_WINDOW, this reading included."""
        expected = mean_rps * seconds
        if expected <= 0:
            return self
        residual = min((requests - expected) ** 2 / expected, _MAX_RESIDUAL)
        kept = math.exp(-seconds / DISPERSION_MEMORY.total_seconds())
        return ArrivalNoise(max(self.dispersion * kept + residual * (1 - kept), 1.0))


def find_jump(arrivals: Window, spans_s: Window, noise: ArrivalNoise, last: Jump | None, now: datetime) -> Jump | None:
    """The jump that is in effect at `now`: a new one, or `last` until the average covers LOAD_WINDOW again.

    arrivals and spans_s: requests and seconds of each reading, the newest at `now`. A new jump is compared with the
    readings since the last one.
    """
    last = last if last is not None and now - last.since < LOAD_WINDOW else None
    start = now - LOAD_WINDOW if last is None else last.since
    readings = [
        (counted.last, counted.total, covered.total)
        for counted, covered in zip(arrivals.buckets, spans_s.buckets, strict=True)
        if counted.last > start
    ]
    before = _Count(sum(requests for _, requests, _ in readings), sum(seconds for _, _, seconds in readings))
    after, found, significance = _Count(), last, JUMP_SIGNIFICANCE
    for at in range(len(readings) - 1, 0, -1):
        _, requests, seconds = readings[at]
        if after.seconds > 0 and after.seconds + seconds > JUMP_WINDOW.total_seconds():
            break
        before, after = before.plus(-requests, -seconds), after.plus(requests, seconds)
        here = _significance(before, after, noise)
        if here > significance and after.rps > JUMP_RATIO * before.rps:
            significance, found = here, Jump(readings[at - 1][0], readings[at][0], before.rps)
    return found


def _significance(before: _Count, after: _Count, noise: ArrivalNoise) -> float:
    """Standard deviations between two Poisson rates: the square root test (Huffman 1984), with overdispersion."""
    if before.seconds <= 0 or after.seconds <= 0:
        return 0.0
    share = after.seconds / before.seconds
    difference = math.sqrt(after.requests + _ANSCOMBE) - math.sqrt(max(before.requests, 0.0) * share + _ANSCOMBE)
    return 2 * difference / math.sqrt((1 + share) * noise.dispersion)


def span_since(jump: Jump | None, as_of: datetime) -> timedelta:
    """The averaging window of the load at `as_of`."""
    return LOAD_WINDOW if jump is None else min(LOAD_WINDOW, as_of - jump.since)
