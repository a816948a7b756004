"""Values worked out from throughput_scaling.py, load_scaling.py, predictors.py and perf_model/agg.py."""

import pytest

from chatscale_simulator.policies.context import PolicyContext
from chatscale_simulator.simulation.snapshot import Column
from tests.benchmarks.autoscaling.peers.dynamo import Dynamo, DynamoSettings, Forecast, OptimizationTarget
from tests.benchmarks.autoscaling.peers.dynamo_engine import Engine
from tests.unit.chatscale_simulator.simulation.snapshots import SnapshotBuilder, a_snapshot

FACTS = PolicyContext(
    max_sequences=64,
    kv_capacity_tokens=20_000,
    tokens_per_step=100,
    step_ms=lambda tokens, kv_tokens: 10 + 0.1 * tokens + 0.001 * kv_tokens,
    ttft_slo_s=0.1,
    tpot_slo_s=0.02,
)
ENGINE = Engine(FACTS)
LOAD = DynamoSettings(throughput=False, load=True)
THROUGHPUT = DynamoSettings(forecast=Forecast.KALMAN)


def test_the_first_token_waits_for_whole_chunks_and_the_rest():
    assert ENGINE.ttft_ms(150, 100, 10, 1000) == pytest.approx(2 * 21 + 17)


def test_the_best_rate_is_that_of_the_largest_batch_within_the_targets():
    # Batch b: 10 + 0.1 x 3b + 0.125b ms a step; 20 ms at 23.5.
    assert ENGINE.best_rate(100, 50, ttft_ms=1000, itl_ms=20) == pytest.approx(23_000 / (50 * 19.775))


def test_the_first_token_bounds_the_batch_too():
    # Batch b: a prompt of 100 behind 2b queued tokens, at least two steps of at most 20 + 0.125b ms.
    rate = ENGINE.best_rate(100, 50, ttft_ms=25, itl_ms=20)
    assert rate == pytest.approx(1000 / (50 * 10.425)), "no batch has its first token in 25 ms: that of batch 1"


def test_cache_slots_and_balance_bound_the_batch():
    assert ENGINE.best_rate(1000, 10, 1e9, 1e9) == pytest.approx(1000 / (10 * ENGINE.step_ms(100, 1, 1005)))
    assert ENGINE._largest_batch(100, 50) == 33, "33 finish 0.66 a step, for which 66 of the other 67 tokens are needed"
    assert ENGINE._largest_batch(100, 900) == 36, "of 550 tokens each in 20,000"
    assert ENGINE._largest_batch(10, 90) == 64
    assert ENGINE._largest_batch(100, 1) == 1


def test_nothing_is_known_without_lengths():
    assert ENGINE.best_rate(0, 50, 1000, 20) == 0


def traffic(now_s: float, requests: float, *, ready: int = 1) -> SnapshotBuilder:
    """Counters after so many requests of 100 prompt and 50 output tokens."""
    return (
        a_snapshot(now_s)
        .with_ready(ready)
        .with_total(Column.ARRIVED, requests)
        .with_total(Column.STARTED, requests)
        .with_total(Column.FINISHED, requests)
        .with_total(Column.PROMPT_TOKENS, 100 * requests)
        .with_total(Column.GENERATED_TOKENS, 50 * requests)
    )


def test_throughput_recommends_the_forecast_rate_over_the_best_rate():
    # Within 100 ms and 20 ms the best of an engine is 23.26 requests a second (TTFT: 146 + 46 tokens, under 50 ms).
    dynamo = Dynamo(FACTS, THROUGHPUT)
    assert dynamo.decide(traffic(0, 0).build()) == 1
    assert dynamo.decide(traffic(90, 4500).build()) == 1
    assert dynamo.decide(traffic(180, 9000).build()) == 3, "50 a second"
    assert dynamo.decide(traffic(185, 9000, ready=3).build()) == 3, "nothing until the next interval"


def test_throughput_follows_a_trend():
    dynamo = Dynamo(FACTS, THROUGHPUT)
    arrived, answers = 0, []
    for interval in range(7):
        answers.append(dynamo.decide(traffic(180 * interval, arrived).build()))
        arrived += 180 * 20 * (interval + 1)
    # Seen: 20, 40 ... 120 a second. The second forecast is 20 x (1 + 0.995 + 0.497) = 49.8, the others 20 above.
    assert answers == [1, 1, 3, 4, 5, 6, 7]


