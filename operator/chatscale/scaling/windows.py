"""Values over a span of time: mean, lowest, highest. Immutable; the span and `now` are arguments."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

BUCKETS: Final = 60
"""Values within a sixtieth of the span share a bucket. So the size of a window does not depend on the interval."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Values that are close together in time."""

    start: datetime
    last: datetime
    count: int
    total: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Window:
    """Values in order of time; older ones than the span are dropped."""

    buckets: tuple[Bucket, ...] = ()

    def with_value(self, at: datetime, value: float, span: timedelta) -> "Window":
        """The window with one more value, without the values older than `span`."""
        kept = self._within(at, span)
        newest = kept[-1] if kept else None
        if newest is None or (at > newest.start and at - newest.start >= span / BUCKETS):
            return Window((*kept, Bucket(at, at, 1, value, value, value)))
        merged = replace(
            newest,
            last=max(newest.last, at),
            count=newest.count + 1,
            total=newest.total + value,
            low=min(newest.low, value),
            high=max(newest.high, value),
        )
        return Window((*kept[:-1], merged))

    def mean(self, now: datetime, span: timedelta) -> float:
        """The mean of the last `span`; 0 for an empty window."""
        buckets = self._recent(now, span)
        count = sum(bucket.count for bucket in buckets)
        return sum(bucket.total for bucket in buckets) / count if count else 0.0

    def low(self, now: datetime, span: timedelta) -> float:
        """The lowest value of the last `span`; 0 for an empty window."""
        return min((bucket.low for bucket in self._recent(now, span)), default=0.0)

    def high(self, now: datetime, span: timedelta) -> float:
        """The highest value of the last `span`; 0 for an empty window."""
        return max((bucket.high for bucket in self._recent(now, span)), default=0.0)

    def _within(self, now: datetime, span: timedelta) -> tuple[Bucket, ...]:
        return tuple(bucket for bucket in self.buckets if bucket.last > now - span or bucket.last >= now)

    def _recent(self, now: datetime, span: timedelta) -> tuple[Bucket, ...]:
        """The buckets within the span, or else the newest one: a span may be shorter than the decision interval."""
        return self._within(now, span) or self.buckets[-1:]
