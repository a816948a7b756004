"""The capacity of one replica in the simulator, beside the rough capacities of its design note."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from chatscale_contract.server.environment import SimulatedProfile
from chatscale_contract.server.profiles import PROFILES
from chatscale_simulator.inputs.traces import Traffic, load
from chatscale_simulator.simulation.profiles import ServerProfile, SloTarget
from chatscale_simulator.simulation.run import run
from chatscale_simulator.simulation.scenario import Scenario, Track
from chatscale_simulator.simulation.score import within_slo
from chatscale_simulator.simulation.snapshot import MetricsSnapshot
from chatscale_simulator.simulation.workload import Workload

SHARE: Final = 0.99
"""Share of requests within the SLO. Below it a rate is too high."""
NOISE: Final = 0.10
"""Search noise of the note's numbers, as the note states it."""
LENGTH_S: Final = 1800.0
HALVINGS: Final = 10
WIDEST: Final = 8.0
"""The search covers the note's rate divided and multiplied by this: ten halvings of 64 are steps of 0.4 %."""
SLOS: Final = {"2 s / 100 ms": SloTarget(2.0, 0.1, 3.0), "0.5 s / 50 ms": SloTarget(0.5, 0.05, 3.0)}
SERVERS: Final = {
    "8B A100": ServerProfile(PROFILES[SimulatedProfile.LLAMA_8B_A100], max_sequences=256),
    "8B H100": ServerProfile(PROFILES[SimulatedProfile.LLAMA_8B_H100], max_sequences=256),
    "8B A10G": ServerProfile(PROFILES[SimulatedProfile.LLAMA_8B_A10G], max_sequences=128),
    "70B 4xH100": ServerProfile(PROFILES[SimulatedProfile.LLAMA_70B_4XH100], max_sequences=256),
}
ROUGH_70B: Final = "70B, note's line"
"""The note has its 70B numbers from a straight line of slope 0.15, not from the table that it recommends."""
_LINE = replace(PROFILES[SimulatedProfile.LLAMA_70B_4XH100], table_ms=(), c0_ms=29.4, c1_ms_per_token=0.15)
NOTED: Final = {
    ("azure2023-conv", "2 s / 100 ms"): (6.4, 20.0, 0.75, 1.6),
    ("azure2023-conv", "0.5 s / 50 ms"): (3.4, 18.6, 0.11, 0.14),
    ("servegen-mlarge-day10", "2 s / 100 ms"): (7.3, 25.0, 0.34, 0.83),
    ("servegen-mlarge-day10", "0.5 s / 50 ms"): (2.1, 17.0, 0.12, 0.23),
}
"""Requests per second that one replica can serve, in the order of SERVERS."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """One number of the simulator, beside the note's."""

    mix: str
    slo: str
    server: str
    noted_rps: float
    found_rps: float

    @property
    def off(self) -> float:
        """Relative difference."""
        return self.found_rps / self.noted_rps - 1


class _One:
    """A fixed count of one replica."""

    period_s = 60.0
    reads_live = True

    def decide(self, snapshot: MetricsSnapshot) -> int:  # noqa: ARG002 - the count is fixed
        return 1


def capacities(excerpts: Path) -> Iterator[Capacity]:
    """Search all capacities; a minute or two of one core. excerpts: folder of the traces in this repository."""
    for (mix, slo), noted in NOTED.items():
        lengths = load(Traffic(excerpts / f"{mix}-excerpt.csv.gz"), 0)
        for (name, server), rps in zip(SERVERS.items(), noted, strict=True):
            yield Capacity(mix, slo, name, rps, capacity(lengths, server, SLOS[slo], rps))
        rough = ServerProfile(_LINE, max_sequences=256)
        yield Capacity(mix, slo, ROUGH_70B, noted[-1], capacity(lengths, rough, SLOS[slo], noted[-1]))


def capacity(lengths: Workload, server: ServerProfile, slo: SloTarget, near_rps: float) -> float:
    """Bisect the highest Poisson rate that one replica serves within the SLO, with lengths from a trace."""
    low, high = near_rps / WIDEST, near_rps * WIDEST
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if _kept(lengths, server, slo, middle) >= SHARE else (low, middle)
    return float((low * high) ** 0.5)


def _kept(lengths: Workload, server: ServerProfile, slo: SloTarget, rps: float) -> float:
    # The same gaps and lengths at every rate: what is searched changes by its rate alone. A slow server needs longer.
    rng = np.random.default_rng(11)
    count = max(2000, int(LENGTH_S * rps))
    at = rng.integers(0, len(lengths.arrival_s), count)
    arrival_s = np.cumsum(rng.exponential(1.0, count)) / rps
    workload = Workload(arrival_s, lengths.prompt_tokens[at], lengths.output_tokens[at])
    scenario = Scenario(track=Track.NATIVE, server=server, slo=slo, max_replicas=1, scrape_loss=0.0, outage=False)
    return float(within_slo(run(workload, scenario, _One()), slo).mean())
