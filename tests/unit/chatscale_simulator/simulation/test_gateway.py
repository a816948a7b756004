"""The simulated gateway: it holds, routes, refuses and counts as the real one does."""

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from chatscale.api.v1alpha1.routing import HoldSpec
from chatscale_contract.server.profiles import Profile
from chatscale_gateway.holding.queue import HoldBudget, HoldQueue
from chatscale_gateway.routing.least_load import choose_least_loaded
from chatscale_gateway.routing.shares import place_cap
from chatscale_simulator.simulation import fleet, hold
from chatscale_simulator.simulation.arrays import FloatArray
from chatscale_simulator.simulation.profiles import SERVERS, ServerProfile
from chatscale_simulator.simulation.result import REQUEST_OUTCOMES, RequestOutcome, RunResult
from chatscale_simulator.simulation.run import WAKE_S, run
from chatscale_simulator.simulation.scenario import GATEWAYS, Routing, Scenario, Track
from chatscale_simulator.simulation.snapshot import ClientColumn, Column, MetricsSnapshot
from chatscale_simulator.simulation.workload import Workload

STEPS, STEP_S = 100, 0.01
SERVICE_S = STEPS * STEP_S
ONE_AT_A_TIME = ServerProfile(
    Profile(c0_ms=1000 * STEP_S, c2_ms_per_token=0.0, c3_ms_per_kv_token=0.0, kv_tokens=10_000, tokens_per_step=512),
    max_sequences=1,
    max_queue=0,
)
"""Each request of STEPS tokens takes SERVICE_S, and no request waits in a replica."""
SMALL = ServerProfile(SERVERS["S"].steps, max_sequences=8)


@dataclass(slots=True)
class Watch:
    """A count for each time, and all snapshots."""

    counts: dict[float, int] = field(default_factory=lambda: {0.0: 2})
    """Replicas from a time in seconds on."""
    period_s: float = 0.5
    reads_live: bool = True
    seen: list[MetricsSnapshot] = field(default_factory=list)

    def decide(self, snapshot: MetricsSnapshot) -> int:
        self.seen.append(snapshot)
        return [count for from_s, count in self.counts.items() if from_s <= snapshot.now_s][-1]


def play(workload: Workload, watch: Watch | None = None, **scenario: Any) -> RunResult:
    given = {"initial_replicas": 2, "max_replicas": 8, "server": SMALL, "startup_s": 5.0, **scenario}
    return run(workload, Scenario(track=Track.NATIVE, routing=Routing.GATEWAY, **given), watch or Watch())


def requests(count: int, within_s: float, seed: int = 3) -> Workload:
    rng = np.random.default_rng(seed)
    return Workload(
        np.sort(rng.uniform(0, within_s, count)), rng.integers(50, 2000, count), rng.integers(1, 300, count)
    )


def equal(arrival_s: FloatArray) -> Workload:
    return Workload(arrival_s, np.full(len(arrival_s), 10), np.full(len(arrival_s), STEPS))


def count_of(result: RunResult, outcome: RequestOutcome) -> int:
    return int((result.outcomes == REQUEST_OUTCOMES.index(outcome)).sum())


def counters(watch: Watch) -> dict[ClientColumn, int]:
    gateway = watch.seen[-1].gateway
    assert gateway is not None
    return {column: int(gateway.counters[column]) for column in ClientColumn}


def test_held_requests_get_the_next_free_replica_in_order_of_arrival() -> None:
    """Two servers and one queue: the recursion of Kiefer and Wolfowitz gives each start."""
    arrival_s = np.cumsum(np.random.default_rng(7).exponential(SERVICE_S / 1.8, 5_000))
    result = play(equal(arrival_s), server=ONE_AT_A_TIME, hold=HoldSpec(timeout_seconds=590))

    free_s, starts_s = [0.0, 0.0], []
    for at_s in arrival_s:
        starts_s.append(max(at_s, min(free_s)))
        free_s[free_s.index(min(free_s))] = starts_s[-1] + SERVICE_S
    np.testing.assert_allclose(result.finish_s - SERVICE_S, starts_s, atol=1e-6)


