"""The best schedule without knowledge of the future: the exact work of the last minute, and the usual cold start.

An upper bound for policies under an unannounced spike: it needs no metrics, so none are late or lost, and its two
settings are chosen on the scored run itself.
"""

from typing import Final

from chatscale_simulator.simulation.result import RunResult
from chatscale_simulator.simulation.scenario import Scenario
from chatscale_simulator.simulation.workload import Workload
from tests.benchmarks.autoscaling.baselines.schedule import SHARES, cheapest, largest_before, tries, whole
from tests.benchmarks.autoscaling.baselines.work import best_cost, offered, trailing

HOLDS_S: Final = (60.0, 240.0, 600.0)
"""Scale down goes to the largest count of this time."""


def no_foresight(workload: Workload, scenario: Scenario) -> RunResult:
    """Run ceil(W / (a C)) with a from SHARES and a hold from HOLDS_S; return the cheapest that keeps 99 %."""
    server = scenario.replica
    known = trailing(offered(workload, best_cost(workload, server, scenario.slo)))
    families = []
    for hold_s in HOLDS_S:
        family = []
        for share in SHARES:
            counts = whole(known / share, scenario.min_replicas, scenario.max_replicas)
            # No work is known at the start of the run: the initial replicas stay for a minute.
            counts[:1] = scenario.initial_replicas
            family.append(largest_before(counts, hold_s))
        families.append(family)
    return cheapest(families, tries(workload, scenario)).result
