"""One run: a workload, replicas and a policy, from the first arrival until the last answer.

A seed gives every policy the same cold starts, scrape times, failed scrapes and outage, so that the runs of two
policies can be compared in pairs.
"""

from typing import Final

import numpy as np

from chatscale_simulator.simulation import fleet, kernel
from chatscale_simulator.simulation.policy import Policy
from chatscale_simulator.simulation.profiles import decode_step_seconds, max_tokens_per_second, unloaded_ttft_seconds
from chatscale_simulator.simulation.replicas import gauge
from chatscale_simulator.simulation.result import PodLifetime, RunResult
from chatscale_simulator.simulation.scenario import SCRAPE_INTERVAL_S, Routing, Scenario, Track
from chatscale_simulator.simulation.snapshot import GatewayReading, MetricsSnapshot
from chatscale_simulator.simulation.workload import Workload

_ROWS: Final = 256
"""Initial number of rows for pods, draining ones included. It doubles when all are in use."""
DRAIN_LIMIT_S: Final = 3600.0
"""A run ends when all requests are answered, at the latest this long after the last arrival."""

WAKE_S: Final = 1.0
"""From the first held request of a model at 0 replicas to the operator's decision, at most."""


class Simulation:
    """The pods of one run and its clock."""

    def __init__(self, workload: Workload, scenario: Scenario) -> None:
        self.scenario = scenario
        self._model = scenario.model(workload.duration_s)
        server = scenario.replica
        limit_s = scenario.slo.ttft_limit_s(unloaded_ttft_seconds(server, workload.prompt_tokens))
        self._fleet = fleet.new_fleet(workload, limit_s, _ROWS, self._model)
        self._max_tokens_per_second = max_tokens_per_second(server)
        self._decode_step_s = decode_step_seconds(server)
        self._lifetimes: dict[int, PodLifetime] = {}
        self._created: dict[int, float] = {}
        self.now_s = 0.0
        self.desired = scenario.initial_replicas
        for _ in range(scenario.initial_replicas):
            self._create(ready_s=0.0)
        kernel.run_until(self._fleet, self._model, 1e-9)

    def advance(self, until_s: float) -> None:
        """Simulate up to `until_s`."""
        kernel.run_until(self._fleet, self._model, until_s)
        self.now_s = until_s
        self._record_gone()

    def scale(self, replicas: int) -> None:
        """Create or delete pods until `replicas` of them are starting or ready, within the bounds."""
        lowest = 0 if self.scenario.scale_to_zero and replicas == 0 else self.scenario.min_replicas
        self.desired = min(max(replicas, lowest), self.scenario.max_replicas)
        alive = np.flatnonzero((self._fleet.status == fleet.STARTING) | (self._fleet.status == fleet.READY))
        for _ in range(self.desired - len(alive)):
            self._create(self.now_s + self.scenario.cold_start_s(len(self._created)))
        if len(alive) > self.desired:
            # Kubernetes' order (ReplicaSet controller): not ready before ready, then the youngest first.
            order = sorted(alive, key=lambda r: (self._fleet.status[r] == fleet.READY, -self._fleet.ready_at[r]))
            for row in order[: len(alive) - self.desired]:
                self._delete(int(row))

    def snapshot(self, *, live: bool) -> MetricsSnapshot:
        """The metrics as of the last scrapes; `live` reads every ready pod now."""
        f = self._fleet
        starting = np.flatnonzero(f.status == fleet.STARTING)
        ready = np.flatnonzero(f.status == fleet.READY)
        if live:
            for row in ready:
                gauge(f, int(row))
            fresh, samples, age_s = np.ones(len(ready), dtype=np.bool_), f.now[ready], np.zeros(len(ready))
        else:
            fresh, samples, age_s = f.fresh[ready], f.sample[ready], self.now_s - f.sampled_at[ready]
        return MetricsSnapshot(
            now_s=self.now_s,
            desired=self.desired,
            starting=len(starting),
            pods=f.number[ready],
            ready_since_s=f.ready_at[ready],
            fresh=fresh,
            age_s=age_s,
            samples=samples,
            kv_capacity_tokens=self._model.kv_capacity,
            max_sequences=self._model.max_sequences,
            max_tokens_per_second=self._max_tokens_per_second,
            max_tokens_per_step=self._model.tokens_per_step,
            decode_step_s=self._decode_step_s,
            created_s=np.array([self._created[int(f.number[row])] for row in ready]),
            starting_since_s=np.array([self._created[int(f.number[row])] for row in starting]),
            gateway=self._gateway() if self.scenario.routing is Routing.GATEWAY else None,
        )

    def _gateway(self) -> GatewayReading:
        """What the gateway reports now."""
        f = self._fleet
        oldest = f.hold[f.hold_now[fleet.HEAD]]
        return GatewayReading(
            held=self.held,
            held_prompt_tokens=int(f.hold_now[fleet.HELD_PROMPT_TOKENS]),
            in_flight=int((f.n_run + f.w_len).sum()),
            oldest_held_s=self.now_s - float(f.arrival[oldest]) if self.held else 0.0,
            counters=f.clients.copy(),
        )

    @property
    def held(self) -> int:
        """Requests that the gateway holds."""
        return int(self._fleet.hold_now[fleet.HELD])

    @property
    def wakes_at_s(self) -> float | None:
        """When the gateway makes the policy decide, because it begins to hold requests for a model at 0 replicas.

        None if it does not: requests wait already, or none is to come.
        """
        f = self._fleet
        if self.desired > 0 or self.held or self.scenario.routing is not Routing.GATEWAY:
            return None
        following = int(f.cursor[0])
        return float(f.arrival[following]) + WAKE_S if following < len(f.arrival) else None

    @property
    def saturated(self) -> bool:
        """Whether a request waits on every ready replica, or in the gateway for any of them."""
        if self.held:
            return True
        ready = self._fleet.status == fleet.READY
        return bool(ready.any()) and bool((self._fleet.w_len[ready] > 0).all())

    @property
    def busy(self) -> bool:
        """Whether an admitted request is unfinished."""
        return self.held > 0 or bool((self._fleet.n_run + self._fleet.w_len).any())

    def result(self, workload: Workload, counts: list[tuple[float, int]], saturated_s: float) -> RunResult:
        """End all pods and return the result."""
        f = self._fleet
        for row in np.flatnonzero((f.status != fleet.EMPTY) & (f.status != fleet.GONE)):
            self._end(int(row), self.now_s)
        return RunResult(
            workload=workload,
            outcomes=f.outcome,
            first_token_s=f.first,
            finish_s=f.finish,
            unloaded_ttft_s=unloaded_ttft_seconds(self.scenario.replica, workload.prompt_tokens),
            pods=tuple(self._lifetimes[number] for number in sorted(self._lifetimes)),
            counts=tuple(counts),
            saturated_s=saturated_s,
            end_s=self.now_s,
        )

    def _create(self, ready_s: float) -> None:
        row = self._free_row()
        f = self._fleet
        number = len(self._created)
        self._created[number] = self.now_s
        for column in (f.steps, f.n_run, f.n_dec, f.next_fin, f.kv_dec, f.kv_all, f.w_head, f.w_len, f.scrapes):
            column[row] = 0
        f.now[row], f.sample[row], f.fresh[row], f.sampled_at[row] = 0.0, 0.0, False, -fleet.FAR_S
        f.number[row], f.status[row], f.ready_at[row] = number, fleet.STARTING, ready_s
        f.cursor[1] = max(int(f.cursor[1]), row + 1)

    def _free_row(self) -> int:
        status = self._fleet.status
        free = np.flatnonzero((status == fleet.EMPTY) | (status == fleet.GONE))
        if len(free):
            return int(free[0])
        self._fleet = fleet.with_rows(self._fleet, len(status), self._model)
        return len(status)

    def _delete(self, row: int) -> None:
        f = self._fleet
        if f.status[row] == fleet.STARTING:
            f.status[row] = fleet.GONE
            self._end(row, self.now_s)
        else:
            f.status[row] = fleet.DRAINING

    def _record_gone(self) -> None:
        f = self._fleet
        for row in np.flatnonzero(f.status[: f.cursor[1]] == fleet.GONE):
            if int(f.number[row]) not in self._lifetimes:
                self._end(int(row), max(float(f.ended[row]), float(f.ready_at[row])))

    def _end(self, row: int, at_s: float) -> None:
        f, number = self._fleet, int(self._fleet.number[row])
        was_ready = f.status[row] in (fleet.READY, fleet.DRAINING) or f.ready_at[row] <= at_s
        ready_s = float(f.ready_at[row]) if was_ready else None
        self._lifetimes[number] = PodLifetime(number, self._created[number], ready_s, at_s)


