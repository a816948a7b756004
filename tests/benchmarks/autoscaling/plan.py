"""What is run: which traces at which load, in which stages, and which windows tuning may see."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from chatscale.simulate.contenders import OURS, SHIPPED, TUNED, Contender
from chatscale.simulate.jobs import Job
from chatscale.simulate.traces import HOUR_S, Traffic, load
from chatscale.simulation.outcome import ColdStart, Track
from chatscale.simulation.peers.registry import PEERS
from chatscale.simulation.workload import busiest_window
from hack.paths import ROOT

EXCERPTS = ROOT / "tests" / "data" / "traces"
"""Committed: the reduced set works in a fresh clone."""
PROFILES = ("M", "S")
TUNING_SEED = 0
"""Final scores use the seeds after it."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One trace and how it is used."""

    name: str
    factors: dict[str, int]
    """Superposed copies by profile, for a mean of about five replicas."""
    predictable: bool = True
    """False: one unannounced spike that is over before a replica has started."""
    daily: bool = False
    """Scored against the reachable optimum."""
    burst: bool = False
    """Scored against the reference that sees no future."""
    tuned_on: bool = True
    """False: another day of a source that tuning has seen enough of; or a spike that nobody can hold without replicas
    for it all day, which would make peers pay for that on every other trace."""


@dataclass(frozen=True, slots=True)
class Set:
    """A benchmark's size."""

    traces: tuple[Trace, ...]
    folder: Path
    seeds: int
    final_hours: dict[str, float]
    """By profile: scores are taken on so much of each trace, the part that changes most; all of it if not named."""
    tuning_hours: dict[str, float]
    grid_every: int = 1
    """Tuning tries every so many settings."""
    profiles: tuple[str, ...] = PROFILES
    policies: tuple[str, ...] = tuple(PEERS)
    cold_starts: tuple[ColdStart, ...] = tuple(ColdStart)
    native: bool = True
    """Whether the track of own signals is played too."""


FULL_TRACES = (
    Trace("azure2023-conv", {"M": 4, "S": 8}),
    Trace("mooncake-conversation", {"M": 1, "S": 1}),
    Trace("servegen-mlarge-day00", {"M": 15, "S": 25}, daily=True, tuned_on=False),
    Trace("servegen-mlarge-day10", {"M": 12, "S": 20}, daily=True),
    Trace("servegen-deepseekr1-day00", {"M": 3, "S": 5}, burst=True),
    Trace("worldcup98-0615", {"M": 9, "S": 15}, tuned_on=False),
    Trace("worldcup98-0630", {"M": 9, "S": 15}, daily=True),
    Trace("worldcup98-0519", {"M": 15, "S": 25}, predictable=False, burst=True, tuned_on=False),
)
"""Factors that `sizing.size` puts at about five replicas on average: fewer than four test nothing."""
REDUCED_TRACES = (
    Trace("azure2023-conv-excerpt", {"S": 8}),
    Trace("servegen-mlarge-day10-excerpt", {"S": 12}),
)


TUNING_HOURS = {"M": 0.75, "S": 0.34}


def full(folder: Path) -> Set:
    """Everything: four to six hours of two cores. Profile S has twice the requests, and plays six hours of each day."""
    return Set(FULL_TRACES, folder, seeds=5, final_hours={"S": 6}, tuning_hours=TUNING_HOURS)


def short(folder: Path) -> Set:
    """The same tuning, then six hours of each day and two seeds: an hour and a half."""
    return replace(full(folder), seeds=2, final_hours={"M": 6, "S": 3})


def reduced() -> Set:
    """A minute or two, for tests: two excerpts, one profile, a part of the grid."""
    return Set(
        REDUCED_TRACES,
        EXCERPTS,
        seeds=2,
        final_hours={},
        tuning_hours={"S": 0.25},
        grid_every=4,
        profiles=("S",),
        policies=("static-peak", "hpa-concurrency", "knative-kpa", "wva-v2"),
        cold_starts=(ColdStart.CACHED,),
        native=False,
    )


