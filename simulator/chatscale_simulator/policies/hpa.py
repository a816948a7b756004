"""The HorizontalPodAutoscaler on external metrics with average values: what most people try first."""

import math
from dataclasses import dataclass, field
from typing import Final

from chatscale_simulator.policies.behavior import HpaBehavior, Stabilizer
from chatscale_simulator.simulation.view import Column, View

QUEUE: Final = (Column.WAITING,)
CONCURRENCY: Final = (Column.WAITING, Column.RUNNING)


@dataclass(frozen=True, slots=True)
class HpaMetric:
    """One External metric, `sum(...)` over the replicas, with target type AverageValue."""

    columns: tuple[Column, ...]
    """Gauges that are added up."""
    target: float
    """Per replica."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HpaSettings:
    """An HPA's spec; of the counts that several metrics call for the largest holds."""

    metrics: tuple[HpaMetric, ...]
    """At least one."""
    tolerance: float = 0.1
    behavior: HpaBehavior = field(default_factory=HpaBehavior)
    period_s: float = 15.0
    """`--horizontal-pod-autoscaler-sync-period`."""


def replicas_for_average(total: float, target: float, current: int, tolerance: float) -> int:
    """Return `ceil(total / target)`, or `current` if that many would be within `tolerance` of the target.

    E.g. total 50, target 10, current 4 -> 5; total 43 -> 4, for |1 - 43/40| = 0.075.
    """
    if current > 0 and abs(1.0 - total / (target * current)) <= tolerance:
        return current
    return math.ceil(total / target)


class Hpa:
    """HPA v2 on External metrics with AverageValue.

    Source: kubernetes/kubernetes, pkg/controller/podautoscaler/replica_calculator.go
    (`GetExternalPerPodMetricReplicas`) at 0006726 and later, horizontal.go (`computeReplicasForMetrics`), and
    `behavior.py` beside this file. Metrics that cannot be had, which all are at once here, are an error and leave the
    count as it is, without entering a recommendation.
    Simplified: `status.replicas` is taken to equal `spec.replicas`, as a Deployment makes it within a moment;
    `spec.behavior` is written out with its defaults (an HPA without the field limits a rise to max(2N, 4) instead of
    max(2N, N + 4)); the sync has no phase of its own.
    The target of 5 waiting requests is the vLLM production-stack's; a target for running + waiting is published
    nowhere, and 100 is what KubeAI and Knative ship for the same signal.
    """

    direct = False

    def __init__(self, settings: HpaSettings) -> None:
        self.settings: Final = settings
        self.period_s = settings.period_s
        self._stabilizer = Stabilizer(settings.behavior)

    def decide(self, view: View) -> int:
        """Return the replicas wanted now."""
        current = view.desired
        bounds = self.settings.behavior
        if current > bounds.max_replicas:
            return bounds.max_replicas
        if current < bounds.min_replicas:
            return bounds.min_replicas
        if view.blind:
            return current
        wanted = max(self._wanted(view, metric) for metric in self.settings.metrics)
        return self._stabilizer.settle(view.now_s, current, wanted)

    def _wanted(self, view: View, metric: HpaMetric) -> int:
        total = sum(view.total(column) for column in metric.columns)
        return replicas_for_average(total, metric.target, view.desired, self.settings.tolerance)
