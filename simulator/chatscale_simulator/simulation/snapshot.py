"""The metrics that a policy sees when it decides."""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from chatscale_simulator.simulation.arrays import BoolArray, FloatArray, IntArray


class Column(IntEnum):
    """One exported metric of a replica; gauges first, then counters since the replica's start."""

    WAITING = 0
    """Admitted requests that wait for a slot."""
    RUNNING = 1
    """Requests in the batch, in prefill or decode."""
    KV_TOKENS = 2
    """Tokens in the KV cache."""
    REJECTED = 3
    """Requests refused: queue full, or waited too long."""
    PROMPT_TOKENS = 4
    """Prefilled prompt tokens."""
    GENERATED_TOKENS = 5
    STARTED = 6
    """Requests that got a slot."""
    FINISHED = 7
    TTFT_SUM_S = 8
    """Seconds from arrival to first token, summed over requests that had one."""
    TTFT_COUNT = 9
    ITL_SUM_S = 10
    """Seconds between tokens, summed over all generated tokens but the first of each request."""
    ITL_COUNT = 11
    STEP_SUM_S = 12
    """Seconds that the engine spent in steps."""
    STEP_COUNT = 13
    TTFT_SLOW = 14
    """First tokens later than the SLO allows for a prompt of that length."""
    TPOT_SLOW = 15
    """Finished requests whose mean time per output token was above the SLO, without those in TTFT_SLOW."""
    ARRIVED = 16
    """Requests that were routed to this replica, refused ones included."""


COLUMNS = len(Column)


class ClientColumn(IntEnum):
    """One counter of the gateway, since the start of the run. See `chatscale_contract.gateway.demand.ModelDemand`."""

    ARRIVED = 0
    """Admitted requests: held or sent at once."""
    SENT = 1
    """Requests that a replica began."""
    FINISHED = 2
    REFUSED = 3
    """A bound of the hold was full, or the deadline passed."""
    PROMPT_TOKENS = 4
    """Of finished requests, as the next one."""
    GENERATED_TOKENS = 5
    SLO_MISSES = 6
    """Requests that missed the SLO, counted from their arrival, without refused ones and WAKE_MISSES."""
    WAKE_MISSES = 7
    """Requests that missed the SLO after they had waited for the first ready replica."""


@dataclass(frozen=True, slots=True)
class GatewayReading:
    """What the gateway reports of the model."""

    held: int
    held_prompt_tokens: int
    in_flight: int
    """Requests sent to a replica and not ended."""
    oldest_held_s: float
    """Age of the oldest held request."""
    counters: FloatArray
    """(len(ClientColumn),) float64."""


@dataclass(frozen=True, slots=True)
class MetricsSnapshot:
    """The metrics of one model's ready replicas, as Prometheus has them. Arrays have one entry per ready pod.

    After a failed scrape the pod is absent from an instant query until the next successful one, because Prometheus
    marks its series stale: `fresh` is False for it, and its row holds the last sample. A pod that was never scraped
    has a row of zeros, `fresh` False and an infinite `age_s`.
    """

    now_s: float
    desired: int
    """The present replica count of the spec."""
    starting: int
    """Pods that exist and are not ready yet."""
    pods: IntArray
    """Number of each ready pod; unique within a run."""
    ready_since_s: FloatArray
    fresh: BoolArray
    """Whether a query returns the pod's series."""
    age_s: FloatArray
    """Age of the sample in `samples`."""
    samples: FloatArray
    """(ready pods, COLUMNS) float64."""
    kv_capacity_tokens: int
    """Of one replica."""
    max_sequences: int
    """Batch slots of one replica."""
    starting_since_s: FloatArray = field(default_factory=lambda: np.zeros(0))
    """Creation time of each starting pod."""
    created_s: FloatArray = field(default_factory=lambda: np.zeros(0))
    """Creation time of each ready pod."""
    max_tokens_per_second: float = 0.0
    """The token rate that each replica measured in warm-up: the tokens of one full step over its time."""
    max_tokens_per_step: int = 0
    """Of one replica; 0 if it is not reported."""
    decode_step_s: float = 0.0
    """The duration of a decode step with all slots in use, as measured in warm-up; 0 if it is not reported."""

    gateway: GatewayReading | None = None
    """None without a gateway in front of the replicas."""

    @property
    def ready(self) -> int:
        """Number of ready pods."""
        return len(self.pods)

    def total(self, column: Column) -> float:
        """Sum over the pods with series, as `sum(metric)` returns it; 0 without series (see `has_no_data`)."""
        return float(self.samples[self.fresh, column].sum())

    @property
    def has_no_data(self) -> bool:
        """Whether an instant query returns no series of any pod."""
        return not bool(self.fresh.any())
