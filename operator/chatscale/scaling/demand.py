"""From the load to the count that each metric of the spec asks for. Knows nothing of time or of limits."""

import math
from dataclasses import dataclass
from typing import assert_never

from chatscale.api.v1alpha1 import AutoscalingSpec, MetricTarget, MetricType

SPARE_SLOTS_PERCENT = 80
"""QueueDepth lowers only to a count whose slots the load fills up to this, so that survivors have room."""


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One metric of the spec as the policy read it."""

    type: MetricType
    per_replica: float
    """Window mean per ready replica: requests, or percent for KVCacheUtilization."""
    target: int


@dataclass(frozen=True, slots=True)
class Signal:
    """One quantity, summed over the ready replicas."""

    stable: float
    """Mean over windowSeconds."""
    short: float
    """Mean over panicWindowSeconds."""

    def weigh(self, *, in_panic: bool) -> float:
        """What a rise follows: in a burst the window that sees it first."""
        return max(self.stable, self.short) if in_panic else self.stable

    @property
    def safe(self) -> float:
        """What a fall must not undercut."""
        return max(self.stable, self.short)


@dataclass(frozen=True, slots=True)
class Demand:
    """The load in all the ways that metrics look at it."""

    active: Signal
    waiting: Signal
    kv_percent: Signal
    nothing_waits: bool
    """No request waited or was refused within panicWindowSeconds."""
    ready: int
    """Replicas that take requests; at least 1."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """The count that one metric asks for."""

    replicas: int
    message: str
    """Half a sentence with its numbers."""
    value: MetricValue


@dataclass(frozen=True, slots=True)
class _Measure:
    """How one metric reads the demand."""

    signal: Signal
    aim: float
    """What one replica is meant to carry of it."""
    lower_aim: float
    """What one replica may carry after a fall."""
    may_lower: bool
    shown: Signal
    unit: str


def propose(
    metric: MetricTarget, slots: int, current: int, demand: Demand, spec: AutoscalingSpec, *, in_panic: bool
) -> Proposal:
    """Compare the demand with what `current` replicas are meant to carry.

    Above it by more than the tolerance: the count that carries it. Well below: the count whose survivors
    carry it with room to spare. Between: `current`. The answers do not depend on how many replicas are
    ready, so those still starting count as capacity to come.

    E.g. QueueDepth, target 4, 8 slots, 26 requests in flight on 1 replica: ceil(26 / 12) = 3.
    """
    measure = _measure(metric, slots, demand)
    wanted, aim = measure.signal.weigh(in_panic=in_panic), measure.aim
    tolerance = spec.tolerance_percent / 100
    replicas = current
    if wanted > current * aim * (1 + tolerance):
        replicas = max(current, _needed(wanted, aim))
    elif measure.may_lower and measure.signal.safe < current * aim * (1 - tolerance):
        wanted, aim = measure.signal.safe, measure.lower_aim
        replicas = min(current, _needed(wanted, aim))
    return Proposal(
        replicas=replicas,
        message=f"{metric.type.value}: {wanted:.1f} {measure.unit} against {aim:g} per replica",
        value=MetricValue(metric.type, measure.shown.weigh(in_panic=in_panic) / demand.ready, metric.target),
    )


def is_burst(spec: AutoscalingSpec, slots: int, demand: Demand) -> bool:
    """Whether the short window shows more than panicThresholdPercent of what the ready replicas aim at."""
    threshold = spec.panic_threshold_percent / 100
    measures = (_measure(metric, slots, demand) for metric in spec.targets)
    return any(measure.signal.short > threshold * demand.ready * measure.aim for measure in measures)


def _measure(metric: MetricTarget, slots: int, demand: Demand) -> _Measure:
    match metric.type:
        case MetricType.QUEUE_DEPTH:
            # The queue alone says the same of idle replicas and of full ones, so running requests count too.
            return _Measure(
                signal=demand.active,
                aim=slots + metric.target,
                lower_aim=slots * SPARE_SLOTS_PERCENT / 100,
                may_lower=demand.nothing_waits,
                shown=demand.waiting,
                unit="requests in flight",
            )
        case MetricType.ACTIVE_REQUESTS:
            return _plain(demand.active, metric.target, "requests in flight")
        case MetricType.KV_CACHE_UTILIZATION:
            return _plain(demand.kv_percent, metric.target, "percent of one replica's KV cache in use")
        case _:
            assert_never(metric.type)


def _plain(signal: Signal, target: int, unit: str) -> _Measure:
    return _Measure(signal, aim=target, lower_aim=target, may_lower=True, shown=signal, unit=unit)


def _needed(load: float, per_replica: float) -> int:
    # Means of floats may come out a hair above a whole number; a replica is not started for that.
    return max(1, math.ceil(load / per_replica - 1e-9))
