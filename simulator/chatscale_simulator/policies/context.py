"""What a policy is configured with before a run: the figures that an administrator enters."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyContext:
    """Limits and step times of one replica, the SLO, and the sizes of the fixed fleets."""

    max_sequences: int
    kv_capacity_tokens: int
    tokens_per_step: int
    """The token budget of one step."""
    step_ms: Callable[[int, int], float]
    """(tokens computed in the step, KV tokens held by its decoding sequences) -> milliseconds."""
    ttft_slo_s: float
    tpot_slo_s: float
    peak_replicas: int = 1
    """Replicas for the busiest five minutes."""
    mean_replicas: int = 1
    """Replicas for the mean load."""
