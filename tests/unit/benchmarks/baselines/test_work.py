"""Work against sums done by hand."""

import numpy as np
import pytest

from chatscale_contract.server.profiles import Profile
from chatscale_simulator.simulation.profiles import ServerProfile, SloTarget
from chatscale_simulator.simulation.workload import Workload
from tests.benchmarks.autoscaling.baselines.work import (
    SLOT_S,
    Cost,
    best_cost,
    best_rate,
    cache_seconds,
    centred,
    least_seconds,
    offered,
    spread,
    trailing,
)

STEADY = ServerProfile(
    Profile(c0_ms=10.0, c1_ms_per_token=0.1, c2_ms_per_token=0.2, c3_ms_per_kv_token=0.001, kv_tokens=100_000,
            tokens_per_step=400),
    max_sequences=50,
)  # fmt: skip
"""A full step: 400 tokens in 80 ms."""


def a_workload(*requests: tuple[float, int, int]) -> Workload:
    """Each request: (arrival, prompt tokens, output tokens)."""
    arrival, prompt, output = zip(*requests, strict=True)
    return Workload(np.array(arrival, float), np.array(prompt, dtype=np.int64), np.array(output, dtype=np.int64))


def test_the_best_rate_is_that_of_the_best_step():
    assert best_rate(STEADY) == pytest.approx(5000)


def test_no_request_takes_less_than_its_tokens_at_the_best_rate_and_its_cache():
    requests = a_workload((0, 100, 1), (0, 100, 4))
    # Three decode steps read 100, 101 and 102 tokens.
    assert cache_seconds(requests, STEADY).tolist() == pytest.approx([0, 303e-6])
    assert least_seconds(requests, STEADY).tolist() == pytest.approx([0.02, 0.0206 + 303e-6])


def test_costs_are_those_of_the_fullest_batch_in_time():
    requests = a_workload((0, 100, 100))
    cost = best_cost(requests, STEADY, SloTarget())
    # 50 sequences and as many prompt tokens a step: max(10 + 10, 20) ms, and 50 * 150 tokens of cache in 7.5 ms.
    assert cost.step_s == pytest.approx(0.0275)
    assert cost.prompt_token_s == pytest.approx(0.0002)
    assert cost.output_token_s == pytest.approx(0.0275 / 50 - 0.0002)


def test_costs_are_never_below_the_least():
    requests = a_workload((0, 1000, 10), (1, 20, 300), (2, 150, 150))
    assert best_cost(requests, STEADY, SloTarget()).of(requests).sum() >= least_seconds(requests, STEADY).sum()


def test_spreads_outputs_over_the_time_they_take():
    requests = a_workload((0.0, 1, 50), (2.5, 1, 1), (19.9, 1, 1))
    busy = spread(requests, np.array([1.0, 0.0, 0.0]), np.array([10.0, 0.0, 0.0]), token_s=0.2)
    # The prompt's second in the first slot, then 10 s of work over 50 * 0.2 s.
    assert busy.tolist() == pytest.approx([1 / SLOT_S + 1, 1, 0, 0])


def test_what_is_known_of_the_present_has_no_future():
    busy = np.array([1.0, 2.0, 3.0, 100.0])
    assert trailing(busy, 2 * SLOT_S).tolist() == [0, 1, 1.5, 2.5]


def test_work_so_far_does_not_depend_on_what_comes_later():
    first, both = a_workload((3.0, 500, 80)), a_workload((3.0, 500, 80), (2 * SLOT_S, 900, 90))
    cost = Cost(prompt_token_s=0.0002, output_token_s=0.001, step_s=0.1)
    assert offered(both, cost)[0] == offered(first, cost)[0]
    assert offered(both, cost).sum() > offered(first, cost).sum()


def test_smooths_around_each_slot():
    assert centred(np.array([3.0, 0.0, 0.0, 6.0]), 2 * SLOT_S).tolist() == [1.5, 1, 2, 3]
