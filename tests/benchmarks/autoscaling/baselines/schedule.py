"""Schedules of replica counts, the policy that follows one, and the search for the cheapest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from chatscale_simulator.simulation.arrays import FloatArray, IntArray
from chatscale_simulator.simulation.result import RunResult
from chatscale_simulator.simulation.run import run
from chatscale_simulator.simulation.scenario import SCRAPE_INTERVAL_S, Scenario
from chatscale_simulator.simulation.score import within_slo
from chatscale_simulator.simulation.snapshot import MetricsSnapshot
from chatscale_simulator.simulation.workload import Workload
from tests.benchmarks.autoscaling.baselines.work import SLOT_S

OBJECTIVE: Final = 0.99
"""SLO attainment that a reference must reach."""
SHARES: Final = tuple(0.1 * 1.07**step for step in range(36))
"""Planned utilization of a replica, up to 1.07: low where prompts are long and few; above 1 because the mix of an hour
may be lighter than that of the day."""
SLACK: Final = 0.001
"""If the objective cannot be reached: the distance to the best attainment, because the last requests cost the most."""


class Schedule:
    """A policy that follows a schedule and ignores metrics."""

    period_s = SCRAPE_INTERVAL_S
    reads_live = False

    def __init__(self, counts: IntArray) -> None:
        """counts: (slots,) replicas by slot of SLOT_S; the last one applies to the end."""
        self._counts = counts

    def decide(self, snapshot: MetricsSnapshot) -> int:
        """Return the count of the present slot."""
        return int(self._counts[min(int(snapshot.now_s // SLOT_S), len(self._counts) - 1)])


@dataclass(frozen=True, slots=True)
class Trial:
    """One schedule and its result."""

    counts: IntArray
    result: RunResult
    attainment: float
    """Share of requests within the SLO."""
    replica_s: float
    """Billed seconds of all replicas."""


Try = Callable[[IntArray], Trial]


def tries(workload: Workload, scenario: Scenario) -> Try:
    """Return a function that runs one schedule on the scored run."""

    def play(counts: IntArray) -> Trial:
        result = run(workload, scenario, Schedule(counts))
        flags = within_slo(result, scenario.slo)
        attainment = float(flags.mean()) if len(flags) else 1.0
        return Trial(counts, result, attainment, sum(pod.ended_s - pod.created_s for pod in result.pods))

    return play


def cheapest(families: Sequence[Sequence[IntArray]], play: Try) -> Trial:
    """Find the cheapest schedule that reaches OBJECTIVE; if none does, one that is close to the best.

    families: each from the most expensive to the cheapest schedule. The attainment falls along a family, so it is
    bisected.
    """
    most_expensive = [play(family[0]) for family in families]
    target = min(OBJECTIVE, max(trial.attainment for trial in most_expensive) - SLACK)
    best = min((trial for trial in most_expensive if trial.attainment >= target), key=lambda trial: trial.replica_s)
    for first, family in zip(most_expensive, families, strict=True):
        low, high = 0, len(family) if first.attainment >= target else 1
        while high - low > 1:
            middle = (low + high) // 2
            if family[middle].sum() >= best.counts.sum():
                low = middle  # No run: its estimate is more expensive than the best so far.
                continue
            trial = play(family[middle])
            low, high = (middle, high) if trial.attainment >= target else (low, middle)
            if trial.attainment >= target and trial.replica_s < best.replica_s:
                best = trial
    return best


def whole(replicas: FloatArray, least: int, most: int) -> IntArray:
    """Round up to counts within the bounds."""
    counts: IntArray = np.clip(np.ceil(replicas - 1e-9), least, most).astype(np.int64)
    return counts


def largest_ahead(counts: IntArray, ahead_s: float) -> IntArray:
    """(slots,) the maximum of each slot and of those that begin within `ahead_s` after it."""
    wide = int(np.ceil(ahead_s / SLOT_S)) + 1
    padded = np.concatenate((counts, np.full(wide - 1, counts[-1])))
    most: IntArray = np.lib.stride_tricks.sliding_window_view(padded, wide).max(axis=1)
    return most


def largest_before(counts: IntArray, before_s: float) -> IntArray:
    """(slots,) the maximum of each slot and of those within `before_s` before it."""
    return largest_ahead(counts[::-1], before_s)[::-1]
