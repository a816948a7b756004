"""What the policy is told: the replicas of one ChatModel and what each reported. Data only.

Whoever observes fills these in and decides nothing. A replica keeps the newest sample there is, however
old: the policy judges its age, so that one lost scrape is not an outage.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class WorkCounters:
    """What a replica has done since its start. All but `max_tokens_per_second` only grow."""

    max_tokens_per_second: float
    """What the replica measured of itself in warm-up: prompt and output tokens of full steps. Above 0."""
    prompt_tokens: float
    generated_tokens: float
    finished: float
    """Requests that ended, however they did."""
    slo_misses: float
    """First tokens that came late, and answers that came slowly, by what the SLO allows each."""


@dataclass(frozen=True, slots=True)
class ReplicaSample:
    """One reading of one replica's metrics."""

    taken_at: datetime
    """When the replica was read; with Prometheus the time of the scrape, not of the query. Aware."""
    queue_depth: int
    """Requests admitted that have no slot yet."""
    running: int
    """Requests in a slot."""
    slots: int
    """Batch slots of the replica."""
    kv_cache_usage_ratio: float
    """0 to 1."""
    rejected_total: float
    """Counter since the replica's start: requests refused for want of room (queue full or deadline)."""
    work: WorkCounters | None = None
    """None from a server that does not count its work, or before it knows its own speed."""


class ReplicaPhase(StrEnum):
    """Where a replica stands; exactly one holds."""

    READY = "Ready"
    """The pod's Ready condition is True."""
    STARTING = "Starting"
    """Scheduled, or not yet tried by the scheduler: capacity to come."""
    UNSCHEDULABLE = "Unschedulable"
    """PodScheduled is False with reason Unschedulable."""
    TERMINATING = "Terminating"
    """Has a deletion timestamp: neither capacity nor demand."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One pod of a ChatModel."""

    name: str
    phase: ReplicaPhase
    since: datetime
    """When the replica entered this phase. Aware."""
    sample: ReplicaSample | None = None
    """The newest reading of this pod, however old; None if there never was one."""
    detail: str = ""
    """For UNSCHEDULABLE the scheduler's message, such as `0/3 nodes are available: 3 Insufficient nvidia.com/gpu`."""
    created: datetime | None = None
    """Of the pod; `since` minus this is a ready replica's cold start. Aware."""


@dataclass(frozen=True, slots=True)
class Observation:
    """All replicas of one ChatModel at one time."""

    taken_at: datetime
    """When this reading was finished. Two decisions on the same observation count as one reading."""
    replicas: tuple[Replica, ...]

    def in_phase(self, phase: ReplicaPhase) -> tuple[Replica, ...]:
        """The replicas that are in `phase`, in the order given."""
        return tuple(replica for replica in self.replicas if replica.phase is phase)

    @property
    def queue_depth(self) -> int | None:
        """Requests waiting over all ready replicas as last read; None if none was ever read."""
        samples = [replica.sample for replica in self.in_phase(ReplicaPhase.READY) if replica.sample is not None]
        return sum(sample.queue_depth for sample in samples) if samples else None