def missing(chosen: Set) -> list[Path]:
    """Trace files that are not there."""
    return [path for path in (_path(chosen, trace) for trace in chosen.traces) if not path.exists()]


def traffic(chosen: Set, trace: Trace, profile: str) -> Traffic:
    """What the final scores are taken on."""
    hours = _window(_path(chosen, trace), chosen.final_hours[profile]) if profile in chosen.final_hours else None
    return Traffic(_path(chosen, trace), trace.factors[profile], hours)


def tuning_jobs(chosen: Set, profile: str) -> list[Job]:
    """Every setting of every peer on every window, one seed. Neighbours share their traffic."""
    settings = [
        Contender(name, variant.label, variant.label)
        for name in chosen.policies
        for variant in (PEERS[name].shipped, *PEERS[name].tuned[:: chosen.grid_every])
    ]
    ours = Contender(OURS, SHIPPED)
    return [
        Job(window, profile, ColdStart.CACHED, Track.EQUAL, contender, TUNING_SEED)
        for window in _tuning_windows(chosen, profile)
        for contender in (ours, *settings)
    ]


def requests(chosen: Set, profile: str) -> dict[str, int]:
    """How many there are in the tuning window of each trace."""
    windows = _tuning_windows(chosen, profile)
    return {window.name: len(load(window, TUNING_SEED).arrival_s) for window in windows}


def _tuning_windows(chosen: Set, profile: str) -> list[Traffic]:
    return [
        Traffic(path, trace.factors[profile], _window(path, chosen.tuning_hours[profile]))
        for trace in chosen.traces
        if trace.tuned_on
        for path in [_path(chosen, trace)]
    ]


def final_jobs(chosen: Set, profile: str, tuned: Mapping[str, str]) -> list[Job]:
    """Ours and every peer as tuned on all of the traffic, and every peer as shipped with one seed."""
    known, equal = _tuned(tuned), (ColdStart.CACHED, Track.EQUAL)
    shipped = [Contender(name, SHIPPED) for name in chosen.policies]
    first = list(_jobs(chosen, profile, *equal, [*known, *shipped], seeds=1))
    return first + [job for job in _jobs(chosen, profile, *equal, known) if job not in first]


def cold_start_jobs(chosen: Set, profile: str, best: Mapping[str, str]) -> list[Job]:
    """Ours and the best peers with the other cold starts, not tuned again."""
    others = [cold_start for cold_start in chosen.cold_starts if cold_start is not ColdStart.CACHED]
    return [job for other in others for job in _jobs(chosen, profile, other, Track.EQUAL, _tuned(best))]


def native_jobs(chosen: Set, profile: str, tuned: Mapping[str, str]) -> list[Job]:
    """Each policy on its own period and path."""
    return list(_jobs(chosen, profile, ColdStart.CACHED, Track.NATIVE, _tuned(tuned))) if chosen.native else []


def _tuned(labels: Mapping[str, str]) -> list[Contender]:
    return [Contender(OURS, SHIPPED), *(Contender(name, TUNED, label) for name, label in labels.items())]


def _jobs(
    chosen: Set,
    profile: str,
    cold_start: ColdStart,
    track: Track,
    contenders: Sequence[Contender],
    seeds: int | None = None,
) -> Iterator[Job]:
    """One seed after the other: a go that is stopped leaves whole seeds. seeds: fewer than the set's."""
    for seed in range(TUNING_SEED + 1, TUNING_SEED + 1 + (seeds or chosen.seeds)):
        for trace in chosen.traces:
            played = traffic(chosen, trace, profile)
            for contender in contenders:
                yield Job(played, profile, cold_start, track, contender, seed)


def _path(chosen: Set, trace: Trace) -> Path:
    return chosen.folder / f"{trace.name}.csv.gz"


@lru_cache(maxsize=64)
def _window(path: Path, hours: float) -> tuple[float, float] | None:
    """The part of the trace that changes most; None if there is no more of it than that."""
    workload = load(Traffic(path), TUNING_SEED)
    if workload.duration_s <= hours * HOUR_S:
        return None
    from_s, to_s = busiest_window(workload, hours * HOUR_S)
    return from_s / HOUR_S, to_s / HOUR_S
