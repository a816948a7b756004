"""Values worked out from analyzer.go, saturation_v2 and cost_aware_optimizer.go."""

import pytest

from chatscale_simulator.policies.behavior import HpaBehavior, RateLimit
from chatscale_simulator.policies.context import PolicyContext
from chatscale_simulator.simulation.snapshot import Column, MetricsSnapshot
from tests.benchmarks.autoscaling.peers.wva import WvaSettings, WvaV1, WvaV2
from tests.unit.chatscale_simulator.simulation.snapshots import SnapshotBuilder, a_snapshot

CAPACITY_TOKENS = 400_000
BARE = WvaSettings(
    interval_s=15, tolerance=0, behavior=HpaBehavior(down_stabilization_s=0, up=(RateLimit(percent=1000),))
)
"""What the analyzer says, without the HPA's brakes."""
FACTS = PolicyContext(
    max_sequences=256,
    kv_capacity_tokens=CAPACITY_TOKENS,
    tokens_per_step=512,
    step_ms=lambda *_: 0.0,
    ttft_slo_s=2.0,
    tpot_slo_s=0.1,
)


def holding(now_s: float, *shares: float, waiting: float = 0) -> MetricsSnapshot:
    """One replica per KV share, `waiting` requests at each."""
    return (
        a_snapshot(now_s)
        .with_ready(len(shares))
        .with_each(Column.KV_TOKENS, *(share * CAPACITY_TOKENS for share in shares))
        .with_total(Column.WAITING, waiting * len(shares))
        .build()
    )


@pytest.mark.parametrize(
    ("snapshot", "wanted"),
    [
        pytest.param(holding(0, 0.65, 0.72), 2, id="spare-kv-0.115-is-enough"),
        pytest.param(holding(0, 0.65, 0.76), 3, id="spare-kv-0.095-is-not"),
        pytest.param(holding(0, 0.65, 0.95), 2, id="a-saturated-replica-is-left-out-of-the-mean"),
        pytest.param(holding(0, 0.9, 0.95), 3, id="all-saturated"),
        pytest.param(holding(0, 0.1, 0.1, waiting=2.5), 3, id="spare-queue-2.5-is-below-3"),
        pytest.param(holding(0, 0.2, 0.2, 0.2), 2, id="two-could-carry-three"),
        pytest.param(holding(0, 0.4, 0.4), 2, id="one-could-not-carry-two"),
        pytest.param(holding(0, 0.1, 0.1, waiting=1.5), 2, id="nor-their-queues"),
        pytest.param(holding(0, 0.0), 1, id="one-never-goes"),
    ],
)
def test_v1_moves_by_one_and_keeps_room(snapshot, wanted):
    assert WvaV1(BARE).decide(snapshot) == wanted


def test_v1_uses_the_worst_readings_of_the_last_minute():
    v1 = WvaV1(BARE)
    answers = [v1.decide(holding(now_s, share, share)) for now_s, share in ((0, 0.72), (15, 0.1), (59, 0.1), (60, 0.1))]
    assert answers == [3, 3, 3, 3], "3 asked for at 0, which two replicas are not"
    fresh = WvaV1(WvaSettings(interval_s=60, tolerance=0, behavior=BARE.behavior))
    assert [fresh.decide(holding(now_s, share, share)) for now_s, share in ((0, 0.4), (15, 0.72), (60, 0.1))] == [
        2,
        2,
        3,
    ]


def test_v1_waits_while_a_replica_starts():
    snapshot = a_snapshot().with_ready(2, starting=1).with_total(Column.KV_TOKENS, 0.9 * 2 * CAPACITY_TOKENS).build()
    assert WvaV1(BARE).decide(snapshot) == 3


def test_v1_waits_forever_when_its_step_is_within_the_tolerance_of_the_hpa():
    v1 = WvaV1()
    full = [holding(now_s, *[0.9] * 12) for now_s in range(0, 7200, 15)]
    assert {v1.decide(snapshot) for snapshot in full} == {12}
    assert v1._published == 13


