"""Two workloads of eight minutes that one to about five replicas serve: a burst that nobody announced, and a trace.

Both are made of the excerpts in tests/data/traces, so that requests have the lengths of real ones.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from chatscale_contract.server.profiles import Profile
from chatscale_simulator.inputs.traces import Traffic, load
from chatscale_simulator.simulation.arrays import BoolArray, FloatArray
from chatscale_simulator.simulation.workload import Workload
from hack.paths import ROOT

TRACES: Final = ROOT / "tests" / "data" / "traces"
LENGTH_S: Final = 480.0
_AZURE: Final = TRACES / "azure2023-conv-excerpt.csv.gz"
_SERVEGEN: Final = TRACES / "servegen-mlarge-day10-excerpt.csv.gz"
_BURST_RPS: Final = ((0.0, 0.6), (60.0, 0.6), (120.0, 2.4), (210.0, 2.4), (240.0, 0.6), (LENGTH_S, 0.6))
"""(second, requests per second), straight between: a sale's hour in a few minutes."""
_SERVEGEN_SHARE: Final = 5
"""Of so many requests one is sent: six replicas of eight slots serve no more."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One workload and its name."""

    name: str
    told: str
    """What it is, for the page."""
    workload: Workload


def replayed(profile: Profile) -> tuple[Replayed, ...]:
    """Make both workloads. Requests that are longer than the model's context are left out."""
    return (
        Replayed(
            "burst",
            f"{_BURST_RPS[0][1]:g} requests a second, four times that from second 120 to 210 after a minute's rise, "
            "and back within half a minute; each moved at random within its gap. Lengths: the Azure 2023 conversation "
            "trace, in its order",
            _fitting(_burst(_read(_AZURE)), profile),
        ),
        Replayed(
            "trace",
            f"The first {LENGTH_S / 60:g} minutes of the ServeGen excerpt, every {_SERVEGEN_SHARE}th request: the rate "
            "doubles in the third minute and stays",
            _fitting(_every(_read(_SERVEGEN), _SERVEGEN_SHARE), profile),
        ),
    )


def prompt(number: int, tokens: int) -> str:
    """Write a prompt of its own, of `tokens` tokens as the Simulated engine counts them, role marks included.

    Four letters a token, four tokens for the role. It begins with its number: no two share their first tokens.
    """
    words = [f"{number % 10_000:04d}", f"{number // 10_000:04d}"]
    return " ".join([*words, *["word"] * max(tokens - 4 - len(words), 0)][: max(tokens - 4, 1)])


def first(workload: Workload, seconds: float) -> Workload:
    """The requests of the first `seconds`."""
    return _only(workload, workload.arrival_s < seconds)


def _read(path: Path) -> Workload:
    return load(Traffic(path), seed=0)


def _burst(lengths: Workload) -> Workload:
    seconds, rates = np.array(_BURST_RPS).T
    clock_s = np.arange(0.0, LENGTH_S, 0.1)
    due: FloatArray = np.cumsum(np.interp(clock_s, seconds, rates)) * 0.1
    count = int(due[-1])
    moved = np.arange(count) + np.random.default_rng(0).uniform(0.0, 1.0, count)
    arrival_s: FloatArray = np.interp(moved, due, clock_s)
    return Workload(arrival_s, lengths.prompt_tokens[:count], lengths.output_tokens[:count])


def _every(workload: Workload, share: int) -> Workload:
    number = np.arange(len(workload.arrival_s))
    return _only(workload, (workload.arrival_s < LENGTH_S) & (number % share == 0))


def _fitting(workload: Workload, profile: Profile) -> Workload:
    return _only(workload, workload.prompt_tokens + workload.output_tokens <= profile.max_model_len)


def _only(workload: Workload, kept: BoolArray) -> Workload:
    return Workload(workload.arrival_s[kept], workload.prompt_tokens[kept], workload.output_tokens[kept])
