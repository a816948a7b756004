"""What the cluster can run: pods that cannot start do not count as capacity.

A pod that has been unschedulable for pendingTimeoutSeconds counts as stuck. The count then falls to the replicas that
run or may run soon, plus one: a single pending pod stays. It keeps a cluster autoscaler informed. When it is scheduled,
no pod is stuck and the full count applies again; no timer creates and withdraws pods in turn.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from chatscale.scaling.signals import Observation, ReplicaPhase

PENDING_PODS_KEPT = 1
INSUFFICIENT_GPU: Final = "InsufficientGPU"
"""The reason of a pod that lacks a GPU, and of the decision that follows."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """Replicas that could not start."""

    stuck: int
    runnable: int
    """Ready, starting, or unschedulable for less than the timeout."""
    detail: str
    """What one of the stuck pods waits for."""
    timeout: timedelta
    lacks_gpu: bool = False
    """Whether a stuck pod lacks a GPU."""

    @property
    def most_useful(self) -> int:
        """A higher count starts no further replica."""
        return self.runnable + PENDING_PODS_KEPT

    @property
    def reason(self) -> str:
        """The reason for decisions."""
        return INSUFFICIENT_GPU if self.lacks_gpu else "TooFewNodes"

    @property
    def message(self) -> str:
        """One sentence, without its full stop."""
        timeout_s = self.timeout.total_seconds()
        stuck = f"{self.stuck} of {self.stuck + self.runnable} replicas could not start for {timeout_s:.0f} s"
        return f"{stuck} ({self.detail})" if self.detail else stuck


def find_shortage(seen: Observation, timeout: timedelta, now: datetime) -> Shortage | None:
    """None while every replica runs, starts, or has been unschedulable for less than `timeout`."""
    unschedulable = seen.in_phase(ReplicaPhase.UNSCHEDULABLE)
    stuck = [replica for replica in unschedulable if now - replica.since >= timeout]
    if not stuck:
        return None
    scheduled = len(seen.in_phase(ReplicaPhase.READY)) + len(seen.in_phase(ReplicaPhase.STARTING))
    detail = next((replica.detail for replica in stuck if replica.detail), "")
    lacks_gpu = any(replica.reason == INSUFFICIENT_GPU for replica in stuck)
    return Shortage(len(stuck), scheduled + len(unschedulable) - len(stuck), detail, timeout, lacks_gpu)
