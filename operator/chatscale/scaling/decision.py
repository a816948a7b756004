"""The values that pass between the stages of `policy.decide`: inputs, recommendation and decision.

Reasons are data here. The caller turns them into a condition, an Event and a log line.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from chatscale.api.v1alpha1 import AutoscalingPhase, AutoscalingSpec
from chatscale.scaling.demand import MetricValue
from chatscale.scaling.floor import Floor
from chatscale.scaling.load import LoadSummary
from chatscale.scaling.signals import Observation
from chatscale.scaling.state import ScalerState


class Reason(StrEnum):
    """Why a decision has its replica count."""

    STEADY = "Steady"
    """The load fits the current count."""
    LOAD_ABOVE_TARGET = "LoadAboveTarget"
    BURST = "Burst"
    """Scaled up on the short window."""
    ARRIVAL_RATE_JUMPED = "ArrivalRateJumped"
    """The arrival rate rose by more than its noise. The load is averaged from there on."""
    QUEUE_GROWING = "QueueGrowing"
    """Every slot is taken and the queues grow."""
    REQUESTS_REFUSED = "RequestsRefused"
    """Replicas refuse requests because they have no room."""
    LOAD_BELOW_TARGET = "LoadBelowTarget"
    STABILIZING = "Stabilizing"
    """A different count is recommended but waits for a stabilization window, the end of a burst, or more readings."""
    RATE_LIMITED = "RateLimited"
    TOO_FEW_REPLICAS = "TooFewReplicas"
    """The current count is below minReplicas."""
    TOO_MANY_REPLICAS = "TooManyReplicas"
    """The current or the recommended count is above maxReplicas."""
    INSUFFICIENT_GPU = "InsufficientGPU"
    TOO_FEW_NODES = "TooFewNodes"
    NOTHING_READY = "NoReadyReplicas"
    """No replica is Ready. The count is held."""
    ANNOUNCED_EVENT = "AnnouncedEvent"
    """The current count is below the minReplicas of an announced event."""
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    """Replicas are Ready but none can be read. The count is held."""
    METRICS_INCOMPLETE = "MetricsIncomplete"
    """Some Ready replicas cannot be read, so the count is not lowered."""
    REQUESTS_HELD = "RequestsHeld"
    """Gateways hold requests for which no replica has room, or none is there."""
    IDLE = "Idle"
    """No request has come for `scaleToZero.idleSeconds`: the last replica goes."""
    SCALED_TO_ZERO = "ScaledToZero"
    """At 0 replicas, and no gateway holds a request."""
    NO_GATEWAY = "NoGateway"
    """At 0 replicas, and no gateway can be read: nobody could start the model, so it starts now."""
    FALLBACK = "Fallback"
    """Metrics have been missing for `fallback.failureThreshold` readings. The spec's fallback sets the count."""


class Basis(StrEnum):
    """What a recommendation is based on. The limit stage uses it to select the limits that apply."""

    LOAD = "Load"
    """Measured load: every limit applies."""
    FIRST_READING = "FirstReading"
    """One reading gives no request rate: the count is held, and the recommendation history stays as it is."""
    NOTHING_READY = "NothingReady"
    """No Ready replica to read: the count is held, and a shortage of nodes is reported."""
    ZERO = "Zero"
    """The model is at 0 replicas or goes there: no limit applies, and the recommendation history stays as it is."""
    MISSING_METRICS = "MissingMetrics"
    """No Ready replica could be read: the count is held."""
    FALLBACK = "Fallback"
    """No Ready replica could be read for too long: `spec.autoscaling.fallback` sets the count."""

    @property
    def has_metrics(self) -> bool:
        """False if replicas are Ready and none could be read."""
        return self not in (Basis.MISSING_METRICS, Basis.FALLBACK)


@dataclass(frozen=True, slots=True)
class Decision:
    """The replica count, its reason, and the state for the next decision."""

    replicas: int
    """Between minReplicas (or the minReplicas of an announced event) and maxReplicas, or 0 with scaleToZero."""
    reason: str
    """A `Reason`."""
    message: str
    """One sentence with its numbers."""
    phase: AutoscalingPhase
    readings: tuple[MetricValue, ...]
    """The spec's metrics as measured; empty if no target is followed."""
    metrics_ok: bool
    """False if replicas are Ready and none could be read."""
    floor: Floor
    """The lower bound of this decision."""
    next_state: ScalerState


@dataclass(frozen=True, slots=True)
class DecisionInput:
    """What stays the same in all stages of one decision."""

    spec: AutoscalingSpec
    slots: int
    """Batch slots of each replica."""
    current: int
    """The present `spec.replicas`."""
    seen: Observation
    load: LoadSummary
    now: datetime
    floor: Floor

    @property
    def lower(self) -> int:
        """minReplicas, or the minReplicas of an active event."""
        return self.floor.replicas

    @property
    def upper(self) -> int:
        """MaxReplicas. Mode Operator requires it; without it the count is never raised."""
        return self.spec.max_replicas or max(self.current, self.lower)

    @property
    def bounded(self) -> int:
        """The current count, moved within the bounds. Bounds apply at once, whatever the load."""
        return min(max(self.current, self.lower), self.upper)

    @property
    def window(self) -> timedelta:
        """Averaging window of the load; also how long a burst lasts after the last burst reading."""
        return timedelta(seconds=self.spec.window_seconds)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A replica count with the reason of the stage or limit that set it last."""

    replicas: int
    reason: Reason
    message: str
    basis: Basis = Basis.LOAD
    readings: tuple[MetricValue, ...] = ()
    """The spec's metrics as measured, where targets are followed."""
    in_burst: bool = False
    """Whether targets are followed and a burst is active."""


def reason_for(inputs: DecisionInput, recommended: int) -> Reason:
    """The reason for a count that follows the load, by comparison with the current count."""
    if recommended > inputs.bounded:
        return Reason.LOAD_ABOVE_TARGET
    return Reason.STEADY if recommended == inputs.bounded else Reason.LOAD_BELOW_TARGET
