"""One run: a workload, replicas and a policy, from the first arrival until the last answer.

The same seed gives the same start-up draws, scrape phases, losses and outage to every policy, so that runs of two
policies can be compared in pairs.
"""

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from chatscale_simulator.simulation import fleet, kernel
from chatscale_simulator.simulation.outcome import ColdStart, Outcome, PodLife, Track, Workload
from chatscale_simulator.simulation.profiles import (
    SERVERS,
    ServerProfile,
    SloTarget,
    base_seconds,
    max_tokens_per_second,
    unloaded_ttft_seconds,
)
from chatscale_simulator.simulation.view import Policy, View

SCRAPE_EVERY_S: Final = 15.0
SCRAPE_LOSS: Final = 0.02
OUTAGE_S: Final = 120.0
"""Once in a run nothing is scraped for this long."""
SCHEDULING_S: Final = 2.0
"""From creation until a pod is on a node."""
COLD_STARTS: Final = {ColdStart.FAST: (30.0, 45.0), ColdStart.CACHED: (80.0, 130.0), ColdStart.COLD: (295.0, 420.0)}
"""Median and 95th percentile in seconds of a lognormal draw."""
_Z95: Final = 1.6448536269514722
_ROWS: Final = 256
"""Pods that there is room for at first, draining ones included; doubled when they are all there."""
DRAIN_LIMIT_S: Final = 3600.0
"""A run ends when all is served, at the latest this long after the last arrival."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything about a run but its workload and its policy."""

    profile: str = "M"
    """A key of SERVERS."""
    cold_start: ColdStart = ColdStart.CACHED
    track: Track = Track.EQUAL
    seed: int = 0
    min_replicas: int = 1
    max_replicas: int = 64
    initial_replicas: int = 1
    slo: SloTarget = field(default_factory=SloTarget)
    scrape_loss: float = SCRAPE_LOSS
    outage: bool = True
    at_random: bool = False
    """A request goes to any ready replica, as through a Service, and not to the one with the fewest requests."""
    server: ServerProfile | None = None
    """Instead of the profile's; for validation."""

    def model(self, duration_s: float) -> fleet.Model:
        """The kernel's constants."""
        server = self.server or SERVERS[self.profile]
        dice = np.random.default_rng((self.seed, 0x0FF))
        start_s = float(dice.uniform(0.2, 0.8)) * duration_s if self.outage else fleet.FAR_S
        return fleet.Model(
            base_s=base_seconds(server),
            kv_s=server.steps.c3_ms_per_kv_token / 1000,
            kv_capacity=server.steps.kv_tokens,
            tokens_per_step=server.steps.tokens_per_step,
            max_sequences=server.max_sequences,
            max_queue=server.max_queue,
            queue_timeout_s=server.queue_timeout_s,
            slow_tpot_s=self.slo.tpot_s,
            scrape_every_s=SCRAPE_EVERY_S,
            scrape_loss=self.scrape_loss,
            outage_start_s=start_s,
            outage_end_s=start_s + OUTAGE_S,
            seed=self.seed,
            at_random=self.at_random,
        )

    def start_up_s(self, pod: int) -> float:
        """From creation to ready; the first replicas of a run are there already."""
        median, p95 = COLD_STARTS[self.cold_start]
        sigma = math.log(p95 / median) / _Z95
        dice = np.random.default_rng((self.seed, 0xC01D, pod))
        return SCHEDULING_S + median * math.exp(sigma * float(dice.standard_normal()))


