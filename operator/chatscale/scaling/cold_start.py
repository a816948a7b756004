"""How long pods take to become Ready, measured from the pods themselves. Pure; needs no metrics.

Two times are measured. The cold start is from the time when a pod is scheduled until it is Ready: it depends on the
model and the image. The scheduling time is from the creation of a pod until it is scheduled: it depends on the cluster,
and is minutes if a node autoscaler must add a node.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from chatscale.api.v1alpha1 import AutoscalingStatus
from chatscale.scaling.signals import Replica, ReplicaPhase
from chatscale.scaling.tuning import DEFAULT_COLD_START, MAX_COLD_START, MAX_MEASURED_COLD_START


@dataclass(frozen=True, slots=True)
class ColdStarts:
    """The starts that were measured for one ChatModel. Newer starts weigh more."""

    measured_s: float | None = None
    """Mean cold start in seconds; None before a start was measured."""
    scheduling_s: float = 0.0
    """Mean scheduling time in seconds of the same pods; 0 before a start was measured."""
    ready_before: frozenset[str] | None = None
    """Names of the pods that have been Ready; None before the first observation."""
    assumed_s: float = DEFAULT_COLD_START.total_seconds()
    """Seconds that stand for `measured_s` until a start was measured."""

    @classmethod
    def learned(cls, status: AutoscalingStatus) -> "ColdStarts":
        """The starts that an earlier process left in the status."""
        if status.cold_start_seconds is None:
            return cls()
        longest_s = MAX_COLD_START.total_seconds()
        return cls(
            measured_s=min(float(status.cold_start_seconds), longest_s),
            scheduling_s=min(float(status.scheduling_seconds or 0), longest_s),
        )

    @property
    def until_ready_s(self) -> float:
        """Seconds from the creation of a pod until it is Ready, at most MAX_COLD_START."""
        cold_start_s = self.assumed_s if self.measured_s is None else self.measured_s
        return min(self.scheduling_s + cold_start_s, MAX_COLD_START.total_seconds())


def measure_cold_starts(starts: ColdStarts, replicas: Iterable[Replica]) -> ColdStarts:
    """Measure pods that are Ready for the first time. replicas: all, in any phase.

    The first start that is measured replaces the assumption. Each later one has the weight of all earlier ones
    together, so that a cache that was lost shows soon. A pod that was Ready before the first observation, or was Ready
    once already, is not measured: a readiness probe that failed for a moment would look like a cold start of hours.
    """
    by_name = {replica.name: replica for replica in replicas}
    ready = {name for name, replica in by_name.items() if replica.phase is ReplicaPhase.READY}
    before = starts.ready_before
    if before is None:
        return replace(starts, ready_before=frozenset(ready))
    for name in sorted(ready - before):
        starts = _with_start(starts, by_name[name])
    return replace(starts, ready_before=frozenset(ready | (before & by_name.keys())))


def _with_start(starts: ColdStarts, replica: Replica) -> ColdStarts:
    """Add the start of a pod that became Ready, unless it is unknown or so long that it was a fault."""
    if replica.scheduled is None or replica.created is None:
        return starts
    took = replica.since - replica.scheduled
    if not timedelta(0) < took <= MAX_MEASURED_COLD_START:
        return starts
    cold_start_s = min(took, MAX_COLD_START).total_seconds()
    waited = max(replica.scheduled - replica.created, timedelta(0))
    scheduling_s = min(waited, MAX_COLD_START).total_seconds()
    if starts.measured_s is None:
        return replace(starts, measured_s=cold_start_s, scheduling_s=scheduling_s)
    return replace(
        starts,
        measured_s=(starts.measured_s + cold_start_s) / 2,
        scheduling_s=(starts.scheduling_s + scheduling_s) / 2,
    )
