"""A run has room for as many pods as its scenario allows."""

from typing import Any

import numpy as np
import pytest

from chatscale_simulator.policies.static import Static, StaticSettings
from chatscale_simulator.simulation import run as run_module
from chatscale_simulator.simulation.result import REQUEST_OUTCOMES, RequestOutcome, RunResult
from chatscale_simulator.simulation.run import run
from chatscale_simulator.simulation.scenario import Scenario, Track
from chatscale_simulator.simulation.snapshot import MetricsSnapshot
from chatscale_simulator.simulation.workload import Workload


class Seesaw:
    """One replica and eight in turn: pods that drain pile up beside those that start."""

    period_s = 2.0
    reads_live = True

    def decide(self, snapshot: MetricsSnapshot) -> int:
        return 1 if snapshot.desired > 1 else 8


def busy(requests: int = 400) -> Workload:
    rng = np.random.default_rng(3)
    return Workload(
        np.sort(rng.uniform(0, 120, requests)),
        rng.integers(50, 2000, requests),
        rng.integers(50, 1500, requests),
    )


def play(policy: Static | Seesaw, **scenario: Any) -> RunResult:
    return run(busy(), Scenario(profile="S", track=Track.NATIVE, seed=1, **scenario), policy)


def test_three_hundred_replicas_can_be_simulated() -> None:
    fleet = play(Static(StaticSettings(replicas=300)), initial_replicas=10, max_replicas=300)

    assert len(fleet.pods) == 300
    assert (fleet.outcomes == REQUEST_OUTCOMES.index(RequestOutcome.SERVED)).all()


def test_a_run_can_start_with_three_hundred_replicas() -> None:
    assert len(play(Static(StaticSettings(replicas=300)), initial_replicas=300, max_replicas=300).pods) == 300


def test_the_initial_number_of_rows_does_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    roomy = play(Seesaw(), initial_replicas=8, max_replicas=8)
    monkeypatch.setattr(run_module, "_ROWS", 1)
    cramped = play(Seesaw(), initial_replicas=8, max_replicas=8)

    assert len(roomy.pods) > 20
    assert cramped.pods == roomy.pods
    for name in ("outcomes", "first_token_s", "finish_s"):
        np.testing.assert_array_equal(getattr(cramped, name), getattr(roomy, name))