class Run:
    """The pods of one run and the clock; `step` it from decision to decision."""

    def __init__(self, workload: Workload, scenario: Scenario) -> None:
        self.scenario = scenario
        self._model = scenario.model(workload.duration_s)
        server, slo = scenario.server or SERVERS[scenario.profile], scenario.slo
        limit_s = slo.ttft_limit_s(unloaded_ttft_seconds(server, workload.prompt_tokens))
        self._fleet = fleet.new_fleet(workload, limit_s, _ROWS, self._model)
        self._max_tokens_per_second = max_tokens_per_second(server)
        self._lives: dict[int, PodLife] = {}
        self._created: dict[int, float] = {}
        self.now_s = 0.0
        self.desired = scenario.initial_replicas
        for _ in range(scenario.initial_replicas):
            self._create(ready_s=0.0)
        kernel.run_until(self._fleet, self._model, 1e-9)

    def advance(self, until_s: float) -> None:
        """Play everything up to `until_s`."""
        kernel.run_until(self._fleet, self._model, until_s)
        self.now_s = until_s
        self._bury()

    def scale(self, wanted: int) -> None:
        """Create or delete pods so that `wanted` of them are neither gone nor draining."""
        self.desired = min(max(wanted, self.scenario.min_replicas), self.scenario.max_replicas)
        alive = np.flatnonzero((self._fleet.status == fleet.STARTING) | (self._fleet.status == fleet.READY))
        for _ in range(self.desired - len(alive)):
            self._create(self.now_s + self.scenario.start_up_s(len(self._created)))
        if len(alive) > self.desired:
            # Kubernetes' order (ReplicaSet controller): not ready before ready, then the youngest first.
            order = sorted(alive, key=lambda r: (self._fleet.status[r] == fleet.READY, -self._fleet.ready_at[r]))
            for row in order[: len(alive) - self.desired]:
                self._delete(int(row))

    def view(self, *, direct: bool) -> View:
        """The signal path's picture of now; `direct` reads every ready pod at this instant."""
        f = self._fleet
        starting = np.flatnonzero(f.status == fleet.STARTING)
        ready = np.flatnonzero(f.status == fleet.READY)
        if direct:
            for row in ready:
                kernel.gauge(f, int(row))
            fresh, samples, age_s = np.ones(len(ready), dtype=np.bool_), f.now[ready], np.zeros(len(ready))
        else:
            fresh, samples, age_s = f.fresh[ready], f.sample[ready], self.now_s - f.sampled_at[ready]
        return View(
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
            created_s=np.array([self._created[int(f.number[row])] for row in ready]),
            starting_since_s=np.array([self._created[int(f.number[row])] for row in starting]),
        )

    @property
    def saturated(self) -> bool:
        """Whether a request waits on every ready replica."""
        ready = self._fleet.status == fleet.READY
        return bool(ready.any()) and bool((self._fleet.w_len[ready] > 0).all())

    @property
    def busy(self) -> bool:
        """Whether an admitted request is not finished."""
        return bool((self._fleet.n_run + self._fleet.w_len).any())

    def outcome(self, workload: Workload, decided: list[tuple[float, int]], saturated_s: float) -> Outcome:
        """Close the books."""
        f = self._fleet
        for row in np.flatnonzero((f.status != fleet.EMPTY) & (f.status != fleet.GONE)):
            self._end(int(row), self.now_s)
        server = self.scenario.server or SERVERS[self.scenario.profile]
        return Outcome(
            workload=workload,
            fates=f.fate,
            first_token_s=f.first,
            finish_s=f.finish,
            unloaded_ttft_s=unloaded_ttft_seconds(server, workload.prompt_tokens),
            pods=tuple(self._lives[number] for number in sorted(self._lives)),
            decided=tuple(decided),
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

    def _bury(self) -> None:
        f = self._fleet
        for row in np.flatnonzero(f.status[: f.cursor[1]] == fleet.GONE):
            if int(f.number[row]) not in self._lives:
                self._end(int(row), max(float(f.ended[row]), float(f.ready_at[row])))

    def _end(self, row: int, at_s: float) -> None:
        f, number = self._fleet, int(self._fleet.number[row])
        was_ready = f.status[row] in (fleet.READY, fleet.DRAINING) or f.ready_at[row] <= at_s
        ready_s = float(f.ready_at[row]) if was_ready else None
        self._lives[number] = PodLife(number, self._created[number], ready_s, at_s)


def run(workload: Workload, scenario: Scenario, policy: Policy) -> Outcome:
    """Play the workload against the policy."""
    native = scenario.track is Track.NATIVE
    period_s = policy.period_s if native else SCRAPE_EVERY_S
    direct = native and policy.direct
    # The policy's own phase against the scrapes.
    next_s = float(np.random.default_rng((scenario.seed, 0x9A5E)).uniform(0, period_s))
    state = Run(workload, scenario)
    decided, saturated_s = [(0.0, state.desired)], 0.0
    end_s = workload.duration_s
    while next_s < end_s or (state.busy and next_s < end_s + DRAIN_LIMIT_S):
        state.advance(next_s)
        if state.saturated:
            saturated_s += period_s
        if next_s < end_s:
            before = state.desired
            state.scale(policy.decide(state.view(direct=direct)))
            if state.desired != before:
                decided.append((state.now_s, state.desired))
        next_s += period_s
    state.advance(max(end_s, state.now_s) + 1e-6)
    while state.busy and state.now_s < end_s + DRAIN_LIMIT_S:
        # What came in after the last decision, when nothing else was in flight.
        state.advance(state.now_s + period_s)
    return state.outcome(workload, decided, saturated_s)