@pytest.mark.parametrize("slots", [1, 8, 32])
def test_no_replica_has_more_requests_than_its_places(slots: int) -> None:
    watch = Watch({0.0: 2, 20.0: 5, 40.0: 3})
    play(requests(3_000, 60.0), watch, server=ServerProfile(SERVERS["S"].steps, max_sequences=slots))

    on_replicas = [snapshot.samples[:, [Column.WAITING, Column.RUNNING]].sum(axis=1) for snapshot in watch.seen]
    assert max(int(each.max()) for each in on_replicas if len(each)) == place_cap(slots)


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param(HoldSpec(), id="defaults"),
        pytest.param(HoldSpec(max_requests=20), id="few requests"),
        pytest.param(HoldSpec(timeout_seconds=5), id="short deadline"),
        pytest.param(HoldSpec(max_prompt_tokens=4000, timeout_seconds=10), id="few tokens"),
        pytest.param(HoldSpec(max_requests=0), id="no hold"),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_each_request_ends_exactly_once(bounds: HoldSpec, seed: int) -> None:
    watch = Watch({0.0: 2, 20.0: 4, 30.0: 1})
    burst = requests(2_000, 60.0, seed)
    # The last request arrives when all others have ended, so that the last reading has their counts.
    workload = Workload(*(np.append(each, [last]) for each, last in zip(
        (burst.arrival_s, burst.prompt_tokens, burst.output_tokens), (900.0, 1, 1), strict=True
    )))  # fmt: skip
    result = play(workload, watch, hold=bounds, seed=seed)

    served = result.outcomes == REQUEST_OUTCOMES.index(RequestOutcome.SERVED)
    assert count_of(result, RequestOutcome.UNFINISHED) == 0
    np.testing.assert_array_equal(served, ~np.isnan(result.finish_s))
    assert not np.isnan(result.first_token_s[served]).any()
    end, refused = counters(watch), count_of(result, RequestOutcome.REFUSED)
    assert end[ClientColumn.FINISHED] == end[ClientColumn.SENT] == served.sum() - 1
    assert end[ClientColumn.ARRIVED] == 2_000 - refused
    assert end[ClientColumn.REFUSED] == refused + count_of(result, RequestOutcome.TIMED_OUT)


def test_no_request_waits_longer_than_the_hold_timeout() -> None:
    result = play(equal(np.arange(40) * 0.01), server=ONE_AT_A_TIME, hold=HoldSpec(timeout_seconds=5))

    waited_s = result.finish_s - SERVICE_S - result.workload.arrival_s
    assert count_of(result, RequestOutcome.SERVED) == 12
    assert count_of(result, RequestOutcome.TIMED_OUT) == 28
    assert np.nanmax(waited_s) <= 5.0


def test_a_request_beyond_the_bound_is_refused_at_once() -> None:
    result = play(equal(np.zeros(10)), server=ONE_AT_A_TIME, hold=HoldSpec(max_requests=2))

    assert count_of(result, RequestOutcome.SERVED) == 2 + 2 * GATEWAYS
    assert count_of(result, RequestOutcome.REFUSED) == 10 - 2 - 2 * GATEWAYS


def test_a_new_replica_takes_held_requests_when_it_becomes_ready() -> None:
    result = play(equal(np.full(6, 0.1)), Watch({0.0: 5}), server=ONE_AT_A_TIME, startup_s=1.4)

    # Two replicas serve two requests each from 0.1 s on; the others become ready between their first and second.
    created_s = max(pod.created_s for pod in result.pods)
    starts_s = np.sort(result.finish_s - SERVICE_S)
    np.testing.assert_allclose(starts_s[:4], [0.1, 0.1, 1.1, 1.1], atol=1e-6)
    assert starts_s[4:] == pytest.approx(np.full(2, created_s + 1.4), abs=1e-6)


def test_misses_count_from_the_arrival_at_the_gateway() -> None:
    """The replicas start at once what they get, so only the gateway sees that half of the requests are late."""
    watch = Watch()
    play(equal(np.append(np.zeros(12), 60.0)), watch, server=ONE_AT_A_TIME)

    # Two replicas, one request a second each: the seventh and later ones start after 3 s; the limit is 2 s.
    assert watch.seen[-1].total(Column.TTFT_SLOW) == 0
    assert counters(watch)[ClientColumn.SLO_MISSES] == 8
    assert counters(watch)[ClientColumn.WAKE_MISSES] == 0


def test_the_policy_sees_what_the_gateway_holds() -> None:
    watch = Watch()
    play(equal(np.append(np.full(9, 0.25), 60.0)), watch, server=ONE_AT_A_TIME)

    seen = next(snapshot for snapshot in watch.seen if snapshot.now_s > 0.25)
    assert seen.gateway is not None
    assert (seen.gateway.held, seen.gateway.in_flight, seen.gateway.held_prompt_tokens) == (7, 2, 70)
    assert seen.gateway.oldest_held_s == pytest.approx(seen.now_s - 0.25)
    assert int(seen.gateway.counters[ClientColumn.ARRIVED]) == 9