def run(workload: Workload, scenario: Scenario, policy: Policy) -> RunResult:
    """Simulate the workload with the policy."""
    native = scenario.track is Track.NATIVE
    period_s = policy.period_s if native else SCRAPE_INTERVAL_S
    live = native and policy.reads_live
    # The offset of the policy's decisions from the scrapes.
    next_s = float(np.random.default_rng((scenario.seed, 0x9A5E)).uniform(0, period_s))
    simulation = Simulation(workload, scenario)
    counts, saturated_s = [(0.0, simulation.desired)], 0.0
    end_s = workload.duration_s
    while next_s < end_s or (simulation.busy and next_s < end_s + DRAIN_LIMIT_S) or simulation.wakes_at_s is not None:
        wakes_at_s = simulation.wakes_at_s
        is_wake = wakes_at_s is not None and wakes_at_s < next_s
        simulation.advance(next_s if wakes_at_s is None else min(next_s, wakes_at_s))
        if simulation.saturated and not is_wake:
            saturated_s += period_s
        if simulation.now_s < end_s or (simulation.desired == 0 and simulation.held):
            before = simulation.desired
            simulation.scale(policy.decide(simulation.snapshot(live=live)))
            if simulation.desired != before:
                counts.append((simulation.now_s, simulation.desired))
        if not is_wake:
            next_s += period_s
    simulation.advance(max(end_s, simulation.now_s) + 1e-6)
    while simulation.busy and simulation.now_s < end_s + DRAIN_LIMIT_S:
        # Requests that arrived after the last decision, when no other request was in flight.
        simulation.advance(simulation.now_s + period_s)
    return simulation.result(workload, counts, saturated_s)
