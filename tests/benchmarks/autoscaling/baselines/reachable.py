"""The cheapest schedule found with knowledge of the future: every replica is created one cold start before its use.

Cold starts are random as for every policy, so half of them take longer than planned; looking further ahead covers that.
This is a search, not a proof: the optimum may be cheaper, at most by the difference to the lower bound.
"""

from typing import Final

import numpy as np

from chatscale_simulator.simulation.arrays import FloatArray, IntArray
from chatscale_simulator.simulation.result import RunResult
from chatscale_simulator.simulation.scenario import COLD_STARTS, SCHEDULING_S, SCRAPE_INTERVAL_S, Scenario
from chatscale_simulator.simulation.workload import Workload
from tests.benchmarks.autoscaling.baselines.schedule import (
    OBJECTIVE,
    SHARES,
    SLACK,
    Trial,
    Try,
    cheapest,
    largest_ahead,
    tries,
    whole,
)
from tests.benchmarks.autoscaling.baselines.work import SLOT_S, best_cost, centred, offered

LOOKS_AHEAD_S: Final = (0.0, 45.0, 180.0)
RUNS: Final = 40
"""Most runs for one trace, including those of the sweep."""
SWEEP_RUNS: Final = 21
"""Most runs of the sweep: three families, each once at its most expensive schedule and six bisections."""
WINDOWS: Final = 24
"""Parts of a run that are lowered independently: hours of a day."""
_SHORTEST_S: Final = 300.0
"""No part is shorter."""


def reachable_optimum(workload: Workload, scenario: Scenario) -> RunResult:
    """Sweep, then lower window by window while the objective is reached."""
    play = tries(workload, scenario)
    server = scenario.replica
    need = centred(offered(workload, best_cost(workload, server, scenario.slo)))
    families = [[planned(need / share, ahead_s, scenario) for share in SHARES] for ahead_s in LOOKS_AHEAD_S]
    return lower(cheapest(families, play), need, play, RUNS - SWEEP_RUNS, scenario.min_replicas).result


def planned(replicas: FloatArray, ahead_s: float, scenario: Scenario) -> IntArray:
    """(slots,) counts: the replicas needed from now until a replica created at the next decision is ready.

    A replica that is needed again within a cold start is kept: a new one would cost as much.
    """
    start_s = SCHEDULING_S + COLD_STARTS[scenario.cold_start][0]
    counts = whole(replicas, scenario.min_replicas, scenario.max_replicas)
    return largest_ahead(counts, start_s + SCRAPE_INTERVAL_S + ahead_s)


def lower(best: Trial, need: FloatArray, play: Try, runs: int, least: int) -> Trial:
    """Remove one replica from the least busy windows, in ever smaller batches, until none can be removed.

    need: (slots,) replicas that the work keeps busy.  runs: most runs to try.
    """
    target = OBJECTIVE if best.attainment >= OBJECTIVE else best.attainment - SLACK
    count = max(1, min(WINDOWS, int(len(need) * SLOT_S / _SHORTEST_S)))
    window = np.arange(len(need)) * count // len(need)
    closed = np.zeros(count, dtype=np.bool_)
    batch = max(1, count // 2)
    for _ in range(runs):
        fewer = np.maximum(best.counts - 1, least)
        saved = np.bincount(window, weights=best.counts - fewer)
        open_ = np.flatnonzero((saved > 0) & ~closed)
        if not len(open_):
            break
        busy = np.bincount(window, weights=need) / np.bincount(window, weights=fewer)
        chosen = open_[np.argsort(busy[open_], kind="stable")][:batch]
        trial = play(np.where(np.isin(window, chosen), fewer, best.counts))
        if trial.attainment >= target and trial.replica_s < best.replica_s:
            best = trial
        elif len(chosen) == 1:
            closed[chosen] = True
        else:
            batch = len(chosen) // 2
    return best
