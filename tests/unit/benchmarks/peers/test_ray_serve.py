"""Values worked out from autoscaling_policy.py."""

import pytest

from tests.benchmarks.autoscaling.peers.ray_serve import RayServe, RayServeSettings
from tests.unit.chatscale_simulator.simulation.snapshots import a_snapshot, in_flight

AT_ONCE = {"upscale_delay_s": 0.0, "downscale_delay_s": 0.0, "look_back_s": 1.0}


def test_scales_up_after_thirty_seconds():
    ray = RayServe()
    answers = [ray.decide(in_flight(now_s, 10, ready=2)) for now_s in (0, 10, 20, 30)]
    assert answers == [2, 2, 2, 5]


def test_scales_down_after_ten_minutes():
    ray = RayServe()
    answers = [ray.decide(in_flight(now_s, 10, ready=8)) for now_s in range(0, 601, 10)]
    assert answers == [8] * 60 + [5]


def test_another_direction_restarts_the_delay():
    ray = RayServe(RayServeSettings(look_back_s=1))
    loads = {0: 10, 10: 10, 20: 4, 30: 10, 40: 10, 50: 10, 60: 10}
    assert [ray.decide(in_flight(now_s, load, ready=2)) for now_s, load in loads.items()] == [2, 2, 2, 2, 2, 2, 5]


def test_the_look_back_is_a_mean_over_thirty_seconds():
    ray = RayServe(RayServeSettings(upscale_delay_s=0))
    assert [ray.decide(in_flight(now_s, load, ready=1)) for now_s, load in ((0, 2), (10, 8), (20, 8), (30, 8))] == [
        1,
        3,
        3,
        4,
    ], "means 2, 5, 6 and 8 over a target of 2"


@pytest.mark.parametrize(
    ("factor", "ongoing", "running", "wanted"),
    [
        pytest.param(0.5, 16, 4, 6, id="half-way-up"),
        pytest.param(2.0, 12, 4, 8, id="twice-as-far"),
        pytest.param(0.5, 4, 4, 3, id="half-way-down"),
        pytest.param(0.1, 4, 4, 3, id="stuck-by-rounding-goes-down-by-one"),
    ],
)
def test_factors_scale_the_difference(factor, ongoing, running, wanted):
    ray = RayServe(RayServeSettings(upscaling_factor=factor, downscaling_factor=factor, **AT_ONCE))
    assert ray.decide(in_flight(0, ongoing, ready=running)) == wanted


def test_without_running_replicas_or_readings_it_keeps_its_target():
    ray = RayServe(RayServeSettings(**AT_ONCE))
    assert ray.decide(in_flight(0, 0, ready=0, desired=3)) == 3
    assert ray.decide(a_snapshot(10).with_ready(4).without_data().build()) == 4
