"""The simulator against queueing theory: what a single server must do, whatever it serves."""

import numpy as np
import pytest

from chatscale_contract.server.profiles import Profile
from chatscale_simulator.policies.static import Static, StaticSettings
from chatscale_simulator.simulation.arrays import FloatArray
from chatscale_simulator.simulation.profiles import SERVERS, ServerProfile
from chatscale_simulator.simulation.result import REQUEST_OUTCOMES, RequestOutcome, RunResult
from chatscale_simulator.simulation.run import run
from chatscale_simulator.simulation.scenario import Routing, Scenario, Track
from chatscale_simulator.simulation.snapshot import Column, MetricsSnapshot
from chatscale_simulator.simulation.workload import Workload

STEPS = 100
STEP_S = 0.001
SERVICE_S = STEPS * STEP_S
ONE_AT_A_TIME = ServerProfile(
    Profile(c0_ms=1000 * STEP_S, c2_ms_per_token=0.0, c3_ms_per_kv_token=0.0, kv_tokens=10_000, tokens_per_step=512),
    max_sequences=1,
    max_queue=5000,
    queue_timeout_s=1e9,
)
"""No batches, and each request of STEPS tokens takes SERVICE_S: M/D/1 under Poisson arrivals."""


class Watch:
    """One replica for ever; looks at it every second and remembers how many requests it had."""

    period_s = 1.0
    reads_live = True

    def __init__(self) -> None:
        self.present: list[float] = []

    def decide(self, snapshot: MetricsSnapshot) -> int:
        self.present.append(snapshot.total(Column.WAITING) + snapshot.total(Column.RUNNING))
        return 1


def poisson(
    rate: float, requests: int, prompt: tuple[int, int] = (10, 10), output: tuple[int, int] = (STEPS, STEPS)
) -> Workload:
    """Poisson arrivals; lengths are uniform between two numbers."""
    rng = np.random.default_rng(7)
    arrival_s = np.cumsum(rng.exponential(1 / rate, requests))
    return Workload(
        arrival_s, rng.integers(*prompt, requests, endpoint=True), rng.integers(*output, requests, endpoint=True)
    )


def play(workload: Workload, server: ServerProfile) -> tuple[RunResult, Watch]:
    """On one replica without disturbances."""
    watch = Watch()
    scenario = Scenario(track=Track.NATIVE, server=server, max_replicas=1, scrape_loss=0.0, outage=False)
    return run(workload, scenario, watch), watch


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_queue_waits_match_the_formula_for_one_constant_server(load: float):
    """Pollaczek-Khinchine for a constant service time D: a mean wait of load * D / (2 (1 - load))."""
    result, _ = play(poisson(load / SERVICE_S, 80_000), ONE_AT_A_TIME)
    served = result.outcomes == REQUEST_OUTCOMES.index(RequestOutcome.SERVED)
    wait_s = (result.finish_s - result.workload.arrival_s - SERVICE_S)[served]
    assert wait_s == pytest.approx(one_after_the_other(result.workload.arrival_s)[served], abs=1e-6)
    assert float(wait_s.mean()) == pytest.approx(load * SERVICE_S / (2 * (1 - load)), rel=0.03)


def test_an_arrival_after_the_last_decision_is_served():
    result, _ = play(Workload(np.array([0.5, 10.95]), np.array([10, 10]), np.array([STEPS, STEPS])), ONE_AT_A_TIME)
    assert (result.outcomes == REQUEST_OUTCOMES.index(RequestOutcome.SERVED)).all()


def test_with_random_routing_each_replica_is_a_queue_of_its_own() -> None:
    """A Poisson process that is split by chance is two of them: M/D/1 twice, where a shared queue would wait less."""
    load = 0.6
    scenario = Scenario(
        server=ONE_AT_A_TIME, initial_replicas=2, max_replicas=2, scrape_loss=0.0, outage=False, routing=Routing.SERVICE
    )
    result = run(poisson(2 * load / SERVICE_S, 80_000), scenario, Static(StaticSettings(replicas=2)))
    wait_s = result.finish_s - result.workload.arrival_s - SERVICE_S
    assert float(np.nanmean(wait_s)) == pytest.approx(load * SERVICE_S / (2 * (1 - load)), rel=0.03)


def one_after_the_other(arrival_s: FloatArray) -> FloatArray:
    """Lindley's recursion: the wait of each, by when the one before it is through."""
    waits_s, free_s = np.zeros(len(arrival_s)), 0.0
    for at, arrived_s in enumerate(arrival_s):
        waits_s[at] = max(0.0, free_s - arrived_s)
        free_s = max(arrived_s, free_s) + SERVICE_S
    return waits_s


@pytest.mark.parametrize(
    ("server", "workload"),
    [
        pytest.param(ONE_AT_A_TIME, poisson(8.0, 50_000), id="one at a time"),
        pytest.param(SERVERS["S"], poisson(5.0, 20_000, (100, 2000), (50, 500)), id="batches"),
        pytest.param(SERVERS["M"], poisson(1.5, 10_000, (100, 2000), (50, 500)), id="large batches"),
    ],
)
def test_requests_in_flight_match_littles_law(server: ServerProfile, workload: Workload):
    """Little's law, between what the metrics show and what customers waited; metrics lead by a part of a step."""
    result, watch = play(workload, server)
    stay_s = float(np.nanmean(result.finish_s - workload.arrival_s))
    rate = len(workload.arrival_s) / workload.duration_s
    assert float(np.mean(watch.present)) == pytest.approx(rate * stay_s, rel=0.02)


def test_a_request_alone_takes_the_sum_of_its_steps():
    server = SERVERS["S"]
    result, _ = play(Workload(np.array([3.0, 60.0]), np.array([5000, 1]), np.array([4, 1])), server)
    step = server.steps.step_ms
    first_s = (2 * step(2048, 0) + step(904, 0)) / 1000
    assert result.first_token_s[0] == pytest.approx(3.0 + first_s)
    assert result.finish_s[0] == pytest.approx(3.0 + first_s + sum(step(1, 5000 + at) for at in range(3)) / 1000)
