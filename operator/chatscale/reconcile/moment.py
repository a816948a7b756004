"""The time of a pass on two clocks. Ages and intervals use the monotonic one, which nobody can set."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment."""

    wall: datetime
    """For times that are shown, and for comparison with times that Kubernetes wrote. Aware."""
    monotonic_s: float
    """For ages and intervals."""

    def since(self, earlier: float) -> float:
        """Seconds since an earlier `monotonic_s`."""
        return self.monotonic_s - earlier

    def stepped_since(self, earlier: Self) -> float:
        """Seconds that the wall clock was set forward since then; negative if it was set back.

        Slow corrections, such as those of NTP, are a small part of the time between.
        """
        return (self.wall - earlier.wall).total_seconds() - self.since(earlier.monotonic_s)
