"""The count that each metric target of the spec proposes for an averaged load. Knows no limits."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from chatscale.api.v1alpha1 import AutoscalingSpec, MetricTarget, MetricType
from chatscale.scaling.state import Averages, ScalerState

SPARE_SLOTS_PERCENT = 80
"""QueueDepth scales down only to a count whose slots the load fills up to this: the rest is room for arrivals."""


@dataclass(frozen=True, slots=True)
class MetricValue:
    """The measured value of one metric of the spec."""

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

    def for_scale_up(self, *, in_burst: bool) -> float:
        """The stable mean; in a burst the larger mean."""
        return max(self.stable, self.short) if in_burst else self.stable

    @property
    def for_scale_down(self) -> float:
        """The larger mean: the remaining replicas must carry both."""
        return max(self.stable, self.short)


@dataclass(frozen=True, slots=True)
class Demand:
    """The load in every quantity that a metric target can name."""

    active: Signal
    waiting: Signal
    kv_percent: Signal
    nothing_waits: bool
    """No request waited or was refused within panicWindowSeconds."""
    ready: int
    """Ready replicas; at least 1."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """The count that one metric proposes."""

    replicas: int
    message: str
    """The metric with its numbers, to be followed by a count."""
    value: MetricValue


@dataclass(frozen=True, slots=True)
class _Measure:
    """How one metric compares the demand with its target."""

    signal: Signal
    per_replica: float
    """What one replica should carry."""
    per_replica_after_scale_down: float
    """What one replica may carry after a scale down."""
    may_lower: bool
    reported: Signal
    unit: str


def average_demand(state: ScalerState, spec: AutoscalingSpec, ready: int, now: datetime) -> Demand:
    """The means of the load over both windows. ready: number of ready replicas."""
    window, panic_window = timedelta(seconds=spec.window_seconds), timedelta(seconds=spec.panic_window_seconds)

    def signal(averages: Averages) -> Signal:
        return Signal(averages.stable.mean(now, window), averages.short.mean(now, panic_window))

    return Demand(
        active=signal(state.active),
        waiting=signal(state.waiting),
        kv_percent=signal(state.kv_percent),
        nothing_waits=state.waiting.short.high(now, panic_window) <= 0,
        ready=max(ready, 1),
    )


def propose(
    metric: MetricTarget, slots: int, current: int, demand: Demand, spec: AutoscalingSpec, *, in_burst: bool
) -> Proposal:
    """Compare the demand with what `current` replicas should carry.

    Above it by more than the tolerance: the count that carries the demand. Below it by more than the tolerance: the
    count that carries the demand with room to spare. Otherwise: `current`. The number of ready replicas does not
    matter, so replicas that are starting count as capacity.

    E.g. QueueDepth, target 4, 8 slots, 26 requests in flight on 1 replica: ceil(26 / 12) = 3.
    """
    measure = _measure(metric, slots, demand)
    load, per_replica = measure.signal.for_scale_up(in_burst=in_burst), measure.per_replica
    tolerance = spec.tolerance_percent / 100
    replicas = current
    if load > current * per_replica * (1 + tolerance):
        replicas = max(current, _needed(load, per_replica))
    elif measure.may_lower and measure.signal.for_scale_down < current * per_replica * (1 - tolerance):
        load, per_replica = measure.signal.for_scale_down, measure.per_replica_after_scale_down
        replicas = min(current, _needed(load, per_replica))
    return Proposal(
        replicas=replicas,
        message=f"{metric.type.value}: {load:.1f} {measure.unit}, target {per_replica:g} per replica",
        value=MetricValue(metric.type, measure.reported.for_scale_up(in_burst=in_burst) / demand.ready, metric.target),
    )


def is_burst(spec: AutoscalingSpec, slots: int, demand: Demand) -> bool:
    """Whether the short mean is above panicThresholdPercent of what the ready replicas should carry."""
    threshold = spec.panic_threshold_percent / 100
    measures = (_measure(metric, slots, demand) for metric in spec.targets)
    return any(measure.signal.short > threshold * demand.ready * measure.per_replica for measure in measures)


def _measure(metric: MetricTarget, slots: int, demand: Demand) -> _Measure:
    match metric.type:
        case MetricType.QUEUE_DEPTH:
            # An empty queue looks the same on idle and on full replicas, so running requests count too.
            return _Measure(
                signal=demand.active,
                per_replica=slots + metric.target,
                per_replica_after_scale_down=slots * SPARE_SLOTS_PERCENT / 100,
                may_lower=demand.nothing_waits,
                reported=demand.waiting,
                unit="requests in flight",
            )
        case MetricType.ACTIVE_REQUESTS:
            return _compare(demand.active, metric.target, "requests in flight")
        case MetricType.KV_CACHE_UTILIZATION:
            return _compare(demand.kv_percent, metric.target, "percent of one replica's KV cache in use")
        case _:
            assert_never(metric.type)


def _compare(signal: Signal, target: int, unit: str) -> _Measure:
    return _Measure(
        signal,
        per_replica=target,
        per_replica_after_scale_down=target,
        may_lower=True,
        reported=signal,
        unit=unit,
    )


def _needed(load: float, per_replica: float) -> int:
    # Means of floats can end slightly above a whole number; a replica is not started for that.
    return max(1, math.ceil(load / per_replica - 1e-9))
