"""What a decision is made of: the case at hand, a count on its way through the limits, and the outcome.

Reasons are data here; the edge turns them into a condition, an Event and a log line.
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
    """Why a decision came out as it did."""

    STEADY = "Steady"
    """The load suits the count."""
    LOAD_ABOVE_TARGET = "LoadAboveTarget"
    BURST = "Burst"
    """Raised on the short window."""
    LOAD_BELOW_TARGET = "LoadBelowTarget"
    STABILIZING = "Stabilizing"
    """A change is wished for and waits for its stabilization window, a burst, or enough readings."""
    RATE_LIMITED = "RateLimited"
    TOO_FEW_REPLICAS = "TooFewReplicas"
    """The count was below minReplicas."""
    TOO_MANY_REPLICAS = "TooManyReplicas"
    """The count was, or should go, above maxReplicas."""
    INSUFFICIENT_GPU = "InsufficientGPU"
    TOO_FEW_NODES = "TooFewNodes"
    NOTHING_READY = "NoReadyReplicas"
    """No replica takes requests yet: the count is held."""
    ANNOUNCED_EVENT = "AnnouncedEvent"
    """The count was below what an announced event asks for."""
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    """Replicas are ready and none can be read: the count is held."""
    METRICS_INCOMPLETE = "MetricsIncomplete"
    """Some ready replicas cannot be read, which forbids to lower the count."""
    FALLBACK = "Fallback"
    """Metrics have been missing for long: the spec's fallback acts."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How many replicas, why, and what to remember."""

    replicas: int
    """Always within minReplicas, or what an event asks for, and maxReplicas."""
    reason: str
    """A `Reason`."""
    message: str
    """One sentence with its numbers."""
    phase: AutoscalingPhase
    readings: tuple[MetricValue, ...]
    """Empty while the load is unknown."""
    metrics_ok: bool
    """False if replicas are ready and none could be read."""
    floor: Floor
    """The least count that held."""
    next_state: ScalerState


@dataclass(frozen=True, slots=True)
class DecisionInput:
    """What stays the same throughout one decision."""

    spec: AutoscalingSpec
    slots: int
    current: int
    seen: Observation
    load: LoadSummary
    now: datetime
    floor: Floor

    @property
    def lower(self) -> int:
        """What minReplicas or an event asks for."""
        return self.floor.replicas

    @property
    def upper(self) -> int:
        """Without maxReplicas, which mode Operator requires, the count is never raised."""
        return self.spec.max_replicas or max(self.current, self.lower)

    @property
    def bounded(self) -> int:
        """The count as it must at least be brought to: bounds act at once, whatever the load."""
        return min(max(self.current, self.lower), self.upper)

    @property
    def window(self) -> timedelta:
        """Over which calm load is averaged, and for which a burst lasts on."""
        return timedelta(seconds=self.spec.window_seconds)

    @property
    def panic_window(self) -> timedelta:
        """Over which a burst is recognised and followed."""
        return timedelta(seconds=self.spec.panic_window_seconds)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A count on its way through the limits, with the reason of whatever shaped it last."""

    replicas: int
    reason: Reason
    message: str

    def bent(self, replicas: int, reason: Reason, because: str) -> "Recommendation":
        """The recommendation after a limit; the same recommendation if the limit did not bind."""
        return self if replicas == self.replicas else Recommendation(replicas, reason, f"{self.message}; {because}")


def reason_for(case: DecisionInput, wanted: int) -> Reason:
    """What a count that load asks for means beside the present one."""
    if wanted > case.bounded:
        return Reason.LOAD_ABOVE_TARGET
    return Reason.STEADY if wanted == case.bounded else Reason.LOAD_BELOW_TARGET
