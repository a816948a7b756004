from datetime import timedelta

import pytest

from chatscale.api.v1alpha1 import MetricSource
from chatscale.scaling.load import Coverage, LoadSummary, Refusals, max_sample_age, read_load
from chatscale.scaling.signals import Replica, ReplicaPhase
from tests.support.replicas import a_sample, at, in_phase, ready, seen


def load_of(*replicas: Replica, now: float = 0, before: dict[str, Refusals] | None = None) -> LoadSummary:
    return read_load(seen(now, *replicas), before or {}, MetricSource(), at(now))


def test_sums_over_ready_replicas() -> None:
    load = load_of(ready("a", a_sample(0, 3, 8, 0.5)), ready("b", a_sample(0, 0, 2, 0.25)))

    assert (load.active, load.waiting, load.kv_percent, load.ready, load.read) == (13, 3, 75, 2, 2)
    assert load.coverage is Coverage.COMPLETE


def test_a_fresh_zero_is_zero() -> None:
    load = load_of(ready("a", a_sample(0)))

    assert (load.active, load.coverage) == (0, Coverage.COMPLETE)


def test_neither_starting_nor_leaving_replicas_count() -> None:
    leaving = Replica("b", ReplicaPhase.TERMINATING, at(0), a_sample(0, 5, 8))
    load = load_of(ready("a", a_sample(0, 0, 1)), leaving, in_phase("c", ReplicaPhase.STARTING))

    assert (load.active, load.ready, load.coverage) == (1, 1, Coverage.COMPLETE)


@pytest.mark.parametrize(
    ("replicas", "coverage"),
    [
        pytest.param([], Coverage.NOTHING_READY, id="no-replica"),
        pytest.param([in_phase("a", ReplicaPhase.STARTING)], Coverage.NOTHING_READY, id="only-starting"),
        pytest.param([ready("a", None)], Coverage.NONE, id="never-read"),
        pytest.param([ready("a", a_sample(-11))], Coverage.NONE, id="stale"),
        pytest.param([ready("a", a_sample(-10))], Coverage.COMPLETE, id="just-fresh-enough"),
        pytest.param([ready("a", a_sample(0)), ready("b", a_sample(-11))], Coverage.PARTIAL, id="one-stale"),
        pytest.param([ready("a", None, since=-5)], Coverage.NOTHING_READY, id="ready-a-moment-ago"),
        pytest.param([ready("a", a_sample(0)), ready("b", None, since=-5)], Coverage.COMPLETE, id="one-new"),
        pytest.param([ready("a", a_sample(-7), since=-5)], Coverage.NOTHING_READY, id="scraped-while-it-loaded"),
        pytest.param([ready("a", a_sample(0, kv=float("nan")))], Coverage.NONE, id="not-a-number"),
        pytest.param([ready("a", a_sample(0, rejected=float("inf")))], Coverage.NONE, id="infinite"),
    ],
)
def test_says_how_much_is_known(replicas: list[Replica], coverage: Coverage) -> None:
    assert load_of(*replicas).coverage is coverage


def test_absurd_numbers_are_bounded() -> None:
    load = load_of(ready("a", a_sample(0, waiting=10**300, running=-5, kv=7.0)))

    assert (load.active, load.kv_percent) == (1e9, 100)


def test_refusals_are_demand_that_a_full_queue_hides() -> None:
    first = load_of(ready("a", a_sample(0, 64, 8, rejected=100)))
    second = load_of(ready("a", a_sample(10, 64, 8, rejected=140)), now=10, before=dict(first.refusals))

    assert first.active == 72
    assert second.active == 72 + 4 * 5, "4 refusals a second, each as if it stayed 5 s"
    assert second.waiting == 64 + 4 * 5


def test_reading_the_same_sample_twice_keeps_its_rate() -> None:
    before = {"a": Refusals(at(0), 140, 4)}

    assert load_of(ready("a", a_sample(0, rejected=140)), now=5, before=before).active == 20


def test_a_restarted_container_counts_from_zero() -> None:
    before = {"a": Refusals(at(0), 1000, 0)}

    assert load_of(ready("a", a_sample(5, rejected=10)), now=5, before=before).refusals["a"] == Refusals(at(5), 10, 2)


def test_a_lost_reading_does_not_forget_the_counter_and_a_gone_replica_does() -> None:
    before = {"a": Refusals(at(0), 10, 0), "gone": Refusals(at(0), 10, 0)}

    assert load_of(ready("a", a_sample(-60)), before=before).refusals == {"a": before["a"]}


@pytest.mark.parametrize(
    ("source", "seconds"),
    [
        pytest.param({"intervalSeconds": 5}, 15, id="three-readings"),
        pytest.param({"intervalSeconds": 1}, 10, id="at-least-ten-seconds"),
        pytest.param({"type": "Prometheus", "prometheusURL": "http://p"}, 60, id="prometheus-has-its-own-clock"),
    ],
)
def test_a_sample_lives_for_several_readings(source: dict[str, object], seconds: int) -> None:
    assert max_sample_age(MetricSource.model_validate(source)) == timedelta(seconds=seconds)
