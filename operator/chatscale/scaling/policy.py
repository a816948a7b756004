"""The replica count of one ChatModel in mode Operator.

`decide` is pure: the operator's tick calls it, and so does anything that plays traffic against it. It
performs nothing and logs nothing; each decision carries its reason as data.
"""

from dataclasses import dataclass
from datetime import datetime

from chatscale.api.v1alpha1 import AutoscalingPhase, AutoscalingSpec, MetricType
from chatscale.scaling.signals import Observation
from chatscale.scaling.state import ScalerState


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One metric of the spec as the policy read it."""

    type: MetricType
    per_replica: float
    """Window mean per ready replica: requests, or percent for KVCacheUtilization."""
    target: int


@dataclass(frozen=True, slots=True)
class Decision:
    """How many replicas, why, and what to remember."""

    replicas: int
    """Always within minReplicas and maxReplicas."""
    reason: str
    """CamelCase code."""
    message: str
    """One sentence with its numbers."""
    phase: AutoscalingPhase
    readings: tuple[MetricValue, ...]
    """Empty while the load is unknown."""
    metrics_ok: bool
    """False if replicas are ready and none could be read."""
    next_state: ScalerState


def decide(
    spec: AutoscalingSpec,
    max_concurrency: int,
    current: int,
    seen: Observation,
    state: ScalerState,
    now: datetime,
) -> Decision:
    """Choose the replica count: the signature is final, the policy follows; for now only the bounds act."""
    _ = (max_concurrency, seen, now)
    upper = spec.max_replicas or max(current, spec.min_replicas)
    replicas = min(max(current, spec.min_replicas), upper)
    return Decision(
        replicas=replicas,
        reason="Steady",
        message=f"holding {replicas}",
        phase=AutoscalingPhase.STABLE,
        readings=(),
        metrics_ok=True,
        next_state=state,
    )
