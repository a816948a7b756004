"""What the cluster can run: pods that no node has room for are no capacity to come.

A pod that stayed unschedulable for pendingTimeoutSeconds counts as stuck. The ask then falls to what
runs, or may soon run, plus one: that one pending pod stays as a probe. It keeps a cluster autoscaler
informed, and the moment it is scheduled nothing is stuck and the ask is free again, without a timer that
would start and withdraw pods in turn.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from chatscale.scaling.signals import Observation, ReplicaPhase

PROBES = 1


@dataclass(frozen=True, slots=True)
class Shortage:
    """Replicas that no node has room for."""

    stuck: int
    runnable: int
    """Ready, starting, or unschedulable for a short time only."""
    detail: str
    """The scheduler's words on one of the stuck."""
    timeout: timedelta

    @property
    def most_useful(self) -> int:
        """Asking for more than this starts nothing."""
        return self.runnable + PROBES

    @property
    def reason(self) -> str:
        """By what the scheduler misses: extended resources are named like nvidia.com/gpu."""
        return "InsufficientGPU" if "nvidia.com/" in self.detail or "gpu" in self.detail.lower() else "TooFewNodes"

    @property
    def message(self) -> str:
        """One sentence, without its full stop."""
        timeout_s = self.timeout.total_seconds()
        waited = f"{self.stuck} of {self.stuck + self.runnable} replicas found no node for {timeout_s:.0f} s"
        return f"{waited} ({self.detail})" if self.detail else waited


def find_shortage(seen: Observation, timeout: timedelta, now: datetime) -> Shortage | None:
    """None while every replica runs, starts, or has been pending for less than `timeout`."""
    unschedulable = seen.in_phase(ReplicaPhase.UNSCHEDULABLE)
    stuck = [replica for replica in unschedulable if now - replica.since >= timeout]
    if not stuck:
        return None
    coming = len(seen.in_phase(ReplicaPhase.READY)) + len(seen.in_phase(ReplicaPhase.STARTING))
    detail = next((replica.detail for replica in stuck if replica.detail), "")
    return Shortage(len(stuck), coming + len(unschedulable) - len(stuck), detail, timeout)
