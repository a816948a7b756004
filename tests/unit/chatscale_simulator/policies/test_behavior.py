"""Values worked out from the rules in horizontal.go."""

import pytest

from chatscale_simulator.policies.behavior import HpaBehavior, Rate, Stabilizer


@pytest.mark.parametrize(
    ("current", "wanted", "settled"),
    [
        pytest.param(1, 60, 5, id="from-1-four-pods-is-more-than-double"),
        pytest.param(4, 60, 8, id="from-4-both-policies-agree"),
        pytest.param(10, 60, 20, id="from-10-doubling-is-more"),
        pytest.param(50, 90, 64, id="never-above-the-maximum"),
        pytest.param(5, 6, 6, id="small-steps-are-free"),
    ],
)
def test_a_rise_is_limited_to_four_pods_or_double_per_period(current, wanted, settled):
    assert Stabilizer(HpaBehavior()).settle(0, current, wanted) == settled


def test_a_rise_counts_what_was_added_within_the_period():
    stabilizer = Stabilizer(HpaBehavior())
    assert stabilizer.settle(0, 4, 6) == 6
    assert stabilizer.settle(10, 6, 60) == 8, "4 at the start of the period: max(4 + 4, 4 x 2)"
    assert stabilizer.settle(15, 8, 60) == 12, "6 at the start: the change at 0 is 15 s old"


def test_a_rise_counts_what_went_within_the_period_in_its_favour():
    stabilizer = Stabilizer(HpaBehavior(down_stabilization_s=0))
    assert stabilizer.settle(0, 10, 2) == 2
    assert stabilizer.settle(5, 2, 60) == 20


def test_lowering_waits_for_the_largest_wish_of_the_window_the_present_count_included():
    stabilizer = Stabilizer(HpaBehavior())
    assert stabilizer.settle(0, 10, 3) == 10
    assert stabilizer.settle(15, 10, 7) == 10
    assert stabilizer.settle(299, 10, 2) == 10
    assert stabilizer.settle(300, 10, 2) == 7, "the entry of 10 at 0 is 300 s old, that of 7 at 15 is not"
    assert stabilizer.settle(315, 7, 2) == 2


def test_a_rise_waits_for_the_smallest_wish_of_its_window_when_it_has_one():
    stabilizer = Stabilizer(HpaBehavior(up_stabilization_s=60))
    assert stabilizer.settle(0, 2, 6) == 2
    assert stabilizer.settle(45, 2, 5) == 2
    assert stabilizer.settle(60, 2, 6) == 5


def test_lowering_is_limited_by_the_larger_of_its_policies():
    slow = HpaBehavior(down_stabilization_s=0, down=(Rate(pods=2, percent=10, period_s=60),))
    stabilizer = Stabilizer(slow)
    assert stabilizer.settle(0, 10, 1) == 8, "min(10 - 2, int(10 x 0.9))"
    assert stabilizer.settle(30, 8, 1) == 8
    assert stabilizer.settle(60, 8, 1) == 6


def test_each_rate_counts_over_its_own_period_and_the_one_that_allows_most_holds():
    two = (Rate(pods=2, period_s=15), Rate(pods=5, period_s=60))
    stabilizer = Stabilizer(HpaBehavior(up=two))
    assert stabilizer.settle(0, 10, 60) == 15, "five in a minute"
    assert stabilizer.settle(15, 15, 60) == 17, "two in 15 s; of the minute's five nothing is left"
    assert stabilizer.settle(60, 17, 60) == 20, "15 at the start of the minute, and the minute allows five"


def test_a_fall_and_a_rise_have_periods_of_their_own():
    stabilizer = Stabilizer(HpaBehavior(down_stabilization_s=0, down=(Rate(pods=1, period_s=30),)))
    assert stabilizer.settle(0, 4, 1) == 3
    assert stabilizer.settle(15, 3, 1) == 3
    assert stabilizer.settle(16, 3, 60) == 7, "the pod that went 16 s ago is not in the period of a rise"
    assert stabilizer.settle(30, 7, 1) == 2, "it is in that of a fall until now: 3 at its start"
