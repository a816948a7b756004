"""All results of one run, as the JSON file beside the page, and the goals."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.gateway.capacity import DISCONNECTS, HELD, OPEN_STREAMS, STOP_WITHIN_S, Capacity
from tests.benchmarks.gateway.costs import ALONE, BUSY, STREAMS, Cost, Costs
from tests.benchmarks.gateway.peers import GATEWAY
from tests.benchmarks.gateway.prefixes import Routed

ONE_GATEWAY: Final = "PrefixHash, one gateway"
TWO_GATEWAYS: Final = "PrefixHash, two gateways"
LEAST_LOAD: Final = "LeastLoad, two gateways"


@dataclass(frozen=True, slots=True)
class Results:
    """One run."""

    date: str
    revision: str
    machine: str
    load_average: tuple[float, float]
    """Of the machine, before and after the run."""
    costs: Costs
    missing: Mapping[str, str]
    """Peers that were not measured, with the reason."""
    capacity: Capacity
    routed: Mapping[str, Routed]


@dataclass(frozen=True, slots=True)
class Goal:
    """A row of the page."""

    name: str
    wanted: str
    found: str
    reached: bool


def goals(results: Results) -> list[Goal]:
    """All goals."""
    costs, capacity = results.costs, results.capacity
    one, two = results.routed[ONE_GATEWAY], results.routed[TWO_GATEWAYS]
    streams = f"memory with {OPEN_STREAMS:,} open streams"
    stopped = f"disconnects that stop the replica's work within {STOP_WITHIN_S:g} s"
    return [
        _at_most(
            "CPU time per request over the bare proxy, answers",
            1.3,
            costs.cpu_ratio(BUSY, GATEWAY),
            "x",
            costs.cpu_ratios(BUSY, GATEWAY),
        ),
        _at_most(
            "CPU time per request over the bare proxy, streams",
            1.3,
            costs.cpu_ratio(STREAMS, GATEWAY),
            "x",
            costs.cpu_ratios(STREAMS, GATEWAY),
        ),
        _at_most(
            "added p50 latency over the bare proxy, answers",
            1.5,
            costs.added_ratio(ALONE, GATEWAY),
            "x",
            costs.added_ratios(ALONE, GATEWAY),
        ),
        _at_most(
            "added p50 to the first chunk over the bare proxy",
            1.5,
            costs.added_ratio(STREAMS, GATEWAY),
            "x",
            costs.added_ratios(STREAMS, GATEWAY),
        ),
        _at_most(streams, 150, capacity.memory_streams_mib, " MiB"),
        _count("of these streams, complete", OPEN_STREAMS, capacity.streams_complete),
        _at_least("prefix hit rate of two gateways over one", 0.9, two.hit_rate / one.hit_rate, "x"),
        _at_most("requests of the replica with the most over the mean", 1.25, two.requests_max_over_mean, "x"),
        _count("requests held without a pod, answered after one appears", HELD, capacity.held_answered),
        _count(stopped, DISCONNECTS, capacity.disconnects_stopped),
    ]


def save(results: Results, path: Path) -> None:
    """Write the JSON file."""
    path.write_text(json.dumps(asdict(results), indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> Results:
    """Read what `save` wrote."""
    found = json.loads(path.read_text(encoding="utf-8"))
    rounds = {
        name: [{peer: Cost(**cost) for peer, cost in each.items()} for each in rounds]
        for name, rounds in found["costs"]["rounds"].items()
    }
    return Results(
        date=found["date"],
        revision=found["revision"],
        machine=found["machine"],
        load_average=tuple(found["load_average"]),
        costs=Costs(rounds),
        missing=found["missing"],
        capacity=Capacity(**found["capacity"]),
        routed={name: Routed(**each) for name, each in found["routed"].items()},
    )


def _at_most(name: str, limit: float, found: float, unit: str, rounds: Sequence[float] = ()) -> Goal:
    spread = f" ({min(rounds):.2f} to {max(rounds):.2f})" if rounds else ""
    return Goal(name, f"<= {limit:g}{unit}", f"{found:.2f}{unit}{spread}", found <= limit)


def _at_least(name: str, limit: float, found: float, unit: str) -> Goal:
    return Goal(name, f">= {limit:g}{unit}", f"{found:.2f}{unit}", found >= limit)


def _count(name: str, wanted: int, found: int) -> Goal:
    return Goal(name, f"{wanted:,}", f"{found:,}", found == wanted)
