"""KEDA with the preset of the vLLM production-stack: queue depth, which is 0 until all slots are taken."""

from dataclasses import dataclass, field
from typing import Final

from chatscale_simulator.policies.behavior import HpaBehavior, Stabilizer
from chatscale_simulator.policies.hpa import replicas_for_average
from chatscale_simulator.policies.windows import INSTANT_S
from chatscale_simulator.simulation.snapshot import Column, MetricsSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class KedaSettings:
    """A ScaledObject with one Prometheus trigger on `sum(vllm:num_requests_waiting)`."""

    threshold: float = 5.0
    activation_threshold: float = 0.0
    cooldown_s: float | None = 360.0
    """Seconds without an active trigger until the count is set to the idle count. None: no `idleReplicaCount`, only the
    HPA scales down."""
    behavior: HpaBehavior = field(default_factory=HpaBehavior)
    tolerance: float = 0.1
    """Tolerance of the HPA that KEDA creates."""
    period_s: float = 15.0
    """`pollingInterval` of the preset (KEDA's own default is 30), and the sync period of the HPA."""


class Keda:
    """KEDA's Prometheus scaler in front of an HPA.

    Source: kedacore/keda at 8b4f083, pkg/scalers/prometheus_scaler.go (`ignoreNullValues` true: an empty result is
    0; active when above `activationThreshold`), pkg/scaling/executor/scale_scaledobjects.go (idle after
    `cooldownPeriod` without activity); settings of vllm-project/production-stack, helm/values.yaml.
    Its HPA has an External metric with AverageValue. A failed scrape looks like no load, and only the stabilization
    window keeps the replicas.
    Simplified: the bounds of the comparison replace the idle count of 0 and `maxReplicaCount` 5; the preset's
    `fallback` (2 replicas after 3 failed queries) is left out, because a snapshot does not distinguish a Prometheus
    with an empty result from one that does not answer.
    """

    reads_live = False

    def __init__(self, settings: KedaSettings | None = None) -> None:
        self.settings: Final = settings or KedaSettings()
        self.period_s = self.settings.period_s
        self._stabilizer = Stabilizer(self.settings.behavior)
        self._active_s: float | None = None

    def decide(self, snapshot: MetricsSnapshot) -> int:
        """Return the recommended replica count."""
        settings = self.settings
        current = snapshot.desired
        waiting = snapshot.total(Column.WAITING)
        if waiting > settings.activation_threshold or self._active_s is None:
            self._active_s = snapshot.now_s
        recommended = replicas_for_average(waiting, settings.threshold, current, settings.tolerance)
        limited = self._stabilizer.limit(snapshot.now_s, current, recommended)
        if settings.cooldown_s is not None and snapshot.now_s - self._active_s > settings.cooldown_s + INSTANT_S:
            return settings.behavior.min_replicas
        return min(max(limited, settings.behavior.min_replicas), settings.behavior.max_replicas)
