from typing import Any

import pytest

from chatscale.api.v1alpha1 import ScalingBehavior
from chatscale.scaling.history import CountChange, History
from tests.support.replicas import at


def a_behavior(**fields: Any) -> ScalingBehavior:
    return ScalingBehavior.model_validate(fields)


def rules(*policies: tuple[str, int, int], window: int = 0) -> dict[str, Any]:
    return {
        "stabilizationWindowSeconds": window,
        "policies": [{"type": kind, "value": value, "periodSeconds": period} for kind, value, period in policies],
    }


DEFAULT = a_behavior()


@pytest.mark.parametrize(
    ("current", "recommendation", "allowed"),
    [
        pytest.param(1, 30, 17, id="1-plus-16-pods"),
        pytest.param(20, 80, 40, id="20-doubled"),
        pytest.param(10, 12, 12, id="less-than-allowed"),
        pytest.param(10, 1, 1, id="100-percent-down"),
    ],
)
def test_default_rates_are_those_of_the_hpa_with_more_pods_at_once(
    current: int, recommendation: int, allowed: int
) -> None:
    assert History.starting_with(current, at(0)).rate_limited(current, recommendation, DEFAULT, at(0)) == allowed


def test_limits_count_from_the_start_of_the_period() -> None:
    history = History.starting_with(1, at(0)).with_decision(5, at(0)).with_current(5, DEFAULT, at(5))

    assert history.changes == (CountChange(at(0), 4),)
    assert history.rate_limited(5, 20, DEFAULT, at(5)) == 17, "1 at the start, 4 of 16 already added"
    assert history.rate_limited(5, 30, DEFAULT, at(15)) == 21, "the period is over"


def test_percentages_round_in_favour_of_the_change() -> None:
    behavior = a_behavior(scaleUp=rules(("Percent", 10, 60)), scaleDown=rules(("Percent", 10, 60)))
    history = History.starting_with(15, at(0))

    assert history.rate_limited(15, 99, behavior, at(0)) == 17, "16.5 rounds up"
    assert history.rate_limited(15, 1, behavior, at(0)) == 13, "13.5 rounds down"


def test_a_change_by_somebody_else_counts() -> None:
    behavior = a_behavior(scaleUp=rules(("Pods", 4, 60)))
    history = History.starting_with(2, at(0)).with_current(5, behavior, at(10))

    assert history.changes == (CountChange(at(10), 3),)
    assert history.rate_limited(5, 99, behavior, at(10)) == 6


def test_a_decision_that_nobody_carried_out_does_not_count() -> None:
    history = History.starting_with(1, at(0)).with_decision(5, at(0)).with_current(1, DEFAULT, at(5))

    assert history.changes == ()


def test_changes_are_dropped_after_the_longest_period() -> None:
    behavior = a_behavior(scaleUp=rules(("Pods", 4, 15), ("Pods", 8, 60)))
    history = History.starting_with(1, at(0)).with_current(2, behavior, at(1))

    assert len(history.with_current(2, behavior, at(60)).changes) == 1
    assert history.with_current(2, behavior, at(61)).changes == ()


def test_scales_down_to_the_highest_recommendation_of_the_window() -> None:
    history = History.starting_with(10, at(0))
    for seconds, recommendation in ((200, 4), (400, 6)):
        history = history.with_recommendation(recommendation, DEFAULT, at(seconds))

    assert history.stabilized(10, 2, DEFAULT, at(629)) == 10, "the count at the start is within the window"
    assert history.stabilized(10, 2, DEFAULT, at(630)) == 6
    assert history.stabilized(6, 2, DEFAULT, at(1030)) == 2


def test_scales_up_to_the_lowest_recommendation_of_the_window() -> None:
    behavior = a_behavior(scaleUp=rules(("Pods", 100, 15), window=60))
    history = History.starting_with(1, at(0))
    for seconds, recommendation in ((10, 8), (30, 4)):
        history = history.with_recommendation(recommendation, behavior, at(seconds))

    assert history.stabilized(1, 9, behavior, at(50)) == 1
    assert history.stabilized(1, 9, behavior, at(60)) == 4


def test_without_a_window_scale_up_is_immediate() -> None:
    assert History.starting_with(1, at(0)).stabilized(1, 8, DEFAULT, at(0)) == 8


def test_the_newest_recommendation_is_part_of_the_window() -> None:
    behavior = a_behavior(scaleUp=rules(("Pods", 100, 15), window=60))
    history = History.starting_with(1, at(0)).with_recommendation(8, behavior, at(30))

    assert history.stabilized(1, 4, behavior, at(61)) == 4
