"""Ray Serve: ongoing requests over a look-back period, with a delay before each change."""

import math
from dataclasses import dataclass
from typing import Final

from chatscale_simulator.policies.windows import INSTANT_S, WindowedMean
from chatscale_simulator.simulation.snapshot import Column, MetricsSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class RayServeSettings:
    """`AutoscalingConfig`, as shipped."""

    target_ongoing_requests: float = 2.0
    look_back_s: float = 30.0
    upscale_delay_s: float = 30.0
    downscale_delay_s: float = 600.0
    upscaling_factor: float = 1.0
    downscaling_factor: float = 1.0
    period_s: float = 10.0
    """`metrics_interval_s`: the control loop of 0.1 s reads no new metrics in between."""
    min_replicas: int = 1
    max_replicas: int = 64


class RayServe:
    """Ray Serve's default policy.

    Source: ray-project/ray at 00590c4, python/ray/serve/autoscaling_policy.py (`_core_replica_queue_length_policy`,
    `_apply_scaling_factors`, `_apply_delay_logic`); defaults of its AutoscalingConfig. Replicas and handles push
    their own counts, queued requests included.
    Simplified: the delay counts seconds in which every decision was "higher" (or "lower") instead of 0.1 s loops;
    `max_ongoing_requests` (5) limits no batch, because the simulated engine has its own limit.
    """

    reads_live = True

    def __init__(self, settings: RayServeSettings | None = None) -> None:
        self.settings: Final = settings or RayServeSettings()
        self.period_s = self.settings.period_s
        self._ongoing = WindowedMean(self.settings.look_back_s)
        self._direction = 0
        """Direction that has been recommended since `_since_s`: -1, 0 or 1."""
        self._since_s = 0.0

    def decide(self, snapshot: MetricsSnapshot) -> int:
        """Return the recommended replica count."""
        if snapshot.has_no_data or not snapshot.ready:
            return snapshot.desired
        settings = self.settings
        ongoing = self._ongoing.put(snapshot.now_s, snapshot.total(Column.WAITING) + snapshot.total(Column.RUNNING))
        scaled = self._scaled(ongoing / settings.target_ongoing_requests, snapshot.ready)
        recommended = min(max(scaled, settings.min_replicas), settings.max_replicas)
        return self._after_delay(snapshot.now_s, snapshot.desired, recommended)

    def _scaled(self, desired: float, running: int) -> int:
        delta = desired - running
        factor = self.settings.upscaling_factor if delta > 0 else self.settings.downscaling_factor
        scaled = math.ceil(running + factor * delta)
        stuck = math.ceil(desired) < running and scaled == running
        return scaled - 1 if stuck else scaled

    def _after_delay(self, now_s: float, current: int, recommended: int) -> int:
        direction = (recommended > current) - (recommended < current)
        if direction != self._direction:
            self._direction, self._since_s = direction, now_s
        delay_s = self.settings.upscale_delay_s if direction > 0 else self.settings.downscale_delay_s
        if direction == 0 or now_s - self._since_s < delay_s - INSTANT_S:
            return current
        self._direction = 0
        return recommended
