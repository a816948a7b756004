"""How many replicas a load needs, estimated on paper: for fixed fleets, first counts and the size of a comparison.

Not a bound and not a policy: the mix of a trace is taken as constant, batches as level, arrivals as even.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from chatscale_simulator.simulation.outcome import Workload
from chatscale_simulator.simulation.profiles import ServerProfile, SloTarget, base_seconds
from chatscale_simulator.simulation.view import Numbers

BUCKET_S: Final = 300.0
"""The load is averaged over this time: shorter bursts are what queues are for."""
UNEVEN: Final = 1.25
"""A run starts with this much more than an even load would need: no fleet is overloaded from the first second on."""
FULL: Final = 0.75
"""Share of KV cache, token budget and time per token that a replica is planned to use: the rest is for unevenness."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """What a workload needs on a server."""

    per_replica_rps: float
    """Requests per second of the trace's mix that one replica carries."""
    first: int
    """Replicas for the first bucket, with room for uneven arrivals."""
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
        first=_whole(needed[0] * UNEVEN),
        mean=_whole(float(needed.mean())),
        peak=_whole(float(needed.max())),
    )


def offered_rps(workload: Workload, bucket_s: float = BUCKET_S) -> Numbers:
    """Requests per second in each bucket; a last bucket that is not whole is averaged over what there is of it."""
    edges = np.arange(0.0, workload.duration_s + bucket_s, bucket_s)
    edges = np.append(edges[:-1], max(workload.duration_s, edges[-2] + 1.0)) if len(edges) > 1 else np.array([0.0, 1.0])
    counts = np.histogram(workload.arrival_s, edges)[0]
    rates: Numbers = counts / np.diff(edges)
    return rates


def capacity_rps(workload: Workload, server: ServerProfile, slo: SloTarget) -> float:
    """Requests per second of this mix at which a level batch meets the time per token and fits the cache."""
    prompt, output = workload.prompt_tokens.astype(np.float64), workload.output_tokens.astype(np.float64)
    # A request holds its prompt and, on average, half of its output for as long as it decodes.
    held = float(((prompt + output / 2) * output).mean() / output.mean())
    base_s, chunk = base_seconds(server), server.steps.tokens_per_step
    sequences = np.arange(1, server.max_sequences + 1)
    sequences = sequences[sequences * held <= max(FULL * server.steps.kv_tokens, held)]
    # Of each token decoded, this many prompt tokens are prefilled beside it.
    beside = float(prompt.mean() / output.mean())
    tokens = np.minimum(sequences * (1 + beside), FULL * chunk).astype(np.int64)
    decoded = tokens / (1 + beside)
    step_s = base_s[tokens] + server.steps.c3_ms_per_kv_token / 1000 * sequences * held
    fits = step_s <= FULL * slo.tpot_s
    fits[0] = True
    return float((decoded / step_s)[fits].max() / output.mean())


def _whole(needed: float) -> int:
    return max(1, math.ceil(needed - 1e-9))
