"""What is run: which traces at which load, in which stages, and which windows tuning may see."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from chatscale_simulator.inputs.traces import HOUR_S, Traffic, load
from chatscale_simulator.inputs.transform import busiest_window
from chatscale_simulator.jobs import Job
from chatscale_simulator.policies.registry import SHIPPED
from chatscale_simulator.policy_choice import CHATSCALE, PolicyChoice, chatscale_with_events
from chatscale_simulator.simulation.scenario import ColdStart, Track
from chatscale_simulator.simulation.workload import Workload
from hack.paths import ROOT
from tests.benchmarks.autoscaling.announcement import announce
from tests.benchmarks.autoscaling.peers.registry import PEERS
from tests.benchmarks.autoscaling.references.registry import REFERENCES
from tests.benchmarks.autoscaling.variants import REFERENCE, TUNED

EXCERPTS = ROOT / "tests" / "data" / "traces"
"""Committed: the reduced set works in a fresh clone."""
PROFILES = ("M", "S")
LOWER_BOUND, OPTIMUM, NO_FORESIGHT = REFERENCES
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
    """W3 scores it against the reachable optimum."""
    burst: bool = False
    """W3 scores it against the reference that sees no future."""
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
    grid_every: dict[str, int] = field(default_factory=dict)
    """By profile: tuning tries every so many settings of each peer; all if not named."""
    profiles: tuple[str, ...] = PROFILES
    policies: tuple[str, ...] = tuple(PEERS)
    cold_starts: tuple[ColdStart, ...] = tuple(ColdStart)
    cold_start_seeds: int = 3
    native_seeds: int = 1
    """Of the track of own signals; 0 leaves it out."""
    references: bool = True


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
"""Factors that `sizing.size` puts at about five replicas on average: fewer than four test nothing.

They are several times those of shared/design/autoscaling.md, 3.1: its rough simulation gave a 70B replica 1.6 of
azure2023-conv's requests a second, step times growing by 0.15 ms a token; the measured table that profile M uses
grows less above 64 and carries 4.
"""
REDUCED_TRACES = (
    Trace("azure2023-conv-excerpt", {"S": 8}),
    Trace("servegen-mlarge-day10-excerpt", {"S": 12}),
)


ORDINARY_HOURS = 1.0
"""Length of the window that stands for the ordinary part of a day."""
MANY_WINDOWS = 4
"""A trace of fewer windows than this is ordinary nowhere."""
TUNING_HOURS = {"M": 0.75, "S": 0.5}
"""At least two quarters of an hour, or there is no change to look for."""


def full(folder: Path) -> Set:
    """Everything: about five hours of two cores, by the times of the short set.

    Profile S has twice the requests, and plays six hours of each day.
    """
    return Set(FULL_TRACES, folder, seeds=5, final_hours={"S": 6}, tuning_hours=TUNING_HOURS)


def short(folder: Path) -> Set:
    """The same tuning, then six hours of each day and two seeds: an hour and a half."""
    return replace(full(folder), seeds=2, cold_start_seeds=1, final_hours={"M": 6, "S": 3})


def reduced() -> Set:
    """A minute or two, for tests: two excerpts, one profile, a part of the grid."""
    return Set(
        REDUCED_TRACES,
        EXCERPTS,
        seeds=2,
        final_hours={},
        tuning_hours={"S": 0.25},
        grid_every={"S": 4},
        profiles=("S",),
        policies=("static-peak", "static-mean", "hpa-concurrency", "knative-kpa", "wva-v1", "wva-v2", "dynamo-load"),
        cold_starts=(ColdStart.CACHED,),
        native_seeds=0,
        references=False,
    )


def in_words(chosen: Set) -> str:
    """How much of the traces is played, and with how many seeds."""
    parts = [
        f"{profile} plays the {hours:g} hours of a day that change most" if hours else f"{profile} plays whole traces"
        for profile in chosen.profiles
        for hours in [chosen.final_hours.get(profile)]
    ]
    seeds = f"{chosen.seeds} seeds (other cold starts {chosen.cold_start_seeds}, own signals {chosen.native_seeds})"
    return f"{'; '.join(parts)}. At most {seeds}; references one."


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
        PolicyChoice(name, variant.label, variant.label)
        for name in chosen.policies
        for variant in (PEERS[name].shipped, *PEERS[name].others[:: chosen.grid_every.get(profile, 1)])
    ]
    ours = PolicyChoice(CHATSCALE, SHIPPED)
    return [
        Job(window.traffic, profile, ColdStart.CACHED, Track.EQUAL, choice, TUNING_SEED)
        for window in windows(chosen, profile)
        for choice in (ours, *settings)
    ]


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a trace that tuning plays, and what it stands for."""

    traffic: Traffic
    times: float
    """Its GPU-hours stand for so many times as many."""
    requests: float
    """Of the trace, as one copy, for which its attainment stands."""


def windows(chosen: Set, profile: str) -> list[Window]:
    """Of each trace the part that changes most, which stands for itself, and an ordinary one for all the rest.

    With the busiest part alone a peer would be tuned for a day of nothing but spikes, and cost twice what it need.
    """
    return [
        window
        for trace in chosen.traces
        if trace.tuned_on
        for window in _windows_of(_path(chosen, trace), trace.factors[profile], chosen.tuning_hours[profile])
    ]


