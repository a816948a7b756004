"""Every reference by name."""

from collections.abc import Callable
from typing import Final

from chatscale_simulator.simulation.result import RunResult
from chatscale_simulator.simulation.scenario import Scenario
from chatscale_simulator.simulation.workload import Workload
from tests.benchmarks.autoscaling.baselines.bound import lower_bound
from tests.benchmarks.autoscaling.baselines.no_foresight import no_foresight
from tests.benchmarks.autoscaling.baselines.reachable import reachable_optimum

REFERENCES: Final[dict[str, Callable[[Workload, Scenario], RunResult]]] = {
    "lower-bound": lower_bound,
    "reachable-optimum": reachable_optimum,
    "no-foresight": no_foresight,
}
"""Each runs a workload in a scenario as often as necessary, and returns the best of its runs."""
