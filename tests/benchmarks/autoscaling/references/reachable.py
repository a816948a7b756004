"""The cheapest schedule that hindsight finds: every replica ordered one cold start before it is needed.

Start-ups are drawn as for every policy, so half of them come later than planned; looking further ahead covers that.
A search, not a proof: the true optimum may be cheaper still, and the lower bound says by how much at most.
"""

from typing import Final

import numpy as np

from chatscale_simulator.simulation.arrays import FloatArray, IntArray
from chatscale_simulator.simulation.result import RunResult
from chatscale_simulator.simulation.scenario import COLD_STARTS, SCHEDULING_S, SCRAPE_INTERVAL_S, Scenario
from chatscale_simulator.simulation.workload import Workload
from tests.benchmarks.autoscaling.references.schedule import (
    PROMISE,
    SHARES,
    SLACK,
    Trial,
    Try,
    cheapest,
    largest_ahead,
    tries,
    whole,
)
from tests.benchmarks.autoscaling.references.work import SLOT_S, best_cost, centred, offered

LOOKS_AHEAD_S: Final = (0.0, 45.0, 180.0)
RUNS: Final = 40
"""At most so many runs for one trace, the sweep's included."""
SWEEP_RUNS: Final = 21
"""What the sweep takes at most: three families, each once at its dearest and six bisections."""
WINDOWS: Final = 24
"""Parts of a run that are lowered on their own: hours of a day."""
_SHORTEST_S: Final = 300.0
"""No part is shorter."""


def reachable_optimum(workload: Workload, scenario: Scenario) -> RunResult:
    """Sweep, then lower window by window while the promise holds."""
    play = tries(workload, scenario)
    server = scenario.replica
    need = centred(offered(workload, best_cost(workload, server, scenario.slo)))
    families = [[planned(need / share, ahead_s, scenario) for share in SHARES] for ahead_s in LOOKS_AHEAD_S]
    return lower(cheapest(families, play), need, play, RUNS - SWEEP_RUNS, scenario.min_replicas).result


def planned(replicas: FloatArray, ahead_s: float, scenario: Scenario) -> IntArray:
    """(slots,) counts to ask for: what is needed from now until a start begun at the next decision is through.

    A replica that is needed again within a cold start is kept: to start it anew would cost as much.
    """
    start_s = SCHEDULING_S + COLD_STARTS[scenario.cold_start][0]
    counts = whole(replicas, scenario.min_replicas, scenario.max_replicas)
    return largest_ahead(counts, start_s + SCRAPE_INTERVAL_S + ahead_s)


def lower(best: Trial, need: FloatArray, play: Try, runs: int, least: int) -> Trial:
    """Take one replica from the windows that are the least busy, in ever smaller batches, until none can go.

    need: (slots,) replicas that the work keeps busy.  runs: at most so many are played.
    """
    target = PROMISE if best.kept >= PROMISE else best.kept - SLACK
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
        if trial.kept >= target and trial.replica_s < best.replica_s:
            best = trial
        elif len(chosen) == 1:
            closed[chosen] = True
        else:
            batch = len(chosen) // 2
    return best
