"""Evidence that the present replicas are too few, which needs no averaging: refusals, growing queues, a jump. Pure."""

import math
from dataclasses import dataclass

from chatscale.scaling.decision import DecisionInput, Reason
from chatscale.scaling.work import Work


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen in the newest reading."""

    refused_per_s: float = 0.0
    held: float = 0.0
    """Requests that gateways hold, if their number and that of the queues grows; otherwise 0."""
    waiting: float = 0.0
    """Requests in the queues and held ones, if every replica is full and the queues grow; otherwise 0."""
    arriving_rps: float = 0.0
    """Arrival rate after a jump; 0 without one."""
    rps_before: float = 0.0
    """Arrival rate before the jump."""

    @property
    def is_full(self) -> bool:
        """Whether the replicas have no room."""
        return self.refused_per_s > 0 or self.waiting > 0

    @property
    def reason(self) -> Reason | None:
        """The strongest evidence; None if there is none."""
        if self.refused_per_s > 0:
            return Reason.REQUESTS_REFUSED
        if self.held > 0:
            return Reason.REQUESTS_HELD
        if self.waiting > 0:
            return Reason.QUEUE_GROWING
        return Reason.ARRIVAL_RATE_JUMPED if self.arriving_rps > 0 else None

    @property
    def message(self) -> str:
        """All evidence with its numbers, such as `queue growing (12 waiting)`; empty if there is none."""
        found = []
        if self.refused_per_s > 0:
            found.append(f"{self.refused_per_s:.1f} requests/s refused")
        if self.held > 0:
            found.append(f"gateways hold {self.held:.0f} requests")
        if self.waiting > 0:
            found.append(f"queue growing ({self.waiting:.0f} waiting)")
        if self.arriving_rps > 0:
            found.append(f"arrival rate {self.arriving_rps:.1f} requests/s after {self.rps_before:.1f}")
        return ", ".join(found)


def find_evidence(inputs: DecisionInput, work: Work) -> Evidence:
    """What the newest reading shows. The work must be known."""
    load, jump = inputs.load, work.jump
    grows = load.is_full and work.waiting > work.waiting_before
    return Evidence(
        refused_per_s=load.refused_per_s,
        held=load.held if grows else 0.0,
        waiting=work.waiting if grows else 0.0,
        arriving_rps=work.arrival_rps(inputs.now) if jump is not None else 0.0,
        rps_before=jump.rps_before if jump is not None else 0.0,
    )


def replicas_in_flight(inputs: DecisionInput) -> int:
    """Replicas whose slots hold every request in flight: for full replicas, while the mean answer is unknown."""
    return max(math.ceil(inputs.load.active / inputs.slots - 1e-9), 1)
