"""What a run is worth: what customers waited, what it cost, and how restless it was."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from chatscale_simulator.simulation.outcome import FATES, Fate, Outcome, PodLife
from chatscale_simulator.simulation.profiles import SloTarget
from chatscale_simulator.simulation.view import Flags, Numbers

STRICT: Final = SloTarget(ttft_s=0.5, tpot_s=0.05, unloaded_factor=0.0)
"""Dynamo's defaults; on slow profiles nearly the bare step."""
REVERSAL_WITHIN_S: Final = 600.0
"""A count that turns back within this time went the wrong way before."""
_DROPPED: Final = (FATES.index(Fate.REFUSED), FATES.index(Fate.TIMED_OUT))
_SERVED: Final = FATES.index(Fate.SERVED)


@dataclass(frozen=True, slots=True)
class Score:
    """One run in numbers; the fields of the JSON that say how it went."""

    slo_attainment: float
    """Share of all requests that were served within the SLO, 0 to 1."""
    slo_attainment_strict: float
    """Within STRICT."""
    gpu_hours: float
    """From each pod's creation to its end: starting and draining are billed."""
    dropped_ratio: float
    """Share of requests refused or given up on in a queue."""
    reversals_per_hour: float
    """Changes of direction within 10 minutes of the change before."""
    scale_events: int
    ttft_p50_s: float
    """Percentiles count requests that got so far: a dropped one has no first token."""
    ttft_p99_s: float
    tpot_p50_s: float
    tpot_p99_s: float
    mean_replicas: float
    """Billed pods, mean over the run."""
    peak_replicas: int
    """Billed pods, the most at once."""
    saturated_s: float
    """Seconds in which a request waited on every ready replica."""


def score(outcome: Outcome, slo: SloTarget, gpus_per_replica: int) -> Score:
    """Score one run. A run without requests attains everything and waits for nothing."""
    ttft_s, tpot_s = waits(outcome)
    replica_s = sum(pod.ended_s - pod.created_s for pod in outcome.pods)
    hours = outcome.end_s / 3600
    return Score(
        slo_attainment=_share(attained(outcome, slo)),
        slo_attainment_strict=_share(attained(outcome, STRICT)),
        gpu_hours=replica_s / 3600 * gpus_per_replica,
        dropped_ratio=1 - _share(~np.isin(outcome.fates, _DROPPED)),
        reversals_per_hour=reversals(outcome.decided) / hours if hours else 0.0,
        scale_events=len(outcome.decided) - 1,
        ttft_p50_s=percentile(ttft_s, 50),
        ttft_p99_s=percentile(ttft_s, 99),
        tpot_p50_s=percentile(tpot_s, 50),
        tpot_p99_s=percentile(tpot_s, 99),
        mean_replicas=replica_s / outcome.end_s if outcome.end_s else 0.0,
        peak_replicas=most_at_once(outcome.pods),
        saturated_s=outcome.saturated_s,
    )


def attained(outcome: Outcome, slo: SloTarget) -> Flags:
    """Which requests were served within the SLO; dropped and unfinished ones were not."""
    ttft_s, tpot_s = waits(outcome)
    limit_s = slo.ttft_limit_s(outcome.unloaded_ttft_s)
    in_time = (ttft_s <= limit_s) & ((tpot_s <= slo.tpot_s) | (outcome.workload.output_tokens == 1))
    flags: Flags = in_time & (outcome.fates == _SERVED)
    return flags


def waits(outcome: Outcome) -> tuple[Numbers, Numbers]:
    """Seconds to the first token, and per output token after it; nan where there was none."""
    workload = outcome.workload
    ttft_s: Numbers = outcome.first_token_s - workload.arrival_s
    after_first = np.where(workload.output_tokens > 1, workload.output_tokens - 1, np.nan)
    tpot_s: Numbers = (outcome.finish_s - outcome.first_token_s) / after_first
    return ttft_s, tpot_s


def reversals(decided: tuple[tuple[float, int], ...]) -> int:
    """Count changes that undo the direction of a change at most 10 minutes earlier."""
    changes = [(at_s, after - before) for (_, before), (at_s, after) in pairwise(decided)]
    return sum(
        # To the millisecond: clocks that add up periods are a hair off, and rules often wait ten minutes to the second.
        (first > 0) != (second > 0) and round(at_s - before_s, 3) <= REVERSAL_WITHIN_S
        for (before_s, first), (at_s, second) in pairwise(changes)
    )


def most_at_once(pods: tuple[PodLife, ...]) -> int:
    """The most pods billed at one moment; one that ends as another begins does not overlap it."""
    edges = sorted([(pod.created_s, 1) for pod in pods] + [(pod.ended_s, -1) for pod in pods])
    return int(np.cumsum([step for _, step in edges]).max()) if edges else 0


def billed_at(pods: tuple[PodLife, ...], clock_s: Numbers) -> Numbers:
    """Pods billed at each moment of `clock_s`."""
    created = np.sort([pod.created_s for pod in pods])
    ended = np.sort([pod.ended_s for pod in pods])
    counts: Numbers = (
        np.searchsorted(created, clock_s, side="right") - np.searchsorted(ended, clock_s, side="right")
    ).astype(np.float64)
    return counts


def percentile(values: Numbers, percent: float) -> float:
    """Of the values that are numbers; 0 if there are none."""
    known = values[~np.isnan(values)]
    return float(np.percentile(known, percent)) if len(known) else 0.0


def _share(flags: Flags) -> float:
    return float(flags.mean()) if len(flags) else 1.0
