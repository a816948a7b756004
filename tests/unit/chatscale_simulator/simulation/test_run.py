"""A run has room for as many pods as its scenario allows."""

from typing import Any

import numpy as np
import pytest

from chatscale_simulator.policies.static import Static, StaticSettings
from chatscale_simulator.simulation import run as run_module
from chatscale_simulator.simulation.outcome import FATES, Fate, Outcome, Track, Workload
from chatscale_simulator.simulation.run import Scenario, run
from chatscale_simulator.simulation.view import View


class Seesaw:
    """One replica and eight in turn: pods that drain pile up beside those that start."""

    period_s = 2.0
    direct = True

    def decide(self, view: View) -> int:
        return 1 if view.desired > 1 else 8


def busy(requests: int = 400) -> Workload:
    dice = np.random.default_rng(3)
    return Workload(
        np.sort(dice.uniform(0, 120, requests)),
        dice.integers(50, 2000, requests),
        dice.integers(50, 1500, requests),
    )


def play(policy: Static | Seesaw, **scenario: Any) -> Outcome:
    return run(busy(), Scenario(profile="S", track=Track.NATIVE, seed=1, **scenario), policy)


def test_three_hundred_replicas_are_played() -> None:
    fleet = play(Static(StaticSettings(replicas=300)), initial_replicas=10, max_replicas=300)

    assert len(fleet.pods) == 300
    assert (fleet.fates == FATES.index(Fate.SERVED)).all()


def test_replicas_that_are_there_from_the_start_may_be_three_hundred() -> None:
    assert len(play(Static(StaticSettings(replicas=300)), initial_replicas=300, max_replicas=300).pods) == 300


def test_how_much_room_there_was_at_first_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    roomy = play(Seesaw(), initial_replicas=8, max_replicas=8)
    monkeypatch.setattr(run_module, "_ROWS", 1)
    cramped = play(Seesaw(), initial_replicas=8, max_replicas=8)

    assert len(roomy.pods) > 20
    assert cramped.pods == roomy.pods
    for name in ("fates", "first_token_s", "finish_s"):
        np.testing.assert_array_equal(getattr(cramped, name), getattr(roomy, name))
