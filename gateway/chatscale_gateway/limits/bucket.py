"""A token bucket with continuous refill. Time is an argument: seconds of a monotonic clock."""

from typing import Final

_MINUTE_S: Final = 60.0
_ROUNDING: Final = 1e-6
"""Who waits exactly as long as `wait_s` said is not refused for the last bit of a float."""


class Bucket:
    """Holds what a minute allows, and refills evenly.

    The level is negative after a request used more than was reserved for it: the debt is repaid before the next one.
    """

    __slots__ = ("_at_s", "_level", "per_minute")

    def __init__(self, per_minute: int, now_s: float, missing: float = 0.0) -> None:
        """missing: how far from full it starts."""
        self.per_minute = per_minute
        self._level = per_minute - missing
        self._at_s = now_s

    def level(self, now_s: float) -> float:
        """What may be taken now; negative for a debt."""
        if now_s > self._at_s:
            self._level = min(self.per_minute, self._level + (now_s - self._at_s) * self.per_minute / _MINUTE_S)
            self._at_s = now_s
        return self._level

    def missing(self, now_s: float) -> float:
        """How far from full, at least 0."""
        return self.per_minute - self.level(now_s)

    def take(self, amount: float, now_s: float) -> None:
        """Remove an amount, even below 0. A negative amount is given back, up to a full bucket."""
        self._level = min(self.per_minute, self.level(now_s) - amount)

    def wait_s(self, amount: float, now_s: float) -> float:
        """Seconds until `amount` can be taken; infinite if it is more than a full bucket."""
        lacking = amount - self.level(now_s)
        if lacking <= _ROUNDING:
            return 0.0
        return lacking * _MINUTE_S / self.per_minute if amount <= self.per_minute else float("inf")

    def full_in_s(self, now_s: float) -> float:
        """Seconds until it is full."""
        return self.missing(now_s) * _MINUTE_S / self.per_minute if self.per_minute else 0.0

    def change(self, per_minute: int, now_s: float) -> None:
        """Apply a new limit. The share that is left stays, so it is full at the same time as before.

        With the same amount used, a key whose limit falls from 1,000,000 to 1,000 would be refused for hours.
        """
        self._level = self.level(now_s) * per_minute / self.per_minute if self.per_minute else float(per_minute)
        self.per_minute = per_minute
