"""KubeAI: active requests at its proxies, averaged over ten minutes."""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from chatscale_simulator.simulation.view import Column, View


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeAiSettings:
    """`modelAutoscaling` of the system and the model's fields, as shipped."""

    target_requests: float = 100.0
    time_window_s: float = 600.0
    scale_down_delay_s: float = 30.0
    period_s: float = 10.0
    """`interval`; window and delay are counted in whole intervals."""
    min_replicas: int = 1
    max_replicas: int = 64


class KubeAi:
    """KubeAI's autoscaler.

    Source: kubeai-project/kubeai (substratusai/kubeai before) at f442a2c, internal/modelautoscaler/autoscaler.go,
    internal/modelclient/scale.go, internal/movingaverage/simple.go, internal/config/system.go. The average is over a
    ring that starts full of zeros, so that it rises slowly at first too. A lower result acts only after
    ceil(delay / interval) others in a row; one that is not lower begins the count again; the count is not begun
    again by acting. If its own metrics cannot be had, it skips the round.
    Simplified: scale from zero, which its proxy does.
    """

    direct = True

    def __init__(self, settings: KubeAiSettings | None = None) -> None:
        self.settings: Final = settings or KubeAiSettings()
        self.period_s = self.settings.period_s
        readings = math.ceil(self.settings.time_window_s / self.period_s)
        self._ring = deque([0.0] * readings, maxlen=readings)
        self._sum = 0.0
        self._required = math.ceil(self.settings.scale_down_delay_s / self.period_s)
        self._lower_in_a_row = 0

    def decide(self, view: View) -> int:
        """Return the replicas wanted now."""
        if view.blind:
            return view.desired
        settings = self.settings
        active = view.total(Column.WAITING) + view.total(Column.RUNNING)
        self._sum += active - self._ring[0]
        self._ring.append(active)
        average = max(0.0, self._sum) / len(self._ring)
        wanted = math.ceil(average / settings.target_requests)
        wanted = min(max(wanted, settings.min_replicas), settings.max_replicas)
        if wanted >= view.desired:
            self._lower_in_a_row = 0
            return wanted
        if self._lower_in_a_row < self._required:
            self._lower_in_a_row += 1
            return view.desired
        return wanted
