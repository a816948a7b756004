"""The forecast of `chatscale simulate` for the same arrivals, the same ChatModel and the measured cold starts."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from typing_extensions import override

from chatscale_simulator.inputs.chatmodel import SimulatedModel
from chatscale_simulator.simulation.result import RunResult
from chatscale_simulator.simulation.run import run
from chatscale_simulator.simulation.scenario import Routing, Scenario, Track
from chatscale_simulator.simulation.workload import Workload

RUNS: Final = 20
"""Each with its own cold starts and its own offset between the operator's decisions and the traffic."""


@dataclass(frozen=True, slots=True)
class MeasuredStarts(Scenario):
    """A scenario with the cold starts that were measured on the cluster."""

    start_ups_s: tuple[float, ...] = ()

    @override
    def cold_start_s(self, pod: int) -> float:
        """One of the measured cold starts, from creation to ready."""
        return float(np.random.default_rng((self.seed, pod)).choice(self.start_ups_s))


def forecast(
    model: SimulatedModel, workload: Workload, start_ups_s: tuple[float, ...], routing: Routing
) -> list[RunResult]:
    """Simulate the workload RUNS times."""
    scenarios = [
        MeasuredStarts(
            track=Track.NATIVE,
            seed=seed,
            min_replicas=model.min_replicas,
            max_replicas=model.max_replicas,
            initial_replicas=model.min_replicas,
            outage=False,
            scrape_loss=0.0,
            routing=routing,
            slo=model.slo,
            server=model.server,
            start_ups_s=start_ups_s,
        )
        for seed in range(RUNS)
    ]
    return [run(workload, scenario, model.make_policy(scenario.track)) for scenario in scenarios]
