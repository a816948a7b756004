"""The input of the policy: the replicas of one ChatModel and the metrics that each reported. Data only.

The reader of the metrics fills these in and decides nothing. A replica keeps its newest sample, however old. The policy
checks the age, so that one lost scrape is not an outage.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class WorkCounters:
    """Counters since the replica's start, and gauges that the replica measured in its warm-up."""

    max_tokens_per_second: float
    """Gauge: prompt tokens per second in full steps. Above 0."""
    prompt_tokens: float
    generated_tokens: float
    finished: float
    """Requests that ended, with any outcome."""
    slo_misses: float
    """Requests whose first token or whose mean time per output token was later than the SLO allows."""
    max_tokens_per_step: float | None = None
    """Gauge: most tokens of one engine step, prompts and output together; None if it is not reported."""
    decode_step_s: float | None = None
    """Gauge: duration of one decode step with all slots in use; None if it is not reported (an older server)."""
    half_decode_step_s: float | None = None
    """The same with half of the slots (rounded up) in use."""


@dataclass(frozen=True, slots=True)
class ReplicaSample:
    """The metrics of one replica in one scrape."""

    taken_at: datetime
    """Time of the scrape; with Prometheus not the time of the query. Aware."""
    queue_depth: int
    """Admitted requests that wait for a slot."""
    running: int
    """Requests in a slot."""
    slots: int
    """Batch slots of the replica."""
    kv_cache_usage_ratio: float
    """0 to 1."""
    rejected_total: float
    """Counter since the replica's start: requests refused because the queue was full or the deadline passed."""
    work: WorkCounters | None = None
    """None from a server that does not count its work, or before it has measured its speed."""


class ReplicaPhase(StrEnum):
    """The state of a replica's pod; exactly one applies."""

    READY = "Ready"
    """The pod's Ready condition is True."""
    STARTING = "Starting"
    """Scheduled, or not yet seen by the scheduler: counts as capacity soon."""
    UNSCHEDULABLE = "Unschedulable"
    """Waits for something that no pod of its template gets: a node, a scheduling gate, an image, a volume."""
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
    """The newest sample of this pod, however old; None if there is none."""
    detail: str = ""
    """For UNSCHEDULABLE what the pod waits for, such as `0/3 nodes are available: 3 Insufficient nvidia.com/gpu`."""
    created: datetime | None = None
    """Creation time of the pod. Aware."""
    scheduled: datetime | None = None
    """When the scheduler placed the pod on a node; None if it has not yet, or if the time is unknown. Aware.

    `since` minus this is the cold start of a ready replica."""
    reason: str = ""
    """For UNSCHEDULABLE the reason of the pod's problem, such as `InsufficientGPU`; empty without a problem."""


@dataclass(frozen=True, slots=True)
class ClientCounters:
    """Requests and tokens as the gateways count them, over all gateways. They never fall; only differences matter.

    The fields have the meaning and the names of `chatscale_contract.gateway.demand.ModelDemand`.
    """

    arrived: int = 0
    sent: int = 0
    finished: int = 0
    refused: int = 0
    abandoned: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    slo_misses: int = 0
    wake_misses: int = 0
    no_wake_arrived: int = 0
    no_wake_placed: int = 0


@dataclass(frozen=True, slots=True)
class ClientDemand:
    """The demand for one ChatModel, summed over the gateways that could be read in the last seconds."""

    taken_at: datetime
    """Aware."""
    gateways: int = 0
    """Gateways in these sums. 0: no gateway exists or none can be read."""
    unread: tuple[str, ...] = ()
    """Names of the gateways that exist and are ignored, because they could not be read for too long."""
    is_current: bool = False
    """Whether every gateway that exists was read within the last readings: nothing can have happened unseen."""
    held: int = 0
    held_prompt_tokens: int = 0
    """Estimated prompt tokens of the held requests."""
    in_flight: int = 0
    oldest_held_s: float = 0.0
    counters: ClientCounters = field(default_factory=ClientCounters)
    in_flight_by_pod: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """By pod UID."""
    no_wake_held: int = 0
    """Those of `held` whose key has `wake: false`: they neither start a model nor keep it awake."""
    no_wake_in_flight: int = 0

    @property
    def waking_held(self) -> int:
        """Held requests that may start the model and keep it awake."""
        return self.held - self.no_wake_held

    @property
    def waking_in_flight(self) -> int:
        """Requests in flight that keep the model awake."""
        return self.in_flight - self.no_wake_in_flight


@dataclass(frozen=True, slots=True)
class Observation:
    """All replicas of one ChatModel at one time."""

    taken_at: datetime
    """When the reading was finished. Two decisions on one observation count as one reading."""
    replicas: tuple[Replica, ...]
    clients: ClientDemand | None = None
    """What the gateways report; None if the operator reads no gateways."""

    def in_phase(self, phase: ReplicaPhase) -> tuple[Replica, ...]:
        """The replicas that are in `phase`, in the order given."""
        return tuple(replica for replica in self.replicas if replica.phase is phase)

    @property
    def slots(self) -> int | None:
        """The smallest number of batch slots in the newest samples of all ready replicas; None without any sample."""
        samples = [replica.sample for replica in self.in_phase(ReplicaPhase.READY) if replica.sample is not None]
        return min((sample.slots for sample in samples if sample.slots > 0), default=None)

    @property
    def queue_depth(self) -> int | None:
        """Requests that wait in replicas, by their newest samples, and in gateways; None if neither could be read."""
        samples = [replica.sample for replica in self.in_phase(ReplicaPhase.READY) if replica.sample is not None]
        held = self.clients.held if self.clients is not None and self.clients.gateways else None
        if not samples and held is None:
            return None
        return sum(sample.queue_depth for sample in samples) + (held or 0)
