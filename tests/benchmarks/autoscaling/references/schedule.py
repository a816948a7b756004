"""Replica counts fixed before a run begins, the policy that follows them, and the runs that tell how good they are."""

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
from tests.benchmarks.autoscaling.references.work import SLOT_S

PROMISE: Final = 0.99
"""Attainment that a reference must keep."""
SHARES: Final = tuple(0.1 * 1.07**step for step in range(36))
"""Of its capacity that a replica is planned to use, to 1.07: where prompts are long and few, little of it; above 1 as
the mix of an hour may be lighter than the day's."""
SLACK: Final = 0.001
"""Where it cannot be kept, the cheapest that comes this close to the best: the last requests cost the most."""


class Schedule:
    """Follow a plan, whatever happens."""

    period_s = SCRAPE_INTERVAL_S
    reads_live = False

    def __init__(self, counts: IntArray) -> None:
        """counts: (slots,) replicas wanted by slot of SLOT_S; the last one holds for ever."""
        self._counts = counts

    def decide(self, snapshot: MetricsSnapshot) -> int:
        """Return the count of the slot that it is."""
        return int(self._counts[min(int(snapshot.now_s // SLOT_S), len(self._counts) - 1)])


@dataclass(frozen=True, slots=True)
class Trial:
    """One schedule and what came of it."""

    counts: IntArray
    result: RunResult
    kept: float
    """Share of requests within the SLO."""
    replica_s: float
    """Billed seconds."""


Try = Callable[[IntArray], Trial]


def tries(workload: Workload, scenario: Scenario) -> Try:
    """How to play one schedule on the very run that is scored."""

    def play(counts: IntArray) -> Trial:
        result = run(workload, scenario, Schedule(counts))
        flags = within_slo(result, scenario.slo)
        kept = float(flags.mean()) if len(flags) else 1.0
        return Trial(counts, result, kept, sum(pod.ended_s - pod.created_s for pod in result.pods))

    return play


def cheapest(families: Sequence[Sequence[IntArray]], play: Try) -> Trial:
    """Find the cheapest schedule that keeps PROMISE; if none does, that keeps nearly as much as the best.

    families: each from the dearest to the cheapest, so that what is kept falls along it, which is bisected.
    """
    dearest = [play(family[0]) for family in families]
    target = min(PROMISE, max(trial.kept for trial in dearest) - SLACK)
    best = min((trial for trial in dearest if trial.kept >= target), key=lambda trial: trial.replica_s)
    for first, family in zip(dearest, families, strict=True):
        low, high = 0, len(family) if first.kept >= target else 1
        while high - low > 1:
            middle = (low + high) // 2
            if family[middle].sum() >= best.counts.sum():
                low = middle  # Not worth a run: dearer on paper than what is known to do.
                continue
            trial = play(family[middle])
            low, high = (middle, high) if trial.kept >= target else (low, middle)
            if trial.kept >= target and trial.replica_s < best.replica_s:
                best = trial
    return best


def whole(replicas: FloatArray, least: int, most: int) -> IntArray:
    """Round up to counts within the bounds."""
    counts: IntArray = np.clip(np.ceil(replicas - 1e-9), least, most).astype(np.int64)
    return counts


def largest_ahead(counts: IntArray, ahead_s: float) -> IntArray:
    """(slots,) the most of each slot and of those that begin within `ahead_s` of it."""
    wide = int(np.ceil(ahead_s / SLOT_S)) + 1
    padded = np.concatenate((counts, np.full(wide - 1, counts[-1])))
    most: IntArray = np.lib.stride_tricks.sliding_window_view(padded, wide).max(axis=1)
    return most


def largest_before(counts: IntArray, before_s: float) -> IntArray:
    """(slots,) the most of each slot and of those within `before_s` before it."""
    return largest_ahead(counts[::-1], before_s)[::-1]
