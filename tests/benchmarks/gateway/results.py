"""All results of one run, as the JSON file beside the page, and the goals."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.gateway.capacity import DISCONNECTS, HELD, OPEN_STREAMS, STOP_WITHIN_S, Capacity
from tests.benchmarks.gateway.costs import ALONE, BUSY, STREAMS, Cost, Costs
from tests.benchmarks.gateway.fairness import Fairness
from tests.benchmarks.gateway.kind_results import KindFairness, restored
from tests.benchmarks.gateway.limits import BAD_KEYS_PER_MINUTE, Limits
from tests.benchmarks.gateway.metering import Metering
from tests.benchmarks.gateway.peers import GATEWAY
from tests.benchmarks.gateway.prefixes import Routed

ONE_GATEWAY: Final = "PrefixHash, one gateway"
TWO_GATEWAYS: Final = "PrefixHash, two gateways"
_LIMIT_TOLERANCE: Final = 0.05
_USAGE_TOLERANCE: Final = 0.01
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
    limits: Limits | None
    """None in results of a version that did not measure it."""
    fairness: Fairness | None
    """None in results of a version that did not measure it."""
    metering: Metering | None = None
    """None in results of a version that did not measure it."""
    keys_measured: str = ""
    """Date and revision of `limits`, `fairness` and `metering`, which can be measured by themselves."""
    kind: KindFairness | None = None
    """None in results without a run on the kind cluster; a run of the other parts keeps it."""


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
        *_key_goals(results),
    ]


def _key_goals(results: Results) -> list[Goal]:
    found: list[Goal] = []
    if limits := results.limits:
        name, share = "output tokens of a limited key over two gateways, of those allowed", limits.used_share
        found.append(Goal(name, "95 % to 105 %", f"{share:.1%}", abs(share - 1) <= _LIMIT_TOLERANCE))
        name = f"latency with a good key beside {BAD_KEYS_PER_MINUTE:,} bad keys per minute"
        found.append(_at_most(name, 1.1, limits.slowed, "x"))
    if fairness := results.fairness:
        name = "p99 TTFT of a live key beside 10 times its load in batch, virtual time"
        found.append(_at_most(name, 1.1, 1 + fairness.growth(), "x"))
    if metering := results.metering:
        name, error = "error of usage by key in metrics and log, with cancels", metering.largest_error
        found.append(Goal(name, "<= 1 %", f"{error:.2%}", error <= _USAGE_TOLERANCE))
    return found


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
        limits=Limits(**found["limits"]) if found.get("limits") else None,
        fairness=Fairness(**found["fairness"]) if found.get("fairness") else None,
        metering=Metering(**found["metering"]) if found.get("metering") else None,
        keys_measured=found.get("keys_measured", ""),
        kind=restored(found["kind"]) if found.get("kind") else None,
    )


def _at_most(name: str, limit: float, found: float, unit: str, rounds: Sequence[float] = ()) -> Goal:
    spread = f" ({min(rounds):.2f} to {max(rounds):.2f})" if rounds else ""
    return Goal(name, f"<= {limit:g}{unit}", f"{found:.2f}{unit}{spread}", found <= limit)


def _at_least(name: str, limit: float, found: float, unit: str) -> Goal:
    return Goal(name, f">= {limit:g}{unit}", f"{found:.2f}{unit}", found >= limit)


def _count(name: str, wanted: int, found: int) -> Goal:
    return Goal(name, f"{wanted:,}", f"{found:,}", found == wanted)