def test_a_target_of_an_emptier_step_needs_more_engines():
    tight = DynamoSettings(forecast=Forecast.KALMAN, itl_step_share=0.07)
    dynamo = Dynamo(FACTS, tight)
    dynamo.decide(traffic(0, 0).build())
    # Seven tokens and 1,400 of cache take 12.1 ms: batch 4, 4,000 / (50 x 11.7) = 6.84 a second.
    assert dynamo.decide(traffic(180, 9000).build()) == 8


def loaded(*waiting: float, kv_tokens: float = 0, running: float = 0, starting: int = 0) -> SnapshotBuilder:
    """Engines with so many prompts of 100 tokens waiting, and the same batch each."""
    ready = len(waiting)
    return (
        a_snapshot()
        .with_ready(ready, starting=starting)
        .with_each(Column.WAITING, *waiting)
        .with_total(Column.KV_TOKENS, kv_tokens * ready)
        .with_total(Column.RUNNING, running * ready)
        .with_total(Column.STARTED, 10)
        .with_total(Column.PROMPT_TOKENS, 1000)
    )


@pytest.mark.parametrize(
    ("snapshot", "wanted"),
    [
        pytest.param(loaded(5, 5), 3, id="six-chunks-of-20-ms-are-late-everywhere"),
        pytest.param(loaded(5, 0), 2, id="late-on-one-is-not-enough"),
        pytest.param(loaded(1, 1), 1, id="40-of-64-ms-of-room-for-the-survivor"),
        pytest.param(loaded(2, 2), 2, id="80-of-64-ms-is-too-much"),
        pytest.param(loaded(2, 0), 2, id="the-fullest-engine-decides"),
        pytest.param(loaded(0, 0, kv_tokens=12_000, running=10), 3, id="24.2-ms-between-tokens"),
        pytest.param(loaded(0, 0, kv_tokens=3_000, running=3), 2, id="17.6-ms-for-the-survivor-is-above-16"),
        pytest.param(loaded(0, 0, kv_tokens=2_000, running=2), 1, id="15.4-ms-is-not"),
        pytest.param(loaded(0, 0, 0, kv_tokens=14_000, running=0), 4, id="24-ms-of-cache-alone"),
        pytest.param(loaded(5, 5, starting=1), 3, id="only-observes-while-one-starts"),
        pytest.param(loaded(5, 5).wanting(1), 1, id="or-leaves"),
        pytest.param(loaded(5, 5).with_fresh([True, False]), 2, id="or-does-not-report"),
        pytest.param(loaded(0), 1, id="the-last-one-stays"),
    ],
)
def test_load_moves_by_one_when_all_are_late_or_one_can_be_removed(snapshot, wanted):
    assert Dynamo(FACTS, LOAD).decide(snapshot.build()) == wanted


@pytest.mark.parametrize(
    ("snapshot", "wanted"),
    [
        pytest.param(loaded(60, 0, kv_tokens=15_000), 3, id="21,000-of-20,000-on-any"),
        pytest.param(loaded(0, 0, kv_tokens=11_000), 1, id="below-60-percent-on-all"),
        pytest.param(loaded(20, 0, kv_tokens=11_000), 2, id="between"),
    ],
)
def test_without_targets_load_follows_the_cache(snapshot, wanted):
    by_cache = DynamoSettings(throughput=False, load=True, optimization_target=OptimizationTarget.THROUGHPUT)
    assert Dynamo(FACTS, by_cache).decide(snapshot.build()) == wanted


def test_with_both_throughput_sets_the_floor():
    dynamo = Dynamo(FACTS, DynamoSettings(load=True, forecast=Forecast.KALMAN))
    dynamo.decide(traffic(0, 0).build())
    assert dynamo.decide(traffic(180, 9000).build()) == 3
    assert dynamo.decide(traffic(185, 9000, ready=4).build()) == 3, "load would go on to 2"
    assert dynamo.decide(traffic(190, 9000, ready=3).build()) == 3


def test_only_load_scaling_reads_live_metrics():
    assert Dynamo(FACTS, LOAD).reads_live
    assert not Dynamo(FACTS, THROUGHPUT).reads_live
