"""KubeAI: active requests at its proxies, averaged over ten minutes."""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from chatscale_simulator.simulation.snapshot import Column, MetricsSnapshot


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
    ring that starts with zeros, so it rises slowly at first. A lower result applies only after ceil(delay / interval)
    lower results in a row; a result that is not lower resets this counter, a scale down does not. Without metrics it
    skips the round.
    Simplified: no scale from zero, which its proxy does.
    """

    reads_live = True

    def __init__(self, settings: KubeAiSettings | None = None) -> None:
        self.settings: Final = settings or KubeAiSettings()
        self.period_s = self.settings.period_s
        readings = math.ceil(self.settings.time_window_s / self.period_s)
        self._ring = deque([0.0] * readings, maxlen=readings)
        self._sum = 0.0
        self._required = math.ceil(self.settings.scale_down_delay_s / self.period_s)
        self._lower_in_a_row = 0

    def decide(self, snapshot: MetricsSnapshot) -> int:
        """Return the recommended replica count."""
        if snapshot.has_no_data:
            return snapshot.desired
        settings = self.settings
        active = snapshot.total(Column.WAITING) + snapshot.total(Column.RUNNING)
        self._sum += active - self._ring[0]
        self._ring.append(active)
        average = max(0.0, self._sum) / len(self._ring)
        recommended = math.ceil(average / settings.target_requests)
        recommended = min(max(recommended, settings.min_replicas), settings.max_replicas)
        if recommended >= snapshot.desired:
            self._lower_in_a_row = 0
            return recommended
        if self._lower_in_a_row < self._required:
            self._lower_in_a_row += 1
            return snapshot.desired
        return recommended
