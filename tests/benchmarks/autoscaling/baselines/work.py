"""The work of requests, in seconds of a replica: with the best batch, and as a lower bound.

This work adds up, unlike tokens: a token in decode costs many times as much as one in prefill.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from chatscale_simulator.simulation.arrays import FloatArray
from chatscale_simulator.simulation.profiles import ServerProfile, SloTarget, base_seconds
from chatscale_simulator.simulation.workload import Workload

SLOT_S: Final = 5.0
"""Time grid of work and schedules: a third of the decision interval."""
SMOOTH_S: Final = 60.0
"""Arrivals within a minute count as even, because batches and queues absorb shorter bursts."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of tokens in the largest batch that meets the time per token, with constant arrivals and mix."""

    prompt_token_s: float
    output_token_s: float
    step_s: float
    """Time between two tokens of a request in that batch."""

    def of(self, workload: Workload) -> FloatArray:
        """(requests,) seconds of one replica for each request."""
        seconds: FloatArray = (
            workload.prompt_tokens * self.prompt_token_s + (workload.output_tokens - 1) * self.output_token_s
        )
        return seconds


def best_cost(workload: Workload, server: ServerProfile, slo: SloTarget) -> Cost:
    """The cost in the best constant batch of the workload's mix; prompts alone have the rate of a full step.

    Best: the most tokens per second among the batches whose step is within the SLO's time per token and whose
    sequences, with their prompt and half of their output, fit the KV cache.
    """
    prompt, output = workload.prompt_tokens.astype(np.float64), workload.output_tokens.astype(np.float64)
    base_s = base_seconds(server)
    held = float(((prompt + output / 2) * output).mean() / output.mean())
    prefilled = float(prompt.mean() / output.mean())
    sequences = np.arange(1, server.max_sequences + 1)
    sequences = sequences[sequences * held <= max(server.steps.kv_tokens, held)]
    tokens = np.minimum(sequences * (1 + prefilled), server.steps.tokens_per_step)
    decoded = tokens / (1 + prefilled)
    step_s = np.interp(tokens, np.arange(len(base_s)), base_s) + _kv_s(server) * sequences * held
    fits = step_s <= slo.tpot_s
    fits[0] = True
    best = int(np.argmax(np.where(fits, decoded / step_s, 0.0)))
    prompt_token_s = 1 / best_rate(server)
    return Cost(
        prompt_token_s=prompt_token_s,
        output_token_s=float(step_s[best] / decoded[best]) - prefilled * prompt_token_s,
        step_s=float(step_s[best]),
    )


def best_rate(server: ServerProfile) -> float:
    """Tokens per second of the best step, with an empty cache. No batch is faster."""
    base_s = base_seconds(server)[: server.steps.tokens_per_step + 1]
    return float((np.arange(1, len(base_s)) / base_s[1:]).max())


def least_seconds(workload: Workload, server: ServerProfile) -> FloatArray:
    """(requests,) lower bound of the seconds of a replica: tokens at the best rate, and reading the cache."""
    computed = workload.prompt_tokens + workload.output_tokens - 1
    seconds: FloatArray = computed / best_rate(server) + cache_seconds(workload, server)
    return seconds


def cache_seconds(workload: Workload, server: ServerProfile) -> FloatArray:
    """(requests,) seconds to read the KV cache of a request: its prompt, and one token more at each step."""
    steps = workload.output_tokens - 1
    seconds: FloatArray = _kv_s(server) * steps * (workload.prompt_tokens + (steps - 1) / 2)
    return seconds


def slots(workload: Workload) -> int:
    """Number of slots from 0 to the last arrival, at least one."""
    return int(workload.duration_s // SLOT_S) + 1


def arriving(workload: Workload, seconds: FloatArray) -> FloatArray:
    """(slots,) replicas busy if each request's work were done in the slot of its arrival."""
    at = (workload.arrival_s // SLOT_S).astype(np.int64)
    busy: FloatArray = np.bincount(at, weights=seconds, minlength=slots(workload)) / SLOT_S
    return busy


def offered(workload: Workload, cost: Cost) -> FloatArray:
    """(slots,) replicas that the work keeps busy in the best batch. A slot does not depend on later arrivals."""
    prompt_s = cost.prompt_token_s * workload.prompt_tokens.astype(np.float64)
    return spread(workload, prompt_s, cost.of(workload) - prompt_s, cost.step_s)


def spread(workload: Workload, prompt_s: FloatArray, output_s: FloatArray, token_s: float) -> FloatArray:
    """(slots,) busy replicas with prompts on arrival and outputs evenly after it, `token_s` per token.

    prompt_s, output_s: (requests,) seconds of a replica. Work after the last arrival is left out.
    """
    edges = np.linspace(0.0, slots(workload) * SLOT_S, slots(workload) + 1)
    lasts_s = np.maximum(workload.output_tokens * token_s, 1e-9)
    begun = _ramp(edges, workload.arrival_s, output_s / lasts_s)
    ended = _ramp(edges, workload.arrival_s + lasts_s, output_s / lasts_s)
    return arriving(workload, prompt_s) + np.diff(begun - ended) / SLOT_S


def _ramp(edges: FloatArray, starts_s: FloatArray, slopes: FloatArray) -> FloatArray:
    """Sum over requests of slope * max(0, edge - start), at each edge."""
    order = np.argsort(starts_s, kind="stable")
    slope = np.concatenate(([0.0], np.cumsum(slopes[order])))
    offset = np.concatenate(([0.0], np.cumsum(slopes[order] * starts_s[order])))
    at = np.searchsorted(starts_s[order], edges, side="right")
    total: FloatArray = slope[at] * edges - offset[at]
    return total


def centred(busy: FloatArray, width_s: float = SMOOTH_S) -> FloatArray:
    """(slots,) centred moving average; shorter at both ends."""
    reach = int(width_s / SLOT_S / 2)
    sums = np.concatenate(([0.0], np.cumsum(busy)))
    at = np.arange(len(busy))
    first, last = np.maximum(at - reach, 0), np.minimum(at + reach + 1, len(busy))
    mean: FloatArray = (sums[last] - sums[first]) / (last - first)
    return mean


def trailing(busy: FloatArray, width_s: float = SMOOTH_S) -> FloatArray:
    """(slots,) mean over the slots before each one, itself excluded; 0 for the first."""
    wide = int(width_s / SLOT_S)
    sums = np.concatenate(([0.0], np.cumsum(busy)))[:-1]
    at = np.arange(len(busy))
    first = np.maximum(at - wide, 0)
    mean: FloatArray = (sums - sums[first]) / np.maximum(at - first, 1)
    return mean


def _kv_s(server: ServerProfile) -> float:
    return server.steps.c3_ms_per_kv_token / 1000
