"""Announced events on the command line, in hours of the simulated time. Imports no optional package."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from chatscale.api.v1alpha1 import AnnouncedEvent

_EVENT: Final = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)=([1-9]\d{0,3})")


@dataclass(frozen=True, slots=True)
class Event:
    """At least `replicas` between two hours from the start of the simulated time."""

    from_h: float
    to_h: float
    replicas: int

    @property
    def label(self) -> str:
        """The event as written on the command line."""
        return f"{self.from_h:g}-{self.to_h:g}={self.replicas}"

    def at(self, start: datetime) -> AnnouncedEvent:
        """The event on the wall clock. start: wall clock at second 0; aware."""
        return AnnouncedEvent(
            name=f"hours-{self.label}",
            start=start + timedelta(hours=self.from_h),
            end=start + timedelta(hours=self.to_h),
            min_replicas=self.replicas,
        )


def parse_event(text: str) -> Event:
    """Read `20-22.5=12`. Raises ValueError with the expected format and the found text."""
    match = _EVENT.fullmatch(text)
    if match is None or float(match[1]) >= float(match[2]):
        raise ValueError(f"must be two ascending hours and replicas such as 20-22.5=12, found {text!r}")
    return Event(float(match[1]), float(match[2]), int(match[3]))
