"""The best that can be done without a future: the work of the last minute known exactly, and the usual cold start.

The ceiling for policies under a spike that nothing announces: it measures nothing, so nothing is late or lost, and
its two settings are chosen on the very run that is scored.
"""

from typing import Final

from chatscale_simulator.simulation.result import RunResult
from chatscale_simulator.simulation.scenario import Scenario
from chatscale_simulator.simulation.workload import Workload
from tests.benchmarks.autoscaling.references.schedule import SHARES, cheapest, largest_before, tries, whole
from tests.benchmarks.autoscaling.references.work import best_cost, offered, trailing

HOLDS_S: Final = (60.0, 240.0, 600.0)
"""A count is lowered to the most that was wanted within this time."""


def no_foresight(workload: Workload, scenario: Scenario) -> RunResult:
    """Play ceil(W / (a C)) with a from SHARES and a hold from HOLDS_S, the cheapest that keeps the promise."""
    server = scenario.replica
    known = trailing(offered(workload, best_cost(workload, server, scenario.slo)))
    families = []
    for hold_s in HOLDS_S:
        family = []
        for share in SHARES:
            wishes = whole(known / share, scenario.min_replicas, scenario.max_replicas)
            # Nothing is known as the run begins: what is there stays until a minute has been seen.
            wishes[:1] = scenario.initial_replicas
            family.append(largest_before(wishes, hold_s))
        families.append(family)
    return cheapest(families, tries(workload, scenario)).result
