"""What a policy may know at the moment it decides, and what a policy is."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


class Column(IntEnum):
    """One exported metric of a replica; gauges first, then counters since the replica's start."""

    WAITING = 0
    """Requests admitted that hold no slot yet."""
    RUNNING = 1
    """Requests in the batch, prefilling or decoding."""
    KV_TOKENS = 2
    """Tokens held in the KV cache."""
    REJECTED = 3
    """Requests refused for want of room: queue full, or waited too long."""
    PROMPT_TOKENS = 4
    """Prompt tokens prefilled."""
    GENERATED_TOKENS = 5
    STARTED = 6
    """Requests that got a slot."""
    FINISHED = 7
    TTFT_SUM_S = 8
    """Seconds from arrival to first token, summed over requests that had one."""
    TTFT_COUNT = 9
    ITL_SUM_S = 10
    """Seconds between tokens, summed over generated tokens but the first."""
    ITL_COUNT = 11
    STEP_SUM_S = 12
    """Seconds that the engine spent in steps."""
    STEP_COUNT = 13
    TTFT_SLOW = 14
    """First tokens later than the SLO allows for a prompt of that length."""
    TPOT_SLOW = 15
    """Finished requests whose mean time per output token was above the SLO."""
    ARRIVED = 16
    """Requests that came to this replica, refused ones included."""


COLUMNS = len(Column)


@dataclass(frozen=True, slots=True)
class View:
    """The ready replicas of one model, as the signal path shows them. Arrays have one entry per ready pod.

    A pod whose last scrape failed is absent from an instant query until the next one succeeds, as Prometheus
    marks its series stale: `fresh` is False for it, and its row shows the last sample there was. A pod that was
    never scraped has a row of zeros, `fresh` False and an infinite `age_s`.
    """

    now_s: float
    desired: int
    """Replicas asked for now."""
    starting: int
    """Pods that exist and are not ready yet."""
    pods: Integers
    """Number of each ready pod; never used twice in a run."""
    ready_since_s: Numbers
    fresh: Flags
    """Whether the pod's series are there to be queried."""
    age_s: Numbers
    """Since the sample in `samples` was taken."""
    samples: Numbers
    """(ready pods, COLUMNS) float64."""
    kv_capacity_tokens: int
    """Of one replica."""
    max_sequences: int
    """Batch slots of one replica."""
    starting_since_s: Numbers = field(default_factory=lambda: np.zeros(0))
    """When each starting pod was created."""
    created_s: Numbers = field(default_factory=lambda: np.zeros(0))
    """When each ready pod was created."""
    max_tokens_per_second: float = 0.0
    """What each replica measured of itself in warm-up: the tokens of one full step over its time."""

    @property
    def ready(self) -> int:
        """Pods that take requests."""
        return len(self.pods)

    def total(self, column: Column) -> float:
        """Sum over the pods that can be queried, as `sum(metric)` gives it; 0 if there are none (see `blind`)."""
        return float(self.samples[self.fresh, column].sum())

    @property
    def blind(self) -> bool:
        """An instant query returns nothing: no series of any pod."""
        return not bool(self.fresh.any())


class Policy(Protocol):
    """A rule for the replica count. One object serves one run and may remember what it likes.

    `period_s` is its own period and `direct` whether its own path shows the present state instead of the last
    scrape; both count in the native track only. Runs clamp the answer to the bounds.
    """

    period_s: float
    direct: bool

    def decide(self, view: View) -> int:
        """Return the replicas wanted now. Called once per period with ascending `view.now_s`."""
        ...
