"""The score of a run: latencies, SLO attainment, cost and number of scaling changes."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from chatscale_simulator.simulation.arrays import BoolArray, FloatArray
from chatscale_simulator.simulation.profiles import SloTarget
from chatscale_simulator.simulation.result import REQUEST_OUTCOMES, PodLifetime, RequestOutcome, RunResult

STRICT: Final = SloTarget(ttft_s=0.5, tpot_s=0.05, unloaded_factor=0.0)
"""Dynamo's defaults. On slow profiles this is close to the time of one step."""
REVERSAL_WITHIN_S: Final = 600.0
"""A change in the opposite direction within this time is a reversal."""
_DROPPED: Final = (REQUEST_OUTCOMES.index(RequestOutcome.REFUSED), REQUEST_OUTCOMES.index(RequestOutcome.TIMED_OUT))
_SERVED: Final = REQUEST_OUTCOMES.index(RequestOutcome.SERVED)


@dataclass(frozen=True, slots=True)
class Score:
    """The score of one run; the fields of the JSON output."""

    slo_attainment: float
    """Share of all requests that were served within the SLO, 0 to 1."""
    slo_attainment_strict: float
    """Within STRICT."""
    gpu_hours: float
    """From the creation of each pod to its end, so cold starts and draining are billed."""
    dropped_ratio: float
    """Share of requests that were refused or timed out in a queue."""
    reversals_per_hour: float
    """Changes of direction within 10 minutes of the change before."""
    scale_events: int
    ttft_p50_s: float
    """Percentiles are over requests with a first token."""
    ttft_p99_s: float
    tpot_p50_s: float
    tpot_p99_s: float
    mean_replicas: float
    """Billed pods, mean over the run."""
    peak_replicas: int
    """Billed pods, the most at once."""
    saturated_s: float
    """Seconds in which a request waited on every ready replica."""


def score(result: RunResult, slo: SloTarget, gpus_per_replica: int) -> Score:
    """Score one run. Without requests the attainment is 1 and latencies are 0."""
    ttft_s, tpot_s = latencies(result)
    replica_s = sum(pod.ended_s - pod.created_s for pod in result.pods)
    hours = result.end_s / 3600
    return Score(
        slo_attainment=_share(within_slo(result, slo)),
        slo_attainment_strict=_share(within_slo(result, STRICT)),
        gpu_hours=replica_s / 3600 * gpus_per_replica,
        dropped_ratio=1 - _share(~np.isin(result.outcomes, _DROPPED)),
        reversals_per_hour=reversals(result.counts) / hours if hours else 0.0,
        scale_events=len(result.counts) - 1,
        ttft_p50_s=percentile(ttft_s, 50),
        ttft_p99_s=percentile(ttft_s, 99),
        tpot_p50_s=percentile(tpot_s, 50),
        tpot_p99_s=percentile(tpot_s, 99),
        mean_replicas=replica_s / result.end_s if result.end_s else 0.0,
        peak_replicas=peak_pods(result.pods),
        saturated_s=result.saturated_s,
    )


def within_slo(result: RunResult, slo: SloTarget) -> BoolArray:
    """(requests,) which were served within the SLO. Dropped and unfinished requests were not."""
    ttft_s, tpot_s = latencies(result)
    limit_s = slo.ttft_limit_s(result.unloaded_ttft_s)
    in_time = (ttft_s <= limit_s) & ((tpot_s <= slo.tpot_s) | (result.workload.output_tokens == 1))
    flags: BoolArray = in_time & (result.outcomes == _SERVED)
    return flags


def latencies(result: RunResult) -> tuple[FloatArray, FloatArray]:
    """Seconds to the first token, and mean seconds per output token after it; nan without one."""
    workload = result.workload
    ttft_s: FloatArray = result.first_token_s - workload.arrival_s
    after_first = np.where(workload.output_tokens > 1, workload.output_tokens - 1, np.nan)
    tpot_s: FloatArray = (result.finish_s - result.first_token_s) / after_first
    return ttft_s, tpot_s


def reversals(counts: tuple[tuple[float, int], ...]) -> int:
    """Count changes that undo the direction of a change at most 10 minutes earlier."""
    changes = [(at_s, after - before) for (_, before), (at_s, after) in pairwise(counts)]
    return sum(
        # Rounded to milliseconds: a clock that adds up periods has a rounding error, and 600 s is a common setting.
        (first > 0) != (second > 0) and round(at_s - before_s, 3) <= REVERSAL_WITHIN_S
        for (before_s, first), (at_s, second) in pairwise(changes)
    )


def peak_pods(pods: tuple[PodLifetime, ...]) -> int:
    """The largest number of pods billed at one time. A pod that ends when another begins does not overlap it."""
    edges = sorted([(pod.created_s, 1) for pod in pods] + [(pod.ended_s, -1) for pod in pods])
    return int(np.cumsum([step for _, step in edges]).max()) if edges else 0


def billed_at(pods: tuple[PodLifetime, ...], clock_s: FloatArray) -> FloatArray:
    """Pods billed at each time of `clock_s`."""
    created = np.sort([pod.created_s for pod in pods])
    ended = np.sort([pod.ended_s for pod in pods])
    billed: FloatArray = (
        np.searchsorted(created, clock_s, side="right") - np.searchsorted(ended, clock_s, side="right")
    ).astype(np.float64)
    return billed


def percentile(values: FloatArray, percent: float) -> float:
    """Percentile of the values that are not nan; 0 if there are none."""
    known = values[~np.isnan(values)]
    return float(np.percentile(known, percent)) if len(known) else 0.0


def _share(flags: BoolArray) -> float:
    return float(flags.mean()) if len(flags) else 1.0
