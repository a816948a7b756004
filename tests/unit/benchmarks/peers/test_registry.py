"""What holds for every peer, whatever its rules."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatscale_contract.server.environment import SimulatedProfile
from chatscale_contract.server.profiles import PROFILES
from chatscale_simulator.policies.context import PolicyContext
from chatscale_simulator.simulation.snapshot import COLUMNS, MetricsSnapshot
from tests.benchmarks.autoscaling.peers.registry import PEERS, geometric

PROFILE = PROFILES[SimulatedProfile.LLAMA_70B_4XH100]
FACTS = PolicyContext(
    max_sequences=256,
    kv_capacity_tokens=PROFILE.kv_tokens,
    tokens_per_step=PROFILE.tokens_per_step,
    step_ms=PROFILE.step_ms,
    ttft_slo_s=2.0,
    tpot_slo_s=0.1,
    peak_replicas=20,
    mean_replicas=5,
)
ALL = pytest.mark.parametrize("name", sorted(PEERS))


@st.composite
def some_views(draw: st.DrawFn) -> list[MetricsSnapshot]:
    """A run of views: replicas come and go, counters grow, samples get lost, everything may be zero."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    load = draw(st.sampled_from([0.0, 1.0, 100.0, 1e6]))
    period_s = draw(st.sampled_from([2.0, 15.0, 61.0]))
    counters = np.zeros((8, COLUMNS))
    views = []
    for step in range(draw(st.integers(1, 12))):
        ready = int(rng.integers(0, 6))
        counters[:, 3:] += load * rng.random((8, COLUMNS - 3))
        counters[:, :3] = np.floor(load * rng.random((8, 3)))
        fresh = rng.random(ready) < rng.choice([0.0, 0.8, 1.0])
        views.append(
            MetricsSnapshot(
                now_s=step * period_s,
                desired=int(rng.integers(0, 9)),
                starting=int(rng.integers(0, 4)),
                pods=np.sort(rng.choice(8, ready, replace=False)),
                ready_since_s=np.zeros(ready),
                fresh=fresh,
                age_s=np.where(fresh, 3.0, np.inf),
                samples=counters[:ready].copy() if rng.random() < 0.8 else np.zeros((ready, COLUMNS)),
                kv_capacity_tokens=FACTS.kv_capacity_tokens,
                max_sequences=FACTS.max_sequences,
            )
        )
    return views


@ALL
@settings(max_examples=25)
@given(views=some_views(), data=st.data())
def test_returns_a_count_for_any_snapshot(name, views, data):
    variant = data.draw(st.sampled_from([PEERS[name].shipped, *PEERS[name].others]))
    policy = variant.build(FACTS, period_s=data.draw(st.sampled_from([None, 15.0])))
    for snapshot in views:
        wanted = policy.decide(snapshot)
        assert type(wanted) is int
        assert wanted >= 0


@ALL
def test_two_policies_of_one_variant_share_no_state(name):
    first, second = PEERS[name].shipped.build(FACTS), PEERS[name].shipped.build(FACTS)
    assert first is not second


@ALL
def test_every_peer_has_the_same_number_of_settings(name):
    expected = 8 if name.startswith("static") else 24
    labels = [variant.label for variant in PEERS[name].others]
    assert len(set(labels)) == len(labels) == expected


@ALL
def test_a_given_period_replaces_the_policys_own(name):
    assert PEERS[name].shipped.build(FACTS, period_s=15.0).period_s == 15.0


def test_a_variant_is_found_by_its_label():
    peer = PEERS["hpa-queue"]
    assert peer.variant("shipped") is peer.shipped
    assert peer.variant("target=0.03 window=60") is peer.others[0]


def test_static_fleets_take_their_sizes_from_the_context():
    snapshot = some_empty_view()
    assert PEERS["static-peak"].shipped.build(FACTS).decide(snapshot) == 20
    assert PEERS["static-mean"].shipped.build(FACTS).decide(snapshot) == 5
    assert PEERS["static-mean"].variant("target=0.5 window=0").build(FACTS).decide(snapshot) == 3


def test_geometric_values_grow_by_one_factor():
    assert geometric(0.5, 64) == pytest.approx((0.5, 1, 2, 4, 8, 16, 32, 64))


def some_empty_view() -> MetricsSnapshot:
    none = np.zeros(0)
    return MetricsSnapshot(0.0, 1, 0, none.astype(int), none, none.astype(bool), none, np.zeros((0, COLUMNS)), 1, 1)


@ALL
def test_a_decision_is_fast_enough_for_thousands_of_runs(name):
    """A bound for gross mistakes, far above the 30 microseconds that the runs budget for."""
    policy = PEERS[name].shipped.build(FACTS)
    rng = np.random.default_rng(0)
    counters = np.zeros((12, COLUMNS))
    views = []
    for step in range(500):
        counters[:, 3:] += 100 * rng.random((12, COLUMNS - 3))
        counters[:, :3] = 50 * rng.random((12, 3))
        always = np.ones(12, dtype=bool)
        views.append(
            MetricsSnapshot(
                15.0 * step, 12, 0, np.arange(12), np.zeros(12), always, np.zeros(12), counters.copy(), 400_000, 256
            )
        )
    began_s = time.process_time()
    for snapshot in views:
        policy.decide(snapshot)
    assert (time.process_time() - began_s) / len(views) < 1e-3