def test_the_hpa_of_the_chart_waits_four_minutes_both_ways():
    v1 = WvaV1()
    answers = [v1.decide(holding(now_s, 0.9, 0.9)) for now_s in range(0, 256, 15)]
    assert answers == [2] * 16 + [3, 3], "the first entry is the present count"


def test_without_series_the_hpa_holds():
    assert WvaV1().decide(a_snapshot().with_ready(5).without_data().build()) == 5
    assert WvaV2(FACTS).decide(a_snapshot().with_ready(5).without_data().build()) == 5


def with_tokens(now_s: float, ready: int, in_use: float, *, waiting: float = 0, starting: int = 0) -> SnapshotBuilder:
    """Each replica with so many tokens in use; prompts of 500, outputs of 100 tokens so far."""
    return (
        a_snapshot(now_s)
        .with_ready(ready, starting=starting)
        .with_total(Column.KV_TOKENS, in_use * ready)
        .with_total(Column.WAITING, waiting * ready)
        .with_total(Column.PROMPT_TOKENS, 50_000 * ready)
        .with_total(Column.STARTED, 100 * ready)
        .with_total(Column.GENERATED_TOKENS, 10_000 * ready)
        .with_total(Column.FINISHED, 100 * ready)
    )


def test_v2_derives_a_capacity_from_step_budget_and_lengths_until_it_has_seen_one():
    # 512 x 100 / 600 = 85.3 sequences of 550 tokens: 46,933.
    assert WvaV2(FACTS, BARE).decide(with_tokens(0, 2, 30_000, waiting=4).build()) == 2, "64,000 / 0.85 < 93,866"
    assert WvaV2(FACTS, BARE).decide(with_tokens(0, 2, 40_000, waiting=4).build()) == 3, "84,000 / 0.85 = 98,824"


def test_v2_learns_what_was_in_use_when_the_queue_was_full_and_adds_all_that_is_missing():
    v2 = WvaV2(FACTS, BARE)
    assert v2.decide(with_tokens(0, 2, 30_000, waiting=40).build()) == 4, "(100,000 / 0.85 - 60,000) / 30,000 = 1.9"
    assert v2.decide(with_tokens(15, 2, 30_000, waiting=40, starting=2).build()) == 4, "those that start are supply"


def test_v2_removes_all_that_is_spare():
    v2 = WvaV2(FACTS, BARE)
    v2.decide(with_tokens(0, 4, 30_000, waiting=5).build())
    assert v2.decide(with_tokens(120, 4, 5_000).build()) == 1, "(120,000 - 20,000 / 0.7) / 30,000 = 3.05"


def test_v2_is_bounded_by_the_cache_where_outputs_are_long():
    snapshot = (
        a_snapshot()
        .with_ready(1)
        .with_total(Column.KV_TOKENS, 330_000)
        .with_total(Column.PROMPT_TOKENS, 200_000)
        .with_total(Column.STARTED, 100)
        .with_total(Column.GENERATED_TOKENS, 200_000)
        .with_total(Column.FINISHED, 100)
        .build()
    )
    assert WvaV2(FACTS, BARE).decide(snapshot) == 2, (
        "steady state 256 x 3,000, cache 320,000: 330,000 / 0.85 is 1.2 of it"
    )


def test_v2_takes_lengths_from_the_last_five_minutes():
    v2 = WvaV2(FACTS, BARE)
    v2.decide(with_tokens(0, 1, 0).build())
    later = (
        with_tokens(60, 1, 0, waiting=6)
        .with_total(Column.PROMPT_TOKENS, 50_000 + 9_000)
        .with_total(Column.STARTED, 100 + 1)
        .with_total(Column.GENERATED_TOKENS, 10_000 + 100)
        .with_total(Column.FINISHED, 100 + 1)
        .build()
    )
    # One prompt of 9,000 since: 6 x 9,000 / 0.85 = 63,529 against 512 x 100 / 9,100 sequences of 9,050 = 50,918.
    assert v2.decide(later) == 2