def _windows_of(path: Path, factor: int, hours: float) -> list[Window]:
    whole = load(Traffic(path), TUNING_SEED)
    total, lasts_h = len(whole.arrival_s), whole.duration_s / HOUR_S
    busy = _window(path, hours)
    if busy is None:
        return [Window(Traffic(path, factor), 1.0, total)]
    if lasts_h < MANY_WINDOWS * hours:
        return [Window(Traffic(path, factor, busy), lasts_h / hours, total)]
    inside = _between(whole, busy)
    ordinary = Traffic(path, factor, _ordinary(whole, busy))
    return [
        Window(Traffic(path, factor, busy), 1.0, inside),
        Window(ordinary, (lasts_h - hours) / ORDINARY_HOURS, total - inside),
    ]


def _ordinary(whole: Workload, busy: tuple[float, float]) -> tuple[float, float]:
    """The whole hour outside the busy part whose load is closest to the mean of the rest."""
    rest = (len(whole.arrival_s) - _between(whole, busy)) / (whole.duration_s / HOUR_S - (busy[1] - busy[0]))
    hours = [
        (float(start), start + ORDINARY_HOURS)
        for start in range(int(whole.duration_s / HOUR_S - ORDINARY_HOURS) + 1)
        if start >= busy[1] or start + ORDINARY_HOURS <= busy[0]
    ]
    return min(hours, key=lambda hour: abs(_between(whole, hour) / ORDINARY_HOURS - rest))


def _between(whole: Workload, hours: tuple[float, float]) -> int:
    first, last = np.searchsorted(whole.arrival_s, np.array(hours) * HOUR_S)
    return int(last - first)


def first_jobs(chosen: Set, profile: str, tuned: Mapping[str, str]) -> list[Job]:
    """Ours and every peer, as shipped and tuned, on all of the traffic, with one seed. tuned: label by policy."""
    choices = [PolicyChoice(CHATSCALE, SHIPPED)]
    for name in chosen.policies:
        choices += [PolicyChoice(name, SHIPPED), PolicyChoice(name, TUNED, tuned[name])]
    return list(_jobs(chosen, profile, ColdStart.CACHED, Track.EQUAL, choices, 1))


def repeated_jobs(chosen: Set, profile: str, close: Mapping[str, str]) -> list[Job]:
    """Ours and the tuned peers that come close to it, with all seeds."""
    return list(_jobs(chosen, profile, ColdStart.CACHED, Track.EQUAL, _tuned(close), chosen.seeds))


def cold_start_jobs(chosen: Set, profile: str, close: Mapping[str, str]) -> list[Job]:
    """Ours and the peers that come close with the other cold starts, not tuned again."""
    others = [cold_start for cold_start in chosen.cold_starts if cold_start is not ColdStart.CACHED]
    return [
        job
        for other in others
        for job in _jobs(chosen, profile, other, Track.EQUAL, _tuned(close), chosen.cold_start_seeds)
    ]


def native_jobs(chosen: Set, profile: str, tuned: Mapping[str, str]) -> list[Job]:
    """Each policy on its own period and path."""
    return list(_jobs(chosen, profile, ColdStart.CACHED, Track.NATIVE, _tuned(tuned), chosen.native_seeds))


def bar_references(chosen: Set, profile: str) -> list[Job]:
    """The references that the bar names, on the traces for which it names them: one seed, for each is a search."""
    return _references(
        chosen,
        profile,
        lambda trace: [LOWER_BOUND] + [OPTIMUM] * trace.daily + [NO_FORESIGHT] * trace.burst,
    )


def all_references(chosen: Set, profile: str) -> list[Job]:
    """All of them on all traces."""
    return _references(chosen, profile, lambda _: list(REFERENCES))


def whole_jobs(chosen: Set, profile: str, close: Mapping[str, str]) -> list[Job]:
    """Ours and the peers that come close on whole traces, where the scores are taken on parts of them."""
    if profile not in chosen.final_hours:
        return []
    whole = replace(chosen, final_hours={})
    return list(_jobs(whole, profile, ColdStart.CACHED, Track.EQUAL, _tuned(close), chosen.cold_start_seeds))


def announced_jobs(chosen: Set, profile: str) -> list[Job]:
    """Ours on spikes that nobody can foresee: as it is, and told of them beforehand."""
    return [
        job
        for trace in chosen.traces
        if not trace.predictable
        for told in [chatscale_with_events([announce(traffic(chosen, trace, profile), profile, TUNING_SEED)])]
        for cold_start in chosen.cold_starts
        for job in _jobs(
            replace(chosen, traces=(trace,)),
            profile,
            cold_start,
            Track.EQUAL,
            [PolicyChoice(CHATSCALE, SHIPPED), told],
            chosen.cold_start_seeds,
        )
    ]


def _references(chosen: Set, profile: str, of: Callable[[Trace], list[str]]) -> list[Job]:
    return [
        Job(traffic(chosen, trace, profile), profile, ColdStart.CACHED, Track.EQUAL, choice, TUNING_SEED + 1)
        for trace in chosen.traces
        if chosen.references
        for choice in [PolicyChoice(name, REFERENCE) for name in of(trace)]
    ]


def _tuned(labels: Mapping[str, str]) -> list[PolicyChoice]:
    return [PolicyChoice(CHATSCALE, SHIPPED), *(PolicyChoice(name, TUNED, label) for name, label in labels.items())]


def _jobs(
    chosen: Set, profile: str, cold_start: ColdStart, track: Track, choices: Sequence[PolicyChoice], seeds: int
) -> Iterator[Job]:
    """One seed after the other: a go that is stopped leaves whole seeds."""
    for seed in range(TUNING_SEED + 1, TUNING_SEED + 1 + seeds):
        for trace in chosen.traces:
            played = traffic(chosen, trace, profile)
            for choice in choices:
                yield Job(played, profile, cold_start, track, choice, seed)


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
