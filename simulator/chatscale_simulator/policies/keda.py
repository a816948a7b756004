"""KEDA with the vLLM production-stack's preset: queue depth, and nothing to see until there is a queue."""

from dataclasses import dataclass, field
from typing import Final

from chatscale_simulator.policies.behavior import HpaBehavior, Stabilizer
from chatscale_simulator.policies.hpa import replicas_for_average
from chatscale_simulator.policies.windows import INSTANT_S
from chatscale_simulator.simulation.view import Column, View


@dataclass(frozen=True, slots=True, kw_only=True)
class KedaSettings:
    """A ScaledObject with one Prometheus trigger on `sum(vllm:num_requests_waiting)`."""

    threshold: float = 5.0
    activation_threshold: float = 0.0
    cooldown_s: float | None = 360.0
    """Without an active trigger until the step to the idle count; None: there is no `idleReplicaCount`, the HPA alone
    lowers."""
    behavior: HpaBehavior = field(default_factory=HpaBehavior)
    tolerance: float = 0.1
    """Of the HPA that KEDA creates."""
    period_s: float = 15.0
    """`pollingInterval` of the preset (KEDA's own default is 30), and the sync period of the HPA."""


class Keda:
    """KEDA's Prometheus scaler in front of an HPA.

    Source: kedacore/keda at 8b4f083, pkg/scalers/prometheus_scaler.go (`ignoreNullValues` true: an empty result is
    0; active when above `activationThreshold`), pkg/scaling/executor/scale_scaledobjects.go (idle after
    `cooldownPeriod` without activity); settings of vllm-project/production-stack, helm/values.yaml.
    Its HPA has an External metric with AverageValue, so a scrape gap reads as no load and only the stabilisation
    window keeps the replicas.
    Simplified: the idle count of 0 and `maxReplicaCount` 5 give way to the bounds of the comparison; the preset's
    `fallback` (2 replicas after 3 failed queries) is left out, for a view cannot tell a Prometheus that answers
    nothing from one that does not answer.
    """

    direct = False

    def __init__(self, settings: KedaSettings | None = None) -> None:
        self.settings: Final = settings or KedaSettings()
        self.period_s = self.settings.period_s
        self._stabilizer = Stabilizer(self.settings.behavior)
        self._active_s: float | None = None

    def decide(self, view: View) -> int:
        """Return the replicas wanted now."""
        settings = self.settings
        current = view.desired
        waiting = view.total(Column.WAITING)
        if waiting > settings.activation_threshold or self._active_s is None:
            self._active_s = view.now_s
        wanted = replicas_for_average(waiting, settings.threshold, current, settings.tolerance)
        settled = self._stabilizer.settle(view.now_s, current, wanted)
        if settings.cooldown_s is not None and view.now_s - self._active_s > settings.cooldown_s + INSTANT_S:
            return settings.behavior.min_replicas
        return min(max(settled, settings.behavior.min_replicas), settings.behavior.max_replicas)
