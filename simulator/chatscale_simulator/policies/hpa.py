"""The HorizontalPodAutoscaler on external metrics with average values: the usual first choice."""

import math
from dataclasses import dataclass, field
from typing import Final

from chatscale_simulator.policies.behavior import HpaBehavior, Stabilizer
from chatscale_simulator.simulation.snapshot import Column, MetricsSnapshot

QUEUE: Final = (Column.WAITING,)
CONCURRENCY: Final = (Column.WAITING, Column.RUNNING)


@dataclass(frozen=True, slots=True)
class HpaMetric:
    """One External metric, `sum(...)` over the replicas, with target type AverageValue."""

    columns: tuple[Column, ...]
    """Gauges that are added."""
    target: float
    """Per replica."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HpaSettings:
    """The spec of an HPA. Of the counts that several metrics recommend, the largest counts."""

    metrics: tuple[HpaMetric, ...]
    """At least one."""
    tolerance: float = 0.1
    behavior: HpaBehavior = field(default_factory=HpaBehavior)
    period_s: float = 15.0
    """`--horizontal-pod-autoscaler-sync-period`."""


def replicas_for_average(total: float, target: float, current: int, tolerance: float) -> int:
    """Return `ceil(total / target)`, or `current` if the load is within `tolerance` of the target.

    E.g. total 50, target 10, current 4 -> 5; total 43 -> 4, for |1 - 43/40| = 0.075.
    """
    if current > 0 and abs(1.0 - total / (target * current)) <= tolerance:
        return current
    return math.ceil(total / target)


class Hpa:
    """HPA v2 on External metrics with AverageValue.

    Source: kubernetes/kubernetes, pkg/controller/podautoscaler/replica_calculator.go
    (`GetExternalPerPodMetricReplicas`) at 0006726 and later, horizontal.go (`computeReplicasForMetrics`), and
    `behavior.py` in this folder. Missing metrics are an error: the count stays, and no recommendation is recorded.
    Here all metrics are missing at the same time.
    Simplified: `status.replicas` equals `spec.replicas`, because a Deployment makes it so within moments;
    `spec.behavior` is set to its defaults (an HPA without the field limits scale up to max(2N, 4) instead of
    max(2N, N + 4)); the sync period starts with the run.
    The target of 5 waiting requests is from the vLLM production-stack. No project publishes a target for running +
    waiting requests; 100 is the default of KubeAI and Knative for the same signal.
    """

    reads_live = False

    def __init__(self, settings: HpaSettings) -> None:
        self.settings: Final = settings
        self.period_s = settings.period_s
        self._stabilizer = Stabilizer(settings.behavior)

    def decide(self, snapshot: MetricsSnapshot) -> int:
        """Return the recommended replica count."""
        current = snapshot.desired
        bounds = self.settings.behavior
        if current > bounds.max_replicas:
            return bounds.max_replicas
        if current < bounds.min_replicas:
            return bounds.min_replicas
        if snapshot.has_no_data:
            return current
        recommended = max(self._recommended(snapshot, metric) for metric in self.settings.metrics)
        return self._stabilizer.limit(snapshot.now_s, current, recommended)

    def _recommended(self, snapshot: MetricsSnapshot, metric: HpaMetric) -> int:
        total = sum(snapshot.total(column) for column in metric.columns)
        return replicas_for_average(total, metric.target, snapshot.desired, self.settings.tolerance)
