"""The default policy: `decide` without targets, on replicas that count their work."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale.api.v1alpha1 import AutoscalingStatus
from chatscale.scaling.policy import Decision, decide
from chatscale.scaling.signals import Observation
from chatscale.scaling.state import ScalerState
from tests.support.replicas import a_spec, at
from tests.support.workers import Fleet

SPEC = a_spec()


class Shop:
    """Decides on a fleet that follows at once; a second decision comes every 15 s."""

    def __init__(self, count: int = 1) -> None:
        self.fleet, self.state = Fleet(count), ScalerState.rebuilt(count, at(0))

    def decides(self, seen: Observation) -> Decision:
        decision = decide(SPEC, 64, self.fleet.count, seen, self.state, seen.taken_at)
        self.state = decision.next_state
        return decision

    def watches(self, seconds: int, requests_per_s: float) -> list[Decision]:
        return [self.decides(self.fleet.after(15, requests_per_s)) for _ in range(seconds // 15)]

    def follows(self, decision: Decision) -> None:
        self.fleet.count = decision.replicas
        del self.fleet.workers[decision.replicas :]


def test_sizes_for_the_load_and_explains_it_in_one_sentence() -> None:
    decision = Shop(2).watches(300, 24)[-1]

    assert decision.replicas == 5
    assert decision.reason == "LoadAboveTarget"
    assert decision.message.startswith("load 3.0 replicas (8.0 requests/s each), 3.")
    assert decision.message.endswith(": recommended 5, current 2")


def test_names_no_rate_of_a_replica_before_answers_have_finished() -> None:
    message = Shop().watches(60, 0)[-1].message

    assert message.startswith("load 0.0 replicas, ")


def test_holds_the_count_after_one_reading() -> None:
    decision = Shop(3).watches(15, 24)[0]

    assert (decision.replicas, decision.reason) == (3, "Stabilizing")


def test_targets_of_the_spec_replace_it() -> None:
    shop = Shop(2)
    spec = a_spec(metrics=[{"type": "QueueDepth", "target": 4}])
    seen = shop.fleet.after(15, 24)

    decision = decide(spec, 64, 2, seen, shop.state, seen.taken_at)

    assert decision.message.startswith("QueueDepth: ")


def test_targets_decide_while_a_replica_does_not_count_its_work() -> None:
    shop = Shop(2)
    shop.watches(60, 24)
    seen = shop.fleet.after(15, 24)
    first, second = seen.replicas
    assert second.sample is not None
    plain = replace(second, sample=replace(second.sample, work=None))

    assert shop.decides(replace(seen, replicas=(first, plain))).message.startswith("QueueDepth: ")


def test_lowers_ten_minutes_after_the_load_fell_and_not_before() -> None:
    shop = Shop(1)
    for decision in shop.watches(900, 24):
        shop.follows(decision)
    high = shop.fleet.count
    counts = []
    for _ in range(80):
        decision = shop.decides(shop.fleet.after(15, 4))
        shop.follows(decision)
        counts.append(decision.replicas)

    assert high >= 5
    assert set(counts[:38]) == {high}
    assert counts[-1] <= 2


def test_an_outage_of_the_metrics_holds_the_count() -> None:
    shop = Shop(4)
    shop.watches(900, 24)
    seen = shop.fleet.after(300, 0)
    blind = replace(seen, replicas=tuple(replace(each, sample=None) for each in seen.replicas))

    assert shop.decides(blind).replicas == 4


def test_a_restart_keeps_the_count_and_what_was_learned() -> None:
    shop = Shop(5)
    shop.watches(3600, 24)
    learned = shop.state.learned
    assert learned is not None

    again = Shop(5)
    left = AutoscalingStatus(learned=learned)
    again.fleet, again.state = shop.fleet, ScalerState.rebuilt(5, at(shop.fleet.now), left)
    decisions = again.watches(300, 24)

    assert {decision.replicas for decision in decisions} == {5}
    assert again.state.reserve.factor == pytest.approx(shop.state.reserve.factor, abs=0.02)


@given(st.floats(0, 200), st.floats(1, 3))
def test_more_load_never_recommends_fewer_replicas(requests_per_s: float, times: float) -> None:
    less = Shop(3).watches(90, requests_per_s)[-1]
    more = Shop(3).watches(90, requests_per_s * times)[-1]

    assert more.replicas >= less.replicas
