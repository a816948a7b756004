"""The peer that does not scale: a count chosen once, by someone who knew the load."""

import math
from dataclasses import dataclass

from chatscale_simulator.simulation.view import View


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticSettings:
    """A fixed fleet."""

    replicas: int
    scale: float = 1.0
    """Times `replicas`, rounded up: what a cautious or a thrifty person would have chosen."""
    period_s: float = 60.0


class Static:
    """Always the same count. Source: none; peak-sized and mean-sized fleets are the practice without an autoscaler."""

    direct = False

    def __init__(self, settings: StaticSettings) -> None:
        self.period_s = settings.period_s
        self._replicas = max(1, math.ceil(settings.replicas * settings.scale))

    def decide(self, view: View) -> int:  # noqa: ARG002 - that is the point
        """Return the count it was made with."""
        return self._replicas
