"""A fixed replica count, chosen with knowledge of the load."""

import math
from dataclasses import dataclass

from chatscale_simulator.simulation.snapshot import MetricsSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticSettings:
    """A fixed fleet."""

    replicas: int
    scale: float = 1.0
    """Factor on `replicas`, rounded up: a larger or a smaller safety margin."""
    period_s: float = 60.0


class Static:
    """Always the same count. Source: none; peak-sized and mean-sized fleets are the practice without an autoscaler."""

    reads_live = False

    def __init__(self, settings: StaticSettings) -> None:
        self.period_s = settings.period_s
        self._replicas = max(1, math.ceil(settings.replicas * settings.scale))

    def decide(self, snapshot: MetricsSnapshot) -> int:  # noqa: ARG002 - the count is fixed
        """Return the fixed count."""
        return self._replicas
