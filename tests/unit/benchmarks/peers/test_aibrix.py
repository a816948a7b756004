"""Values worked out from apa.go, kpa.go and `stabilizeRecommendation`."""

import pytest

from chatscale_simulator.simulation.snapshot import Column, MetricsSnapshot
from tests.benchmarks.autoscaling.peers.aibrix import AibrixApa, AibrixKpa, AibrixSettings
from tests.unit.chatscale_simulator.simulation.snapshots import a_snapshot

CAPACITY_TOKENS = 400_000


def using(now_s: float, share: float, *, ready: int) -> MetricsSnapshot:
    """Every replica's cache filled to `share`."""
    return a_snapshot(now_s).with_ready(ready).with_total(Column.KV_TOKENS, share * CAPACITY_TOKENS * ready).build()


@pytest.mark.parametrize(
    ("share", "wanted"),
    [
        pytest.param(0.8, 7, id="in-proportion"),
        pytest.param(1.2, 8, id="at-most-double"),
        pytest.param(0.54, 4, id="within-tolerance-above"),
        pytest.param(0.46, 4, id="within-tolerance-below"),
        pytest.param(0.35, 3, id="down-in-proportion"),
        pytest.param(0.05, 2, id="at-most-half"),
    ],
)
def test_apa_follows_kv_use_per_pod(share, wanted):
    assert AibrixApa().decide(using(0, share, ready=4)) == wanted


def test_apa_looks_at_the_mean_of_three_minutes():
    apa = AibrixApa()
    answers = [apa.decide(using(now_s, 0.5, ready=4)) for now_s in range(0, 180, 10)]
    answers += [apa.decide(using(now_s, 1.0, ready=4)) for now_s in (180, 190, 200)]
    assert answers == [4] * 19 + [5, 5], "means 10 / 19, 10.5 / 19 and 11 / 19"


def test_the_cooldown_takes_the_smallest_recommendation_of_five_minutes():
    apa = AibrixApa(AibrixSettings(stable_window_s=1))
    assert apa.decide(using(0, 0.3, ready=4)) == 3
    assert apa.decide(using(10, 0.9, ready=4)) == 8
    assert apa.decide(using(290, 0.4, ready=8)) == 3, "7 now, but 3 was wished for 290 s ago"
    assert apa.decide(using(400, 0.4, ready=8)) == 7


def test_kpa_takes_the_mean_for_the_sum():
    assert AibrixKpa().decide(using(0, 0.9, ready=3)) == 2, "ceil(0.9 / 0.5), however many replicas are that full"


def test_kpa_is_bounded_by_half_and_double():
    assert AibrixKpa().decide(using(0, 0.9, ready=12)) == 6
    assert AibrixKpa(AibrixSettings(target=0.02)).decide(using(0, 0.9, ready=12)) == 24


def test_kpa_within_tolerance_holds():
    assert AibrixKpa().decide(using(0, 0.54, ready=7)) == 7


def test_kpa_panics_when_one_minute_is_twice_three():
    kpa = AibrixKpa(AibrixSettings(target=0.02, scale_down_cooldown_s=0))
    answers = [kpa.decide(using(now_s, 0.02, ready=4)) for now_s in range(0, 180, 10)]
    answers += [kpa.decide(using(now_s, 0.2, ready=4)) for now_s in (180, 190, 200, 210)]
    assert answers == [4] * 18 + [2, 2, 5, 7], "stable 0.0295 and 0.0389, then panic 0.0971 and 0.1229"


def test_kpa_without_load_panics_downwards():
    assert AibrixKpa().decide(using(0, 0.0, ready=9)) == 4


@pytest.mark.parametrize("rule", [AibrixApa, AibrixKpa])
def test_without_readings_it_holds(rule):
    assert rule().decide(a_snapshot().with_ready(5).without_data().build()) == 5
