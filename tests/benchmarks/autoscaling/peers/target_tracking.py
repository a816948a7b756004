"""Target tracking on concurrency, as for SageMaker endpoints: two alarms, two cooldowns."""

import math
from dataclasses import dataclass
from typing import Final

from chatscale_simulator.policies.windows import INSTANT_S, WindowedMean
from chatscale_simulator.simulation.snapshot import Column, MetricsSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetTrackingSettings:
    """A target tracking policy on ConcurrentRequestsPerModel in high resolution."""

    target: float = 5.0
    """Requests in flight per replica. The service has no default; 5 is the example of its guide for this metric."""
    scale_in_cooldown_s: float = 300.0
    scale_out_cooldown_s: float = 300.0
    points_to_scale_out: int = 3
    """Readings in a row above the target."""
    low_s: float = 900.0
    """Seconds that the one-minute mean stays below `scale_in_fraction` of the target before scaling in."""
    scale_in_fraction: float = 0.9
    period_s: float = 10.0
    """High-resolution metrics have an interval of 10 s."""


class TargetTracking:
    """AWS Application Auto Scaling's target tracking for a SageMaker endpoint.

    Source: documentation only, the service is closed. Application Auto Scaling user guide: scale-out in proportion;
    during its cooldown only a larger scale-out applies; the cooldown of a scale-in does not delay a scale-out; missing
    data never scales in. SageMaker developer guide: the target of 5, readings every 10 s,
    and that scale-in is as slow as with one-minute metrics.
    Assumed, from the alarms that the service creates: 3 points for scale-out, 15 one-minute points below 90 % for
    scale-in, both to ceil(N x metric / target). The documentation calls the real scale-in more conservative, without
    details.
    """

    reads_live = True

    def __init__(self, settings: TargetTrackingSettings | None = None) -> None:
        self.settings: Final = settings or TargetTrackingSettings()
        self.period_s = self.settings.period_s
        self._minute = WindowedMean(60.0)
        self._above = 0
        self._low_since_s: float | None = None
        self._scaled_out_s = -math.inf
        self._scaled_in_s = -math.inf

    def decide(self, snapshot: MetricsSnapshot) -> int:
        """Return the recommended replica count."""
        if snapshot.has_no_data or not snapshot.ready:
            return snapshot.desired
        in_flight = snapshot.total(Column.WAITING) + snapshot.total(Column.RUNNING)
        self._watch(snapshot.now_s, in_flight / snapshot.ready)
        recommended = max(1, math.ceil(in_flight / self.settings.target))
        if self._above >= self.settings.points_to_scale_out:
            return self._scale_out(snapshot, recommended)
        if self._low_since_s is not None and snapshot.now_s - self._low_since_s >= self.settings.low_s - INSTANT_S:
            return self._scale_in(snapshot, recommended)
        return snapshot.desired

    def _watch(self, now_s: float, per_replica: float) -> None:
        settings = self.settings
        self._above = self._above + 1 if per_replica > settings.target else 0
        if self._minute.put(now_s, per_replica) >= settings.scale_in_fraction * settings.target:
            self._low_since_s = None
        elif self._low_since_s is None:
            self._low_since_s = now_s

    def _scale_out(self, snapshot: MetricsSnapshot, recommended: int) -> int:
        if recommended <= snapshot.desired:
            return snapshot.desired
        self._scaled_out_s = snapshot.now_s
        return recommended

    def _scale_in(self, snapshot: MetricsSnapshot, recommended: int) -> int:
        settings = self.settings
        now_s = snapshot.now_s + INSTANT_S
        out_s, in_s = now_s - self._scaled_out_s, now_s - self._scaled_in_s
        if (
            recommended >= snapshot.desired
            or out_s < settings.scale_out_cooldown_s
            or in_s < settings.scale_in_cooldown_s
        ):
            return snapshot.desired
        self._scaled_in_s = snapshot.now_s
        return recommended
