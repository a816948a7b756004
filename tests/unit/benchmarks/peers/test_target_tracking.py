"""Values worked out from the documented rules."""

from tests.benchmarks.autoscaling.peers.target_tracking import TargetTracking, TargetTrackingSettings
from tests.unit.chatscale_simulator.simulation.snapshots import a_snapshot, in_flight


def test_scales_out_in_proportion_at_the_third_reading_above():
    tracking = TargetTracking()
    answers = [tracking.decide(in_flight(now_s, 22, ready=2)) for now_s in (0, 10, 20)]
    assert answers == [2, 2, 5]


def test_a_larger_scale_out_acts_during_the_cooldown_and_an_equal_one_does_not():
    tracking = TargetTracking()
    for now_s in (0, 10, 20):
        tracking.decide(in_flight(now_s, 22, ready=2))
    assert tracking.decide(in_flight(30, 22, ready=2, desired=5)) == 5
    assert tracking.decide(in_flight(40, 31, ready=2, desired=5)) == 7


def test_a_reading_at_the_target_resets_the_count_of_readings_above():
    tracking = TargetTracking()
    loads = ((0, 11), (10, 11), (20, 10), (30, 11), (40, 11))
    assert [tracking.decide(in_flight(now_s, load, ready=2)) for now_s, load in loads] == [2] * 5


def test_scales_in_after_fifteen_low_minutes_and_then_waits_for_the_cooldown():
    tracking = TargetTracking()
    answers = [tracking.decide(in_flight(now_s, 20, ready=10)) for now_s in range(0, 901, 10)]
    assert answers == [10] * 90 + [4]
    assert tracking.decide(in_flight(910, 10, ready=4)) == 4
    assert tracking.decide(in_flight(1200, 10, ready=4)) == 2


def test_just_below_the_target_is_not_low():
    tracking = TargetTracking(TargetTrackingSettings(low_s=0))
    assert tracking.decide(in_flight(0, 9, ready=2)) == 2, "4.5 is 90 % of 5"
    assert tracking.decide(in_flight(100, 4, ready=2)) == 1


def test_missing_data_holds_the_count():
    tracking = TargetTracking(TargetTrackingSettings(low_s=0))
    assert tracking.decide(a_snapshot(0).with_ready(6).without_data().build()) == 6
