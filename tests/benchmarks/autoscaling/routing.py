"""The same traffic through the gateway and through a Service, with Chatscale's default policy and its own metrics.

`python -m tests.benchmarks.autoscaling --set routing` runs it, stores the rows in docs/benchmarks/autoscaling, and
replaces this part of the front page. The other parts of that page need hours.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from chatscale_simulator.inputs.traces import Traffic, load
from chatscale_simulator.jobs import Job, Row
from chatscale_simulator.policies.registry import SHIPPED
from chatscale_simulator.policy_choice import CHATSCALE, PolicyChoice
from chatscale_simulator.simulation.profiles import SERVERS, SloTarget
from chatscale_simulator.simulation.scenario import ColdStart, Routing, Track
from chatscale_simulator.simulation.sizing import capacity_rps, offered_rps
from tests.benchmarks.autoscaling import plan

ROUTINGS: Final = (Routing.SERVICE, Routing.GATEWAY)
HOURS: Final = {"M": 3.0, "S": 1.5}
"""By profile: hours of each trace, the part that changes most. A sample: whole traces would take hours."""
FEW_SLOTS: Final = (8, 32, 64)
FEW_SLOTS_PROFILE: Final = "S"
FEW_SLOTS_TRACES: Final = ("servegen-mlarge-day10", "worldcup98-0630", "mooncake-conversation")
_MEAN_REPLICAS: Final = 5.0
"""Replicas that the load of a track needs on average, as in `plan.FULL_TRACES`."""
_SEED: Final = plan.TUNING_SEED + 1


@dataclass(frozen=True, slots=True)
class Compared:
    """One trace on one machine, through a Service and through the gateway."""

    trace: str
    profile: str
    slots: int
    service: Row
    gateway: Row

    @property
    def cost_ratio(self) -> float:
        """GPU-hours with the gateway over those with a Service."""
        return float(self.gateway["gpu_hours"] / self.service["gpu_hours"])


def jobs(chosen: plan.Set) -> list[Job]:
    """All runs, in pairs that differ only in the routing."""
    chosen = replace(chosen, final_hours=HOURS)
    tracks: list[tuple[Traffic, str, int | None]] = [
        (plan.traffic(chosen, trace, profile), profile, None) for profile in chosen.profiles for trace in chosen.traces
    ]
    for slots in FEW_SLOTS:
        for trace in chosen.traces:
            if trace.name in FEW_SLOTS_TRACES:
                traffic = plan.traffic(chosen, trace, FEW_SLOTS_PROFILE)
                tracks.append((_scaled(traffic, FEW_SLOTS_PROFILE, slots), FEW_SLOTS_PROFILE, slots))
    choice = PolicyChoice(CHATSCALE, SHIPPED)
    return [
        Job(traffic, profile, ColdStart.CACHED, Track.NATIVE, choice, _SEED, routing, slots)
        for traffic, profile, slots in tracks
        for routing in ROUTINGS
    ]


def _scaled(traffic: Traffic, profile: str, slots: int) -> Traffic:
    """The traffic with as many copies as keep _MEAN_REPLICAS with these slots busy; at least one."""
    one = replace(traffic, load_factor=1)
    workload, server = load(one, _SEED), replace(SERVERS[profile], max_sequences=slots)
    needed = float(offered_rps(workload).mean()) / capacity_rps(workload, server, SloTarget())
    return replace(one, load_factor=max(1, round(_MEAN_REPLICAS / needed)))


def compare(rows: Sequence[Row]) -> list[Compared]:
    """The pairs of rows that are complete, in order."""
    by_track: dict[tuple[str, str, int], dict[str, Row]] = {}
    for row in rows:
        by_track.setdefault((row["trace"], row["profile"], row["slots"]), {})[row["routing"]] = row
    return [
        Compared(*track, found[Routing.SERVICE.value], found[Routing.GATEWAY.value])
        for track, found in by_track.items()
        if len(found) == len(ROUTINGS)
    ]


@dataclass(frozen=True, slots=True)
class Recorded:
    """The rows of the last execution, as they are in the repository."""

    revision: str
    core_minutes: float
    rows: Sequence[Row]


def read(path: Path) -> Recorded | None:
    """The recorded rows; None if there are none."""
    if not path.exists():
        return None
    found: Mapping[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return Recorded(**found)  # type: ignore[arg-type]  # our own file


def write(path: Path, recorded: Recorded) -> None:
    """Record the rows."""
    path.write_text(json.dumps(asdict(recorded), indent=1) + "\n", encoding="utf-8")
