"""When a model counts as idle: only while everything that could bring a request is read."""

from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale.api.v1alpha1 import MetricSource
from chatscale.scaling.idleness import Idleness, count_idleness
from chatscale.scaling.load import read_load
from chatscale.scaling.signals import ClientCounters, ClientDemand, Observation, Replica, ReplicaPhase, WorkCounters
from tests.support.replicas import a_sample, at, in_phase, ready

GAP = timedelta(seconds=10)


def clients(**fields: int | bool | ClientCounters) -> ClientDemand:
    return replace(ClientDemand(at(0), gateways=1, is_current=True), **fields)


QUIET = clients()


def a_ready(seconds: float, running: int = 0) -> Replica:
    return ready("r0", a_sample(seconds, running=running))


def after(
    before: Idleness, seconds: float, *replicas: Replica, demand: ClientDemand | None = QUIET, current: int = 1
) -> Idleness:
    seen = Observation(at(seconds), replicas, demand)
    load = read_load(seen, MappingProxyType({}), MetricSource(), at(seconds))
    return count_idleness(before, current, seen, load, GAP, at(seconds))


def idle_for(seconds: int) -> Idleness:
    idleness = Idleness()
    for second in range(0, seconds + 2, 2):
        idleness = after(idleness, second, a_ready(second))
    return idleness


def test_time_without_requests_adds_up():
    assert idle_for(20).idle_s == 20


def test_it_begins_when_the_model_is_ready():
    idleness = Idleness()
    for second in range(0, 60, 2):
        idleness = after(idleness, second, in_phase("r0", ReplicaPhase.STARTING))
    assert idleness.idle_s == 0
    idleness = after(idleness, 60, a_ready(60))
    assert after(idleness, 62, a_ready(62)).idle_s == 2


@pytest.mark.parametrize(
    ("replica", "demand"),
    [
        pytest.param(a_ready(22), clients(held=1), id="held"),
        pytest.param(a_ready(22), clients(in_flight=1), id="in flight"),
        pytest.param(a_ready(22), clients(counters=ClientCounters(arrived=1)), id="came and went"),
        pytest.param(a_ready(22), clients(counters=ClientCounters(arrived=1, refused=1)), id="refused"),
        pytest.param(a_ready(22, running=1), clients(), id="not through a gateway"),
        pytest.param(ready("r0", a_sample(22, rejected=1)), clients(), id="refused by the replica"),
    ],
)
def test_a_request_begins_the_time_anew(replica: Replica, demand: ClientDemand):
    assert after(idle_for(20), 22, replica, demand=demand).idle_s == 0


@pytest.mark.parametrize(
    ("replica", "demand"),
    [
        pytest.param(a_ready(22), clients(is_current=False), id="a gateway is silent"),
        pytest.param(a_ready(22), None, id="no gateway"),
        pytest.param(ready("r0", None), clients(), id="the replica is silent"),
    ],
)
def test_a_reading_gap_does_not_count(replica: Replica, demand: ClientDemand | None):
    idleness = after(idle_for(20), 22, replica, demand=demand)
    assert idleness.idle_s == 20
    assert after(idleness, 24, a_ready(24)).idle_s == 20
    assert after(after(idleness, 24, a_ready(24)), 26, a_ready(26)).idle_s == 22


def test_a_pause_of_the_operator_does_not_count():
    assert after(idle_for(20), 80, a_ready(80)).idle_s == 20


def test_a_model_that_was_at_zero_begins_anew():
    idleness = after(idle_for(20), 22, current=0)
    assert (idleness.idle_s, idleness.has_been_ready) == (0, False)


@given(steps=st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), max_size=40))
def test_idle_time_is_never_longer_than_the_time_since_the_last_request(steps: list[tuple[int, bool, bool]]):
    idleness, now, last, arrived = Idleness(), 0, 0, 0
    for seconds, comes, is_read in steps:
        now += seconds
        if comes:
            last, arrived = now, arrived + 1
        demand = clients(is_current=is_read, counters=ClientCounters(arrived=arrived))
        idleness = after(idleness, now, a_ready(now), demand=demand)
        assert 0 <= idleness.idle_s <= now - last


def a_counting(seconds: float, running: int, finished: int) -> Replica:
    """A replica that counts what it has finished."""
    return ready("r0", replace(a_sample(seconds, running=running), work=WorkCounters(1000, 0, 0, finished, 0)))


def a_chore(placed: int, *, held: int = 0, in_flight: int = 0) -> ClientDemand:
    """Requests of keys with `wake: false`."""
    counters = ClientCounters(arrived=placed, sent=placed, no_wake_arrived=placed, no_wake_placed=placed)
    return clients(held=held, in_flight=in_flight, no_wake_held=held, no_wake_in_flight=in_flight, counters=counters)


def test_promise_32_requests_with_wake_false_keep_no_model_awake():
    idleness = idle_for(20)
    for second, running, finished, demand in [
        (22, 1, 0, a_chore(1, in_flight=1)),
        (24, 1, 0, a_chore(1)),  # the replica was read before the end of the request, the gateway after it
        (26, 0, 1, a_chore(1)),
        (28, 0, 2, a_chore(2)),  # came and went between two readings
        (30, 0, 2, a_chore(3, held=1, in_flight=0)),
        (32, 0, 3, a_chore(3)),
    ]:
        idleness = after(idleness, second, a_counting(second, running, finished), demand=demand)
        assert idleness.idle_s == second


def test_promise_32_another_request_beside_them_begins_the_time_anew():
    before = after(idle_for(20), 22, a_ready(22, running=1), demand=a_chore(1, in_flight=1))
    assert before.idle_s == 22
    assert after(before, 24, a_ready(24, running=2), demand=a_chore(1, in_flight=1)).idle_s == 0
    assert after(before, 24, a_counting(24, 0, 2), demand=a_chore(1)).idle_s == 0
    both = replace(a_chore(1, in_flight=1), in_flight=2)
    assert after(before, 24, a_ready(24, running=1), demand=both).idle_s == 0
    arrived = replace(a_chore(1).counters, arrived=2)
    assert after(before, 24, a_ready(24), demand=clients(counters=arrived)).idle_s == 0
