"""What a peer may be told of the machine before it starts: what an operator would enter in its configuration."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyContext:
    """One replica's limits and step times, the promise to customers, and the sizes of the fixed fleets."""

    max_sequences: int
    kv_capacity_tokens: int
    tokens_per_step: int
    """The token budget of one step."""
    step_ms: Callable[[int, int], float]
    """(tokens computed in the step, KV tokens held by its decoding sequences) -> milliseconds."""
    ttft_slo_s: float
    tpot_slo_s: float
    peak_replicas: int = 1
    """What the busiest moment needs: the peak-sized fleet."""
    mean_replicas: int = 1
    """What the mean load needs: the mean-sized fleet."""
