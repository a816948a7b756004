"""The references on a real, small run: in their right order, and as promised."""

import numpy as np
import pytest

from chatscale_simulator.simulation.profiles import SloTarget
from chatscale_simulator.simulation.result import PodLifetime, RunResult
from chatscale_simulator.simulation.scenario import Scenario
from chatscale_simulator.simulation.score import score
from chatscale_simulator.simulation.workload import Workload
from tests.benchmarks.autoscaling.baselines.bound import lives
from tests.benchmarks.autoscaling.baselines.registry import REFERENCES
from tests.benchmarks.autoscaling.baselines.work import SLOT_S


@pytest.fixture(scope="module")
def outcomes() -> dict[str, RunResult]:
    """Twenty minutes whose middle has seven times the load."""
    rng = np.random.default_rng(0)
    arrival_s = np.sort(np.concatenate((rng.uniform(0, 1200, 6000), rng.uniform(400, 800, 12000))))
    workload = Workload(arrival_s, rng.integers(200, 1800, 18000), rng.integers(50, 350, 18000))
    scenario = Scenario(profile="S", initial_replicas=2)
    return {name: play(workload, scenario) for name, play in REFERENCES.items()}


def test_the_optimum_costs_less_than_no_foresight_and_more_than_the_bound(outcomes: dict[str, RunResult]):
    bound, optimum, present = (
        score(outcomes[name], SloTarget(), 1) for name in ("lower-bound", "reachable-optimum", "no-foresight")
    )
    assert bound.gpu_hours < optimum.gpu_hours < present.gpu_hours
    assert (bound.slo_attainment, optimum.slo_attainment >= 0.99, present.slo_attainment >= 0.99) == (1.0, True, True)


def test_no_run_has_lower_latencies_than_the_bound(outcomes: dict[str, RunResult]):
    bound, run = outcomes["lower-bound"], outcomes["reachable-optimum"]
    assert bool((run.first_token_s >= bound.first_token_s - 1e-9).all())
    assert bool((run.finish_s >= bound.finish_s - 1e-9).all())


def test_bills_counts_to_the_second():
    assert lives(np.array([1, 3, 2]), end_s=2.5 * SLOT_S) == (
        PodLifetime(0, 5.0, 5.0, 10.0),
        PodLifetime(1, 5.0, 5.0, 12.5),
        PodLifetime(2, 0.0, 0.0, 12.5),
    )
