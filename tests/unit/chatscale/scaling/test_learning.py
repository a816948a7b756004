"""Promise: an observation is learned once, and only complete knowledge counts as complete."""

from typing import Any

from chatscale.scaling.learning import learn, learn_cold_starts
from chatscale.scaling.load import read_load
from chatscale.scaling.signals import Observation, ReplicaPhase
from chatscale.scaling.state import ScalerState
from tests.support.replicas import SLOTS, a_sample, a_spec, at, in_phase, ready, seen, under_load
from tests.support.workers import Fleet, Worker


def learned(state: ScalerState, observation: Observation, current: int = 2, **spec: Any) -> ScalerState:
    parsed, now = a_spec(**spec), observation.taken_at
    load = read_load(observation, state.refusals, parsed.source, now)
    return learn(state, parsed, SLOTS, current, observation, load, now)


def new_state(replicas: int = 2) -> ScalerState:
    return ScalerState.rebuilt(replicas, at(0))


def test_the_same_observation_twice_adds_nothing() -> None:
    fleet, state = Fleet(2), new_state()
    for _ in range(3):
        observation = fleet.after(15, 20)
        state = learned(state, observation)

    assert learned(state, observation) == state
    assert state.work.is_known


def test_failed_readings_are_counted_until_one_succeeds() -> None:
    unread = [seen(seconds, ready("a", None)) for seconds in (5, 10)]
    state = learned(learned(new_state(), unread[0]), unread[1])

    assert (state.failed_readings, state.complete_since) == (2, None)
    assert learned(state, under_load(15, 4, 2)).failed_readings == 0


def test_readings_are_complete_while_every_ready_replica_is_read() -> None:
    complete = learned(learned(new_state(), under_load(5, 4, 2)), under_load(10, 4, 2))
    partial = learned(complete, seen(15, ready("a", a_sample(15)), ready("b", None)))

    assert (complete.complete_since, partial.complete_since) == (at(5), None)


def test_a_burst_concerns_targets_and_not_the_slo() -> None:
    targets = learned(new_state(), under_load(5, 100, 2))
    fleet = Fleet(2)
    slo = learned(learned(new_state(), fleet.after(15, 1)), fleet.after(15, 500))

    assert targets.panic_until == at(65)
    assert slo.panic_until is None


def test_unready_replicas_add_no_load() -> None:
    state = learned(new_state(), seen(5, in_phase("a", ReplicaPhase.STARTING)))

    assert (state.counted_at, state.active, state.failed_readings) == (at(5), new_state().active, 0)


def test_cold_starts_are_learned_without_metrics() -> None:
    state = learn_cold_starts(new_state(), seen(0))
    state = learn_cold_starts(state, seen(5, Worker("w", since=5, started_in=60).replica(5)))

    assert state.reserve.starts.measured_s == 60
