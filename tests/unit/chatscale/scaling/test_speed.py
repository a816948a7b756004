"""How many requests one replica serves, from what it measured in its warm-up: worked numbers."""

from dataclasses import replace

import pytest

from chatscale.api.v1alpha1 import BindingLimit
from chatscale.scaling.signals import ReplicaSample, WorkCounters
from chatscale.scaling.speed import Decode, Speed, mean_speed
from tests.support.replicas import at

A100 = Speed(14065, Decode(step_s=0.009893, slots=8, tokens_per_step=2048))
A10G = Speed(3333, Decode(step_s=0.03348, slots=8, tokens_per_step=512))
CPU = Speed(3078, Decode(step_s=0.02547, slots=8, tokens_per_step=512))
H100S = Speed(8393, Decode(step_s=0.0559, slots=256, tokens_per_step=512))


@pytest.mark.parametrize(
    ("speed", "prompt", "answer", "requests_per_s"),
    [
        pytest.param(A100, 20, 100, 8.0, id="8 slots bind a short prompt"),
        pytest.param(replace(A100, decode=None), 20, 100, 117.2, id="an older server counts tokens alone"),
        pytest.param(A100, 300, 200, 3.74, id="prefill steps take turns with decode steps"),
        pytest.param(A100, 1500, 100, 4.49, id="a long prompt takes as long as the decode"),
        pytest.param(A10G, 20, 100, 2.36, id="8 slots of an A10G"),
        pytest.param(CPU, 20, 100, 3.09, id="8 slots of a CPU"),
        pytest.param(H100S, 1500, 100, 5.25, id="prefill binds with 256 slots"),
        pytest.param(H100S, 200, 1000, 4.5, id="decode binds with 256 slots and long answers"),
    ],
)
def test_a_replica_serves_the_requests_that_its_scarcest_resource_allows(
    speed: Speed, prompt: float, answer: float, requests_per_s: float
) -> None:
    assert 1 / speed.request_s(prompt, answer) == pytest.approx(requests_per_s, rel=0.02)


def test_a_replica_never_serves_more_than_its_slots_hold() -> None:
    by_slots = 8 / (300 / 14065 + 200 * 0.009893)

    assert 1 / A100.request_s(300, 200) <= by_slots


def a_sample(decode_step_s: float | None, max_tokens_per_step: float | None = 512.0, slots: int = 8) -> ReplicaSample:
    work = WorkCounters(3000.0, 0.0, 0.0, 0.0, 0.0, max_tokens_per_step, decode_step_s)
    return ReplicaSample(at(0), 0, 0, slots, 0.0, 0.0, work)


def test_the_speed_is_the_mean_over_the_replicas() -> None:
    assert mean_speed([a_sample(0.02), a_sample(0.04)]) == Speed(3000.0, Decode(0.03, 8.0, 512.0))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(a_sample(None), id="no decode step"),
        pytest.param(a_sample(0.02, None), id="no size of a step"),
        pytest.param(a_sample(0.02, slots=512), id="no room for a prompt beside the decodes"),
    ],
)
def test_one_replica_without_the_gauges_makes_the_decode_rate_unknown(other: ReplicaSample) -> None:
    assert mean_speed([a_sample(0.02), other]) == Speed(3000.0)


@pytest.mark.parametrize(
    ("speed", "prompt", "answer", "limit"),
    [
        pytest.param(A100, 20, 100, BindingLimit.SLOTS, id="16 slots would generate nearly twice as much"),
        pytest.param(A10G, 1500, 20, BindingLimit.PREFILL, id="long prompts with short answers"),
        pytest.param(replace(A100, decode=None), 20, 100, BindingLimit.PREFILL, id="an older server"),
        pytest.param(
            replace(H100S, decode=Decode(0.0559, 256, 512, batch_gain=1.2)), 200, 1000, BindingLimit.DECODE,
            id="256 slots generate little more than 128",
        ),
    ],
)  # fmt: skip
def test_a_replica_names_what_limits_it(speed: Speed, prompt: float, answer: float, limit: BindingLimit) -> None:
    assert speed.binding_limit(prompt, answer) is limit


def test_the_gain_of_a_batch_is_measured_from_half_of_the_slots_to_all_of_them() -> None:
    work = WorkCounters(14065, 0, 0, 0, 0, max_tokens_per_step=2048, decode_step_s=0.02, half_decode_step_s=0.015)
    sample = ReplicaSample(at(0), 0, 0, slots=8, kv_cache_usage_ratio=0.0, rejected_total=0, work=work)

    decode = mean_speed([sample]).decode

    assert decode is not None
    assert decode.batch_gain == pytest.approx(1.5)
