"""Schedules, and the search for the cheapest, on runs that are replaced by a rule."""

import numpy as np
import pytest

from chatscale_simulator.simulation.arrays import IntArray
from chatscale_simulator.simulation.result import RunResult
from chatscale_simulator.simulation.scenario import Scenario
from chatscale_simulator.simulation.workload import Workload
from tests.benchmarks.autoscaling.baselines.reachable import lower, planned
from tests.benchmarks.autoscaling.baselines.schedule import Schedule, Trial, cheapest, largest_ahead, largest_before
from tests.benchmarks.autoscaling.baselines.work import SLOT_S
from tests.unit.chatscale_simulator.simulation.snapshots import a_snapshot

NOTHING = RunResult(
    workload=Workload(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64)), outcomes=np.zeros(0, np.int64),
    first_token_s=np.zeros(0), finish_s=np.zeros(0), unloaded_ttft_s=np.zeros(0), pods=(), counts=((0.0, 1),),
    saturated_s=0.0, end_s=0.0,
)  # fmt: skip


class Rule:
    """Keeps the promise as far as the slots have what they need; counts its runs."""

    def __init__(self, need: IntArray, ceiling: float = 1.0) -> None:
        self.need, self.ceiling, self.runs = need, ceiling, 0

    def __call__(self, counts: IntArray) -> Trial:
        self.runs += 1
        kept = self.ceiling * float((counts >= self.need).mean())
        return Trial(counts, NOTHING, kept, float(counts.sum() * SLOT_S))


def flat(*counts: int) -> list[IntArray]:
    """A family of level schedules."""
    return [np.full(100, count) for count in counts]


def test_follows_the_schedule_and_then_its_last_count():
    policy = Schedule(np.array([3, 1, 2]))
    asked = [policy.decide(a_snapshot(now_s).build()) for now_s in (0.0, SLOT_S - 0.1, SLOT_S, 2 * SLOT_S, 99 * SLOT_S)]
    assert asked == [3, 3, 1, 2, 2]


def test_looks_ahead_and_back():
    counts = np.array([1, 5, 1, 1, 2])
    assert largest_ahead(counts, SLOT_S).tolist() == [5, 5, 1, 2, 2]
    assert largest_before(counts, SLOT_S).tolist() == [1, 5, 5, 1, 2]


def test_creates_a_replica_one_cold_start_and_one_decision_early():
    need = np.ones(60)
    need[40:] = 2.0
    # 82 s to be ready and up to 15 s until the next decision: 97 s, 20 slots.
    assert int(np.flatnonzero(planned(need, 0.0, Scenario()) == 2)[0]) == 20


def test_finds_the_cheapest_schedule_that_reaches_the_objective():
    rule = Rule(np.full(100, 5))
    found = cheapest([flat(12, 9, 8, 7, 6, 5, 4, 3), flat(20, 10, 6, 2)], rule)
    assert (int(found.counts[0]), found.attainment) == (5, 1.0)
    assert rule.runs <= 2 + 3 + 2


def test_accepts_nearly_the_best_where_the_objective_cannot_be_reached():
    found = cheapest([flat(12, 9, 8, 7, 6, 5, 4, 3)], Rule(np.full(100, 5), ceiling=0.9))
    assert (int(found.counts[0]), found.attainment) == (5, pytest.approx(0.9))


def test_lowers_each_window_while_the_objective_is_reached():
    need = np.repeat([1, 4, 2, 3], 60)
    rule = Rule(need)
    found = lower(rule(np.full(240, 4)), need.astype(float), rule, runs=40, least=1)
    assert found.counts.tolist() == need.tolist()


def test_lowering_ends_with_its_runs():
    rule = Rule(np.ones(240, dtype=np.int64))
    lower(rule(np.full(240, 9)), np.ones(240), rule, runs=3, least=1)
    assert rule.runs == 4
