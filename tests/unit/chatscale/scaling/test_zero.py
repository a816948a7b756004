"""Scale to zero and back, as the policy decides it."""

from dataclasses import replace
from typing import Any

import pytest

from chatscale.scaling.idleness import Idleness
from chatscale.scaling.policy import Decision, decide
from chatscale.scaling.reserve import Reserve
from chatscale.scaling.signals import ClientCounters, ClientDemand, Observation, Replica, ReplicaPhase
from chatscale.scaling.speed import Speed
from chatscale.scaling.state import ScalerState
from chatscale.scaling.work import Work, sizes_of
from tests.support.replicas import SLOTS, a_sample, a_spec, at, in_phase, ready

SPEC = a_spec(scaleToZero={"idleSeconds": 60}, behavior={"scaleDown": {"stabilizationWindowSeconds": 0}})


def clients(**fields: Any) -> ClientDemand:
    return replace(ClientDemand(at(0), gateways=1, is_current=True), **fields)


def decided(
    current: int,
    demand: ClientDemand | None,
    *replicas: Replica,
    state: ScalerState | None = None,
    seconds: float = 0,
    spec: Any = SPEC,
) -> Decision:
    state = state or ScalerState.rebuilt(current, at(0))
    return decide(spec, SLOTS, current, Observation(at(seconds), replicas, demand), state, at(seconds))


def idle(seconds: float) -> ScalerState:
    idleness = Idleness(idle_s=seconds, has_been_ready=True, requests=0)
    return replace(ScalerState.rebuilt(1, at(0)), idleness=idleness)


def a_ready() -> Replica:
    return ready("r0", a_sample(0))


def test_the_last_replica_goes_after_idle_seconds():
    before, after = (decided(1, clients(), a_ready(), state=idle(seconds)) for seconds in (59, 60))
    assert before.replicas == 1
    assert (after.replicas, after.reason) == (0, "Idle")
    assert after.message == "no request for 60 s, idleSeconds is 60"


def test_a_model_never_goes_to_zero_unless_its_spec_says_so():
    assert decided(1, clients(), a_ready(), state=idle(9999), spec=a_spec()).replicas == 1


def test_a_model_above_its_minimum_goes_there_first():
    assert decided(2, clients(), a_ready(), state=idle(9999)).replicas >= 1


def test_all_replicas_of_the_minimum_go_at_once():
    spec = a_spec(minReplicas=2, scaleToZero={"idleSeconds": 60})
    assert decided(2, clients(), a_ready(), state=idle(60), spec=spec).replicas == 0


def test_an_announced_event_keeps_and_starts_replicas():
    event = {"name": "sale", "start": at(0).isoformat(), "end": at(600).isoformat(), "minReplicas": 3}
    spec = a_spec(scaleToZero={"idleSeconds": 60}, events=[event])
    assert decided(3, clients(), a_ready(), state=idle(60), spec=spec).replicas == 3
    assert decided(0, clients(), spec=spec).replicas == 3


def test_a_model_stays_at_zero_without_a_request():
    decision = decided(0, clients())
    assert (decision.replicas, decision.reason, decision.metrics_ok) == (0, "ScaledToZero", True)


def test_one_held_request_starts_one_replica():
    decision = decided(0, clients(held=1, oldest_held_s=0.4))
    assert (decision.replicas, decision.reason) == (1, "RequestsHeld")
    assert decision.message == "gateways hold 1 requests (oldest 0.4 s) at 0 replicas: recommended 1"


@pytest.mark.parametrize(("held", "most", "replicas"), [(9, 20, 2), (200, 20, 20), (200, 3, 3), (1, 20, 2)])
def test_the_first_count_is_enough_for_what_is_held_within_the_bounds(held: int, most: int, replicas: int):
    spec = a_spec(minReplicas=2, maxReplicas=most, scaleToZero={})
    assert decided(0, clients(held=held), spec=spec).replicas == replicas


def test_the_first_count_uses_what_was_learned_of_the_requests():
    # 2,000 prompt tokens and 500 generated ones at 10,000 tokens/s are 0.25 s of one replica; 200 of them 50 s.
    work = Work(sizes=sizes_of(2000, 500), speed=Speed(10_000.0))
    state = replace(ScalerState.rebuilt(0, at(0)), work=work, reserve=Reserve())
    decision = decided(0, clients(held=200, held_prompt_tokens=400_000), state=state)
    assert decision.replicas == 2, "50 s of work within 30 s"


def test_requests_that_come_while_the_first_replica_starts_raise_the_count():
    decision = decided(1, clients(held=20), in_phase("r0", ReplicaPhase.STARTING))
    assert (decision.replicas, decision.reason) == (3, "RequestsHeld")


def test_a_refused_request_starts_a_model_that_holds_none():
    first = decided(0, clients())
    second = decided(0, clients(counters=ClientCounters(refused=1)), state=first.next_state, seconds=2)
    assert (second.replicas, second.reason) == (1, "RequestsHeld")


def test_a_model_at_zero_without_a_gateway_starts():
    assert (decided(0, None).replicas, decided(0, None).reason) == (1, "NoGateway")


def test_a_model_at_zero_waits_a_minute_for_a_gateway_that_restarts():
    gone = clients(gateways=0, is_current=False)
    first = decided(0, gone)
    assert first.replicas == 0
    assert decided(0, gone, state=first.next_state, seconds=59).replicas == 0
    assert decided(0, gone, state=first.next_state, seconds=60).reason == "NoGateway"


def test_a_model_at_zero_starts_if_scale_to_zero_is_removed():
    assert decided(0, clients(), spec=a_spec()).replicas == 1
