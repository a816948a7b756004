"""Values worked out from the rules in horizontal.go."""

import pytest

from chatscale_simulator.policies.behavior import HpaBehavior, RateLimit, Stabilizer


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
def test_scale_up_is_limited_to_four_pods_or_double_per_period(current, wanted, settled):
    assert Stabilizer(HpaBehavior()).limit(0, current, wanted) == settled


def test_pods_added_within_the_period_count_towards_the_limit():
    stabilizer = Stabilizer(HpaBehavior())
    assert stabilizer.limit(0, 4, 6) == 6
    assert stabilizer.limit(10, 6, 60) == 8, "4 at the start of the period: max(4 + 4, 4 x 2)"
    assert stabilizer.limit(15, 8, 60) == 12, "6 at the start: the change at 0 is 15 s old"


def test_pods_removed_within_the_period_raise_the_limit():
    stabilizer = Stabilizer(HpaBehavior(down_stabilization_s=0))
    assert stabilizer.limit(0, 10, 2) == 2
    assert stabilizer.limit(5, 2, 60) == 20


def test_scale_down_goes_to_the_largest_recommendation_of_the_window_with_the_initial_count():
    stabilizer = Stabilizer(HpaBehavior())
    assert stabilizer.limit(0, 10, 3) == 10
    assert stabilizer.limit(15, 10, 7) == 10
    assert stabilizer.limit(299, 10, 2) == 10
    assert stabilizer.limit(300, 10, 2) == 7, "the entry of 10 at 0 is 300 s old, that of 7 at 15 is not"
    assert stabilizer.limit(315, 7, 2) == 2


def test_scale_up_goes_to_the_smallest_recommendation_of_its_window():
    stabilizer = Stabilizer(HpaBehavior(up_stabilization_s=60))
    assert stabilizer.limit(0, 2, 6) == 2
    assert stabilizer.limit(45, 2, 5) == 2
    assert stabilizer.limit(60, 2, 6) == 5


def test_scale_down_is_limited_by_the_larger_of_its_policies():
    slow = HpaBehavior(down_stabilization_s=0, down=(RateLimit(pods=2, percent=10, period_s=60),))
    stabilizer = Stabilizer(slow)
    assert stabilizer.limit(0, 10, 1) == 8, "min(10 - 2, int(10 x 0.9))"
    assert stabilizer.limit(30, 8, 1) == 8
    assert stabilizer.limit(60, 8, 1) == 6


def test_each_rate_limit_has_its_own_period_and_the_largest_change_counts():
    two = (RateLimit(pods=2, period_s=15), RateLimit(pods=5, period_s=60))
    stabilizer = Stabilizer(HpaBehavior(up=two))
    assert stabilizer.limit(0, 10, 60) == 15, "five in a minute"
    assert stabilizer.limit(15, 15, 60) == 17, "two in 15 s; of the minute's five nothing is left"
    assert stabilizer.limit(60, 17, 60) == 20, "15 at the start of the minute, and the minute allows five"


def test_scale_up_and_scale_down_have_their_own_periods():
    stabilizer = Stabilizer(HpaBehavior(down_stabilization_s=0, down=(RateLimit(pods=1, period_s=30),)))
    assert stabilizer.limit(0, 4, 1) == 3
    assert stabilizer.limit(15, 3, 1) == 3
    assert stabilizer.limit(16, 3, 60) == 7, "the pod that went 16 s ago is not in the period of a rise"
    assert stabilizer.limit(30, 7, 1) == 2, "it is in that of a fall until now: 3 at its start"
