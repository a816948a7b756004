"""Values worked out from autoscaler.go and scale.go."""

from chatscale_simulator.policies.kubeai import KubeAi, KubeAiSettings
from tests.unit.chatscale_simulator.simulation.snapshots import a_snapshot, in_flight


def test_a_step_of_the_load_shows_fully_after_ten_minutes():
    kubeai = KubeAi()
    answers = [kubeai.decide(in_flight(10 * step, 400, ready=1, desired=1)) for step in range(60)]
    assert [answers.index(count) + 1 for count in (1, 2, 3, 4)] == [1, 16, 31, 46]
    assert answers[-1] == 4, "60 readings of 400 over a target of 100"


def test_the_fourth_lower_result_in_a_row_applies_and_so_does_the_fifth():
    kubeai = KubeAi(KubeAiSettings(time_window_s=10))
    answers = [kubeai.decide(in_flight(10 * step, 100, ready=3)) for step in range(5)]
    assert answers == [3, 3, 3, 1, 1]


def test_a_result_that_is_not_lower_resets_the_counter():
    kubeai = KubeAi(KubeAiSettings(time_window_s=10))
    loads = (100, 100, 300, 100, 100, 100, 100)
    answers = [kubeai.decide(in_flight(10 * step, load, ready=3)) for step, load in enumerate(loads)]
    assert answers == [3, 3, 3, 3, 3, 3, 1]


def test_at_another_interval_window_and_delay_keep_their_seconds():
    kubeai = KubeAi(KubeAiSettings(period_s=15))
    assert len(kubeai._ring) == 40
    assert kubeai._required == 2


def test_skips_a_round_without_metrics():
    kubeai = KubeAi(KubeAiSettings(time_window_s=20))
    assert kubeai.decide(in_flight(0, 400, ready=2)) == 2
    assert kubeai.decide(a_snapshot(10).with_ready(2).without_data().build()) == 2
    assert kubeai.decide(in_flight(20, 400, ready=2)) == 4
