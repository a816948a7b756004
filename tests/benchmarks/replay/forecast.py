"""What `chatscale simulate` says of the same arrivals, the same ChatModel and the start-ups that were measured."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from chatscale_simulator.inputs.chatmodel import SimulatedModel
from chatscale_simulator.simulation.result import RunResult
from chatscale_simulator.simulation.run import run
from chatscale_simulator.simulation.scenario import Scenario, Track
from chatscale_simulator.simulation.workload import Workload

RUNS: Final = 20
"""Each with its own start-ups and its own phase of the operator's clock against the traffic."""


@dataclass(frozen=True, slots=True)
class MeasuredStarts(Scenario):
    """New replicas take what replicas on the cluster took."""

    start_ups_s: tuple[float, ...] = ()

    def cold_start_s(self, pod: int) -> float:
        """One of those that were measured, from creation to ready."""
        return float(np.random.default_rng((self.seed, pod)).choice(self.start_ups_s))


def forecast(
    subject: SimulatedModel, workload: Workload, start_ups_s: tuple[float, ...], *, random_routing: bool
) -> list[RunResult]:
    """Play the workload RUNS times.

    random_routing: replicas get requests by chance, as through a Service, instead of where the fewest are in flight.
    """
    scenarios = [
        MeasuredStarts(
            track=Track.NATIVE,
            seed=seed,
            min_replicas=subject.min_replicas,
            max_replicas=subject.max_replicas,
            initial_replicas=subject.min_replicas,
            outage=False,
            scrape_loss=0.0,
            random_routing=random_routing,
            slo=subject.slo,
            server=subject.server,
            start_ups_s=start_ups_s,
        )
        for seed in range(RUNS)
    ]
    return [run(workload, scenario, subject.make_policy(scenario.track)) for scenario in scenarios]
