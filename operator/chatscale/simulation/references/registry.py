"""Every reference by name."""

from collections.abc import Callable
from typing import Final

from chatscale.simulation.outcome import Outcome, Workload
from chatscale.simulation.references.bound import lower_bound
from chatscale.simulation.references.no_foresight import no_foresight
from chatscale.simulation.references.reachable import reachable_optimum
from chatscale.simulation.run import Scenario

REFERENCES: Final[dict[str, Callable[[Workload, Scenario], Outcome]]] = {
    "lower-bound": lower_bound,
    "reachable-optimum": reachable_optimum,
    "no-foresight": no_foresight,
}
"""Each plays a workload in a scenario as often as it takes, and tells the best of its runs."""
