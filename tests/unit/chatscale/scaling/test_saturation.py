"""What full replicas compute corrects what they measured in warm-up."""

from dataclasses import replace

import pytest

from chatscale.scaling.saturation import Saturation, is_full
from chatscale.scaling.signals import ReplicaSample
from chatscale.scaling.speed import Decode, Speed
from tests.support.replicas import at

SPEED = Speed(3000.0, Decode(step_s=0.02, slots=8, tokens_per_step=512))
"""400 decoded tokens per second."""
SAMPLE = ReplicaSample(at(0), queue_depth=3, running=8, slots=8, kv_cache_usage_ratio=0.2, rejected_total=0.0)


def test_a_replica_that_decodes_at_half_speed_is_twice_as_slow_within_a_minute() -> None:
    saturation = Saturation()
    for _ in range(30):
        saturation = saturation.with_work(SPEED, 0.0, 400.0, 2.0)

    assert saturation.slowdown == pytest.approx(2.0, rel=0.1)


def test_a_replica_that_keeps_its_speed_is_not_slower() -> None:
    assert Saturation().with_work(SPEED, 0.0, 800.0, 2.0).slowdown == 1.0


def test_full_steps_of_prompts_teach_nothing() -> None:
    assert Saturation().with_work(SPEED, 3000.0, 4.0, 2.0) == Saturation()


def test_a_slowdown_outlives_an_idle_night_and_yields_to_new_work() -> None:
    slow = Saturation().with_work(SPEED, 0.0, 4000.0, 20.0).decayed(0.0)

    assert slow.slowdown > 1.5
    for _ in range(30):
        slow = slow.with_work(SPEED, 0.0, 800.0, 2.0)
    assert slow.slowdown < 1.1


def test_a_wrong_counter_cannot_make_replicas_look_useless() -> None:
    assert Saturation().with_work(SPEED, 0.0, 0.1, 2.0).with_work(SPEED, 0.0, 0.1, 1e6).slowdown == 4.0


@pytest.mark.parametrize(
    ("sample", "full"),
    [
        pytest.param(SAMPLE, True, id="every slot is taken and requests wait"),
        pytest.param(replace(SAMPLE, queue_depth=0), False, id="nobody waits"),
        pytest.param(replace(SAMPLE, running=4), False, id="a request waits for the next step"),
        pytest.param(replace(SAMPLE, running=4, kv_cache_usage_ratio=0.95), True, id="the KV cache is full"),
    ],
)
def test_a_replica_is_full_if_requests_wait_for_room(sample: ReplicaSample, full: bool) -> None:  # noqa: FBT001
    assert is_full(sample) is full
