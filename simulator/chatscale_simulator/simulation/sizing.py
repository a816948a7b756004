"""An estimate of the replicas that a load needs: for fixed fleets, initial counts and load factors.

It is neither a bound nor a policy. It assumes a constant request mix, constant batch sizes and even arrivals.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from chatscale_simulator.simulation.arrays import FloatArray
from chatscale_simulator.simulation.profiles import ServerProfile, SloTarget, base_seconds
from chatscale_simulator.simulation.workload import Workload

BUCKET_S: Final = 300.0
"""Averaging time of the load. Queues absorb shorter bursts."""
HEADROOM: Final = 1.25
"""Factor on the initial replicas, so that no fleet is overloaded from the first second."""
PLANNED_UTILIZATION: Final = 0.75
"""Share of KV cache, token budget and time per token that a replica is planned to use. The rest is for uneven load."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """The replicas that a workload needs on a server."""

    per_replica_rps: float
    """Requests per second of this mix that one replica can serve."""
    first: int
    """Replicas for the first five minutes, with headroom."""
    mean: int
    """For the mean load."""
    peak: int
    """For the busiest bucket."""


def size(workload: Workload, server: ServerProfile, slo: SloTarget) -> Sizing:
    """Estimate what the load needs."""
    per_replica_rps = capacity_rps(workload, server, slo)
    needed = offered_rps(workload) / per_replica_rps
    return Sizing(
        per_replica_rps=per_replica_rps,
        first=_whole(needed[0] * HEADROOM),
        mean=_whole(float(needed.mean())),
        peak=_whole(float(needed.max())),
    )


def offered_rps(workload: Workload, bucket_s: float = BUCKET_S) -> FloatArray:
    """Requests per second in each bucket. The last bucket may be shorter."""
    edges = np.arange(0.0, workload.duration_s + bucket_s, bucket_s)
    edges = np.append(edges[:-1], max(workload.duration_s, edges[-2] + 1.0)) if len(edges) > 1 else np.array([0.0, 1.0])
    counts = np.histogram(workload.arrival_s, edges)[0]
    rates: FloatArray = counts / np.diff(edges)
    return rates


def capacity_rps(workload: Workload, server: ServerProfile, slo: SloTarget) -> float:
    """Requests per second of this mix at which a constant batch meets the time per token and fits the KV cache."""
    prompt, output = workload.prompt_tokens.astype(np.float64), workload.output_tokens.astype(np.float64)
    # In decode a request holds its prompt and, on average, half of its output.
    held = float(((prompt + output / 2) * output).mean() / output.mean())
    base_s, chunk = base_seconds(server), server.steps.tokens_per_step
    sequences = np.arange(1, server.max_sequences + 1)
    sequences = sequences[sequences * held <= max(PLANNED_UTILIZATION * server.steps.kv_tokens, held)]
    # Prompt tokens in prefill for each token in decode.
    prefilled = float(prompt.mean() / output.mean())
    tokens = np.minimum(sequences * (1 + prefilled), PLANNED_UTILIZATION * chunk).astype(np.int64)
    decoded = tokens / (1 + prefilled)
    step_s = base_s[tokens] + server.steps.c3_ms_per_kv_token / 1000 * sequences * held
    fits = step_s <= PLANNED_UTILIZATION * slo.tpot_s
    fits[0] = True
    return float((decoded / step_s)[fits].max() / output.mean())


def _whole(needed: float) -> int:
    return max(1, math.ceil(needed - 1e-9))