def test_a_request_wakes_a_model_at_zero() -> None:
    watch = Watch({0.0: 2, 5.0: 0, 100.0: 1}, period_s=20.0)
    result = play(equal(np.array([1.0, 100.0, 150.0])), watch, server=ONE_AT_A_TIME, scale_to_zero=True)

    woken = result.counts[-1]
    assert result.counts[1][1] == 0
    assert woken == (pytest.approx(100.0 + WAKE_S), 1)
    assert count_of(result, RequestOutcome.SERVED) == 3
    assert result.first_token_s[1] == pytest.approx(100.0 + WAKE_S + 5.0 + STEP_S, abs=1e-6)
    assert counters(watch)[ClientColumn.WAKE_MISSES] == 1
    assert counters(watch)[ClientColumn.SLO_MISSES] == 0


def test_the_last_request_of_a_trace_wakes_the_model_too() -> None:
    watch = Watch({0.0: 0, 50.0: 1}, period_s=20.0)
    result = play(equal(np.array([50.0])), watch, server=ONE_AT_A_TIME, scale_to_zero=True)

    assert count_of(result, RequestOutcome.SERVED) == 1


@dataclass(frozen=True, slots=True)
class Held:
    """A request as `HoldQueue` sees it."""

    prompt_tokens: int
    body_bytes: int
    priority: int = 0
    owner: str = ""
    """The simulated requests have one key."""


@pytest.mark.parametrize("seed", range(20))
def test_the_bounds_of_the_hold_are_those_of_the_gateway(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bounds = HoldSpec(max_requests=12, max_bytes=40_000, max_prompt_tokens=int(rng.integers(2_000, 20_000)))
    workload = Workload(np.arange(40.0), rng.integers(1, 3_000, 40), np.ones(40, dtype=np.int64))
    # The simulated bounds are those of all gateways, so one gateway is compared with the fraction.
    model = Scenario(routing=Routing.GATEWAY, hold=bounds).model(0.0)
    model = model._replace(
        hold_requests=model.hold_requests // GATEWAYS,
        hold_bytes=model.hold_bytes // GATEWAYS,
        hold_prompt_tokens=model.hold_prompt_tokens // GATEWAYS,
    )
    state = fleet.new_fleet(workload, np.ones(40), 1, model)
    queue: HoldQueue[Held] = HoldQueue(HoldBudget(1 << 40))
    for request, tokens in enumerate(workload.prompt_tokens):
        held = Held(int(tokens), int(tokens) * fleet.BYTES_PER_TOKEN)
        reason = queue.refusal(held, bounds)
        assert hold.fits(state, model, request) == (reason is None), reason
        hold.receive(state, model, 0, request, float(request))
        if reason is None:
            queue.append(held)
    assert state.hold_now[fleet.HELD] == len(queue)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A replica as `choose_least_loaded` sees it."""

    uid: str
    load: int
    slots: int
    free: int


@pytest.mark.parametrize("seed", range(30))
def test_the_choice_of_a_replica_is_that_of_the_gateway(seed: int) -> None:
    """With equal replicas the gateway's choice is a random one of the least loaded, and so is the simulated one."""
    rng = np.random.default_rng(seed)
    rows, slots = 6, 4
    scenario = Scenario(routing=Routing.GATEWAY, server=ServerProfile(SERVERS["S"].steps, max_sequences=slots))
    model = scenario.model(0.0)
    workload = equal(np.zeros(400))
    state = fleet.new_fleet(workload, np.ones(400), rows, model)
    state.status[:] = fleet.READY
    state.due[:] = fleet.FAR_S
    state.n_run[:] = rng.integers(2, slots + 1, rows)
    state.w_len[:] = rng.integers(0, 2, rows) * (state.n_run == slots)
    loads = [int(load) for load in state.n_run + state.w_len]
    candidates = [Candidate(str(row), load, slots, place_cap(slots) - load) for row, load in enumerate(loads)]

    python_rng = random.Random(seed)
    expected = {choose_least_loaded(candidates, python_rng) for _ in range(400)}
    found = {hold.choose(state, model, rows, request, 0.0) for request in range(400)}
    assert found == {-1 if each is None else int(each.uid) for each in expected}
