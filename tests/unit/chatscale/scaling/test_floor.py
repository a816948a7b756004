"""Promise: replicas are there when an announced sale starts, and go when it is over."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chatscale.api.v1alpha1 import AnnouncedEvent, AutoscalingPhase
from chatscale.scaling.cold_start import ColdStarts
from chatscale.scaling.floor import floor_at, lead_of
from chatscale.scaling.signals import Replica, ReplicaPhase
from tests.support.replicas import Operator, a_sample, a_spec, at, in_phase, ready, seen

HOUR_S = 3600


def an_event(start_s: float = HOUR_S, end_s: float = 2 * HOUR_S, least: int = 8, **fields: Any) -> dict[str, Any]:
    times = {"start": at(start_s).isoformat(), "end": at(end_s).isoformat()}
    return {"name": "black-friday", **times, "minReplicas": least, **fields}


def started_in(name: str, since_s: float, took_s: float) -> Replica:
    created = at(since_s - took_s)
    return replace(ready(name, a_sample(since_s), since_s), created=created, scheduled=created)


@pytest.mark.parametrize(
    ("now_s", "least"),
    [
        pytest.param(HOUR_S - 186, 2, id="before its lead"),
        pytest.param(HOUR_S - 185, 8, id="two cold starts of 80 s and 25 s ahead"),
        pytest.param(2 * HOUR_S - 1, 8, id="until its last second"),
        pytest.param(2 * HOUR_S, 2, id="over"),
    ],
)
def test_an_event_counts_from_its_lead_until_its_end(now_s: float, least: int) -> None:
    spec = a_spec(minReplicas=2, events=[an_event()])

    assert floor_at(spec, 80.0, at(now_s)).replicas == least


def test_a_lead_of_the_spec_replaces_the_measured_one() -> None:
    event = AnnouncedEvent.model_validate(an_event(leadSeconds=600))

    assert lead_of(event, 80.0) == timedelta(minutes=10)


def test_the_largest_of_overlapping_events_counts_and_minreplicas_may_be_more() -> None:
    small, large = an_event(least=4), an_event(least=9) | {"name": "tv-spot"}

    assert floor_at(a_spec(events=[large, small]), 80.0, at(HOUR_S)).event == "tv-spot"
    plain = floor_at(a_spec(minReplicas=12, events=[large]), 80.0, at(HOUR_S))
    assert (plain.replicas, plain.because, plain.event) == (12, "minReplicas is 12", None)


@pytest.mark.parametrize(
    ("now_s", "due_in_s"),
    [
        pytest.param(0, HOUR_S - 185, id="its lead"),
        pytest.param(HOUR_S - 185, HOUR_S + 185, id="its end"),
        pytest.param(2 * HOUR_S, None, id="nothing more"),
    ],
)
def test_the_next_start_or_end_of_an_event_is_known(now_s: float, due_in_s: float | None) -> None:
    due_in = floor_at(a_spec(events=[an_event()]), 80.0, at(now_s)).due_in

    assert due_in == (None if due_in_s is None else timedelta(seconds=due_in_s))


def test_pods_that_became_ready_faster_than_expected_stay_until_the_event() -> None:
    shop = Operator(
        replicas=1, spec=a_spec(events=[an_event()], behavior={"scaleDown": {"stabilizationWindowSeconds": 0}})
    )
    starts = ColdStarts(measured_s=300.0, ready_before=frozenset())
    shop.state = replace(shop.state, reserve=replace(shop.state.reserve, starts=starts))
    prepared_at = HOUR_S - 625

    assert shop.sees_load(prepared_at - 5, active=1).replicas == 1
    assert shop.sees_load(prepared_at, active=1).replicas == 8
    fast = [started_in(f"r{index}", prepared_at + 30, 30) for index in range(8)]
    shop.sees(seen(prepared_at + 30, *fast))
    assert shop.state.reserve.starts.until_ready_s < 40
    assert {decision.replicas for decision in shop.watches(prepared_at + 35, HOUR_S, active=1)} == {8}


def test_an_event_that_a_larger_one_covers_is_active_too() -> None:
    small = an_event(least=3)
    large = an_event(start_s=HOUR_S - 480, end_s=HOUR_S - 300, least=9, leadSeconds=0) | {"name": "tv-spot"}
    spec = a_spec(events=[small, large])

    active = floor_at(spec, 300.0, at(HOUR_S - 600)).events
    during = floor_at(spec, 40.0, at(HOUR_S - 400), active)
    after = floor_at(spec, 40.0, at(HOUR_S - 300), during.events)

    assert (during.event, after.event) == ("tv-spot", "black-friday")


def test_a_postponed_event_is_prepared_for_again() -> None:
    later = a_spec(events=[an_event(start_s=48 * HOUR_S, end_s=49 * HOUR_S)])

    assert floor_at(later, 80.0, at(HOUR_S), active=["black-friday"]).event is None


def test_an_active_event_keeps_the_lead_of_the_spec() -> None:
    spec = a_spec(events=[an_event(leadSeconds=60)])

    assert floor_at(spec, 80.0, at(HOUR_S - 61), active=["black-friday"]).event is None


def test_an_event_with_a_start_in_year_1_is_active_until_its_end() -> None:
    spec = a_spec(events=[an_event() | {"start": "0001-01-01T00:00:00Z"}])

    assert floor_at(spec, 80.0, at(0)).event == "black-friday"


def test_no_event_raises_the_floor_above_maxreplicas() -> None:
    floor = floor_at(a_spec(maxReplicas=5, events=[an_event()]), 80.0, at(HOUR_S))

    assert floor.replicas == 5
    assert floor.because.endswith("maxReplicas is 5")


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="timezone"):
        AnnouncedEvent.model_validate(an_event() | {"start": "2026-11-27T20:00:00"})


def test_an_event_scales_up_at_once_and_the_reason_names_it() -> None:
    shop = Operator(replicas=1, spec=a_spec(events=[an_event()]))
    shop.watches(0, 120, active=1)

    decision = shop.sees_load(HOUR_S - 180, active=1)

    assert (decision.replicas, decision.reason, decision.phase) == (8, "AnnouncedEvent", AutoscalingPhase.SCHEDULED)
    assert decision.message == "minReplicas of event black-friday is 8 from 2026-01-01T13:00:00+00:00, current 1"


def test_load_may_scale_above_an_event() -> None:
    shop = Operator(replicas=8, spec=a_spec(events=[an_event(start_s=-60)]))

    decisions = shop.watches(0, 60, active=200)

    assert decisions[-1].replicas > 8


def test_an_event_holds_while_metrics_are_missing_or_nothing_is_ready() -> None:
    spec = a_spec(events=[an_event(start_s=0)])
    blind = Operator(replicas=1, spec=spec)
    starting = Operator(replicas=1, spec=spec)

    assert blind.sees(seen(60, ready("r0", None))).replicas == 8
    assert starting.sees(seen(60, in_phase("r0", ReplicaPhase.STARTING))).replicas == 8


def test_after_its_end_replicas_follow_demand_again() -> None:
    end_s = 600
    shop = Operator(replicas=8, spec=a_spec(events=[an_event(start_s=0, end_s=end_s)]))

    during = shop.watches(0, end_s, active=1)
    after = shop.watches(end_s, end_s + 700, active=1)

    assert {decision.replicas for decision in during} == {8}
    assert during[-1].message.endswith("minReplicas of event black-friday is 8 until 2026-01-01T12:10:00+00:00")
    assert after[-1].replicas == 1
