"""Requests as the gateways count them: once each, whichever way they came."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale.scaling.client_work import ClientGrowth, CountedClients, count_clients
from chatscale.scaling.policy import Decision, decide
from chatscale.scaling.signals import ClientCounters, ClientDemand, Observation
from chatscale.scaling.state import ScalerState
from tests.support.replicas import SLOTS, a_spec, at, ready, seen
from tests.support.replicas import a_sample as a_plain_sample
from tests.support.workers import Fleet, Worker


def clients(seconds: float, held: int = 0, tokens: int = 0, gateways: int = 1, **counters: int) -> ClientDemand:
    return ClientDemand(
        at(seconds),
        gateways=gateways,
        is_current=True,
        held=held,
        held_prompt_tokens=tokens,
        counters=ClientCounters(**counters),
    )


def grown(at_replicas: float, **counters: int) -> ClientGrowth | None:
    before, nothing = count_clients(None, clients(0), 0)
    assert nothing is None
    return count_clients(before, clients(2, **counters), at_replicas)[1]


def test_arrivals_at_the_gateway_replace_those_at_the_replicas():
    assert grown(10, arrived=30, sent=10, slo_misses=2) == ClientGrowth(seconds=2, requests=30, misses=2)


def test_requests_beside_the_gateway_count_too():
    assert grown(25, arrived=10, sent=10) == ClientGrowth(seconds=2, requests=25, misses=0)


def test_without_requests_through_a_gateway_the_replicas_count_their_misses():
    assert grown(25) == ClientGrowth(seconds=2, requests=25, misses=None)


def test_refused_requests_are_arrivals_and_misses():
    assert grown(0, arrived=7, sent=0, refused=3) == ClientGrowth(seconds=2, requests=7, misses=3)


def test_misses_of_a_wake_do_not_count():
    assert grown(1, arrived=1, sent=1, wake_misses=1) == ClientGrowth(seconds=2, requests=1, misses=0)


def test_held_requests_count_once_when_they_arrive():
    before, _ = count_clients(None, clients(0), 0)
    arrived = count_clients(before, clients(2, arrived=50, sent=10), 10)
    sent = count_clients(arrived[0], clients(4, arrived=50, sent=50), 40)
    assert [found.requests for found in (arrived[1], sent[1]) if found] == [50, 0]


def test_a_gateway_that_cannot_be_read_leaves_the_count_to_the_replicas():
    before, _ = count_clients(None, clients(0), 0)
    assert count_clients(before, clients(2, gateways=0), 5) == (None, None)
    assert count_clients(before, None, 5) == (None, None)


@given(skews=st.lists(st.integers(-5, 5), min_size=30, max_size=30))
def test_readings_that_are_a_moment_apart_add_few_requests(skews: list[int]):
    """100 requests every 2 s, all through the gateway; each reading of the replicas is up to 5 requests off."""
    counted: CountedClients | None = None
    total, last = 0.0, 0
    for index, skew in enumerate([0, *skews]):
        at_replicas, last = 100 * bool(index) + skew - last, skew
        demand = clients(2 * index, arrived=100 * index, sent=100 * index)
        counted, growth = count_clients(counted, demand, at_replicas)
        total += growth.requests if growth else 0.0
    most = 5 + 10 * (1 - math.exp(-2 / 60)) * 30
    assert 3000 <= total <= 3000 + most


# ---- the policy ----


def decided(state: ScalerState | None, current: int, observation: Observation, **spec: Any) -> Decision:
    state = state or ScalerState.rebuilt(current, at(0))
    return decide(a_spec(**spec), SLOTS, current, observation, state, observation.taken_at)


SLO: dict[str, Any] = {"metrics": []}


def test_arrivals_of_the_gateway_raise_the_arrival_rate():
    fleet, state, decision = Fleet(2), None, None
    for second in range(0, 60, 2):
        observation = replace(fleet.after(2, 2), clients=clients(second, arrived=8 * second, sent=2 * second))
        decision = decided(state, 2, observation, **SLO)
        state = decision.next_state
    assert state is not None
    assert state.work.arrival_rps(at(60)) == pytest.approx(8, rel=0.05)


def test_misses_seen_by_clients_raise_the_reserve_and_misses_of_a_wake_do_not():
    def factor(**counters: int) -> float:
        fleet, state = Fleet(1), None
        for second in range(0, 300, 2):
            counts = {name: count * second for name, count in counters.items()}
            state = decided(
                state,
                1,
                replace(fleet.after(2, 2), clients=clients(second, arrived=2 * second, sent=2 * second, **counts)),
            ).next_state
        assert state is not None
        return state.reserve.factor

    assert factor(slo_misses=1) > 1 > factor(wake_misses=1)
    assert factor(wake_misses=1) == factor()


def full(seconds: float, demand: ClientDemand) -> Observation:
    sample = Worker("w").replica(seconds, running=64, waiting=6)
    return Observation(at(seconds), (sample,), demand)


def test_held_requests_are_evidence_at_once():
    first = decided(None, 1, full(0, clients(0)), **SLO)
    second = decided(first.next_state, 1, full(2, clients(2, arrived=60, sent=0)), **SLO)
    third = decided(second.next_state, 1, full(4, clients(4, held=500, tokens=450_000, arrived=560, sent=60)), **SLO)
    assert third.reason == "RequestsHeld"
    assert third.message.startswith("gateways hold 500 requests, queue growing (506 waiting)")
    assert third.replicas > second.replicas


def test_held_prompt_tokens_are_outstanding_work():
    def backlog_s(tokens: int) -> float:
        state = decided(None, 1, full(0, clients(0))).next_state
        return decided(state, 1, full(2, clients(2, held=10, tokens=tokens))).next_state.work.backlog_s

    assert backlog_s(80_000) - backlog_s(0) == pytest.approx(10.0), "at 8,000 tokens/s"


@pytest.mark.parametrize("metric", ["QueueDepth", "ActiveRequests"])
def test_held_requests_count_in_the_targets(metric: str):
    targets = {"metrics": [{"type": metric, "target": 4}]}
    busy = ready("r0", a_plain_sample(0, running=8))
    alone, with_held = (
        decided(None, 1, Observation(at(0), (busy,), demand), **targets).replicas
        for demand in (clients(0), clients(0, held=40))
    )
    assert with_held > alone


def test_held_requests_beside_free_slots_are_no_evidence():
    """A gateway whose share of the slots is full may hold requests while the other gateway has none."""
    state = decided(None, 1, Observation(at(0), (Worker("w").replica(0),), clients(0)), **SLO).next_state
    idle = Observation(at(2), (Worker("w").replica(2, running=8),), clients(2, held=3, tokens=30))
    assert decided(state, 1, idle, **SLO).reason != "RequestsHeld"


def test_the_queue_depth_includes_held_requests():
    waiting = ready("r0", a_plain_sample(0, waiting=2))
    assert seen(0, waiting).queue_depth == 2
    assert replace(seen(0, waiting), clients=clients(0, held=3)).queue_depth == 5
    assert replace(seen(0), clients=clients(0, held=3)).queue_depth == 3
    assert replace(seen(0), clients=clients(0, gateways=0)).queue_depth is None


def test_requests_that_were_held_do_not_make_replicas_look_slow():
    """They fill the slots long after they arrived: arrivals and slots in use do not belong together."""
    worker, state = Worker("w"), None
    for second in range(0, 30, 2):
        worker.serves(4)
        demand = clients(second, arrived=2 * second, sent=2 * second)
        state = decided(
            state, 1, Observation(at(second), (worker.replica(second, running=1),), demand), **SLO
        ).next_state
    assert state is not None
    before = state.work.replica_rps
    for second in range(30, 100, 2):
        demand = clients(second, held=64, arrived=60 + 64, sent=60)
        state = decided(state, 1, Observation(at(second), (), demand), **SLO).next_state
    for second in range(100, 150, 2):
        demand = clients(second, arrived=60 + 64, sent=60 + 64)
        busy = worker.replica(second, running=64)
        state = decided(state, 1, Observation(at(second), (busy,), demand), **SLO).next_state
    assert state.work.replica_rps == pytest.approx(before, rel=0.05)
