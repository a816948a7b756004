"""The flash crowds of the benchmark: synthetic workloads with one step of the arrival rate."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

import numpy as np

from chatscale_contract.server.environment import SimulatedProfile
from chatscale_contract.server.profiles import PROFILES
from chatscale_simulator.policies.static import Static, StaticSettings
from chatscale_simulator.simulation.arrays import FloatArray
from chatscale_simulator.simulation.profiles import ServerProfile
from chatscale_simulator.simulation.run import run
from chatscale_simulator.simulation.scenario import Scenario
from chatscale_simulator.simulation.workload import Workload

PROFILE_NAMES: Final = (SimulatedProfile.LLAMA_8B_A10G, SimulatedProfile.SMOLLM2_135M_CPU)
SLOTS: Final = (8, 32, 64)
FACTORS: Final = (2, 5, 10, 30)
STARTUPS_S: Final = (5, 30, 80, 295)
MAIN_SLOTS: Final = 8
"""The fewest, where slots bind soonest. All factors and startup times are run with it."""
OTHER_FACTORS: Final = (5, 30)
OTHER_STARTUP_S: Final = 30
"""Of the servers with other slots."""
LOW_LOAD: Final = 0.5
"""The low level, as a share of what one replica serves at most."""
MAX_QUEUE: Final = 64
"""The default of spec.server.maxQueue."""
_IDLE_S: Final = 75.0
_LOW_S: Final = 300.0
_PROMPT: Final = (100, 301)
_ANSWER: Final = (50, 151)
_PROBE_S: Final = 90.0


class Level(StrEnum):
    """The load before the crowd."""

    IDLE = "idle"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Scene:
    """One flash crowd on one server."""

    profile: SimulatedProfile
    slots: int
    level: Level
    factor: int
    """Arrival rate in the crowd, as a multiple of the low level."""
    startup_s: int

    @property
    def server(self) -> ServerProfile:
        """What each replica runs."""
        return ServerProfile(PROFILES[self.profile], max_sequences=self.slots, max_queue=MAX_QUEUE)

    @property
    def begins_s(self) -> float:
        """When the crowd arrives."""
        return _IDLE_S if self.level is Level.IDLE else _LOW_S

    @property
    def lasts_s(self) -> float:
        """How long it stays: two startup times and two minutes."""
        return 120.0 + 2 * self.startup_s

    def workload(self, seed: int) -> Workload:
        """The requests: Poisson arrivals, prompts of 100 to 300 tokens, answers of 50 to 150."""
        rng = np.random.default_rng((seed, 0xC0))
        low_rps = LOW_LOAD * capacity_rps(self.profile, self.slots)
        before = np.zeros(0) if self.level is Level.IDLE else _arrivals(rng, low_rps, 0.0, self.begins_s)
        crowd = _arrivals(rng, low_rps * self.factor, self.begins_s, self.lasts_s)
        return _with_lengths(rng, np.concatenate([before, crowd]))


@cache
def capacity_rps(profile: SimulatedProfile, slots: int) -> float:
    """Requests per second that one replica finishes under overload, simulated."""
    server = ServerProfile(PROFILES[profile], max_sequences=slots, max_queue=MAX_QUEUE)
    rng = np.random.default_rng(0)
    workload = _with_lengths(rng, _arrivals(rng, 60.0, 0.0, _PROBE_S))
    result = run(workload, Scenario(server=server, outage=False, max_replicas=1), Static(StaticSettings(replicas=1)))
    inside = (result.finish_s > _PROBE_S / 3) & (result.finish_s <= _PROBE_S)
    return float(inside.sum() / (_PROBE_S * 2 / 3))


def all_scenes() -> Iterator[Scene]:
    """Everything with MAIN_SLOTS, and a part with the other slots."""
    for profile in PROFILE_NAMES:
        for level in Level:
            for factor in FACTORS:
                for startup_s in STARTUPS_S:
                    yield Scene(profile, MAIN_SLOTS, level, factor, startup_s)
            for slots in SLOTS:
                for factor in OTHER_FACTORS:
                    if slots != MAIN_SLOTS:
                        yield Scene(profile, slots, level, factor, OTHER_STARTUP_S)


def _arrivals(rng: np.random.Generator, rps: float, begins_s: float, lasts_s: float) -> FloatArray:
    count = int(rng.poisson(rps * lasts_s))
    times: FloatArray = begins_s + np.sort(rng.uniform(0, lasts_s, count))
    return times


def _with_lengths(rng: np.random.Generator, arrival_s: FloatArray) -> Workload:
    prompt, answer = (rng.integers(*bounds, len(arrival_s), dtype=np.int64) for bounds in (_PROMPT, _ANSWER))
    return Workload(arrival_s, prompt, answer)
