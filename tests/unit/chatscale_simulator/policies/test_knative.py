"""Values worked out from autoscaler.go, `Scale`."""

import pytest

from chatscale_simulator.policies.knative import Knative, KnativeSettings
from tests.unit.chatscale_simulator.simulation.snapshots import a_snapshot, in_flight


@pytest.fixture
def knative() -> Knative:
    """One that has left the panic it starts in."""
    begun = Knative()
    assert begun.decide(in_flight(-1000, 0, ready=1)) == 0
    return begun


def test_panics_at_twice_the_ready_replicas(knative):
    assert knative.decide(in_flight(0, 280, ready=2)) == 4, "ceil(280 / 70) / 2 = 2.0"
    assert knative.decide(in_flight(2, 0, ready=4)) == 4, "in panic it never falls"


def test_stays_stable_below_twice_the_ready_replicas(knative):
    assert knative.decide(in_flight(0, 210, ready=2)) == 3
    assert knative.decide(in_flight(2, 0, ready=3)) == 2, "mean of 210 and 0 over 70"


def test_leaves_panic_after_a_stable_window_below_the_threshold(knative):
    assert knative.decide(in_flight(0, 280, ready=2)) == 4
    for now_s in range(2, 61, 2):
        assert knative.decide(in_flight(now_s, 0, ready=4)) == 4
    assert knative.decide(in_flight(62, 0, ready=4)) == 2, "floor(4 / 2)"


def test_panic_looks_at_six_seconds_and_stable_at_sixty(knative):
    for now_s in range(0, 54, 2):
        knative.decide(in_flight(now_s, 70, ready=2))
    answers = [knative.decide(in_flight(now_s, 420, ready=2)) for now_s in (54, 56, 58)]
    assert answers == [2, 5, 6], "187 / 70 is 3, below twice 2: stable; then 303 / 70 and 420 / 70 in panic"


def test_scales_down_by_half_at_most(knative):
    assert knative.decide(in_flight(0, 0, ready=9)) == 4


def test_starts_in_panic_with_several_pods_and_holds_them_for_a_stable_window():
    knative = Knative()
    assert [knative.decide(in_flight(now_s, 7, ready=5)) for now_s in (0, 30, 60)] == [5, 5, 5]
    assert knative.decide(in_flight(62, 7, ready=5)) == 2


def test_a_scale_down_delay_keeps_the_largest_recommendation():
    knative = Knative(KnativeSettings(scale_down_delay_s=100))
    assert knative.decide(in_flight(0, 70, ready=1)) == 1
    assert knative.decide(in_flight(70, 210, ready=2)) == 3
    assert knative.decide(in_flight(160, 70, ready=3)) == 3
    assert knative.decide(in_flight(170, 70, ready=3)) == 1


def test_no_data_holds(knative):
    assert knative.decide(a_snapshot(0).with_ready(3).without_data().build()) == 3
