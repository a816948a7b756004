"""The plan of the benchmark: traces, load factors, jobs of each stage, and the windows that tuning may use."""

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
from tests.benchmarks.autoscaling.baselines.registry import REFERENCES
from tests.benchmarks.autoscaling.peers.registry import PEERS
from tests.benchmarks.autoscaling.variants import REFERENCE, TUNED

EXCERPTS = ROOT / "tests" / "data" / "traces"
"""In this repository, so that the reduced set works in a fresh clone."""
PROFILES = ("M", "S")
MACHINES = {"M": "70B model on 4 H100", "S": "8B model on 1 A100"}
"""What one replica is, by profile, for readers of the pages."""
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
    """False: an unannounced spike that ends before a new replica is ready."""
    daily: bool = False
    """Criterion W3 compares it with the reachable optimum."""
    burst: bool = False
    """Criterion W3 compares it with the reference without foresight."""
    tuned_on: bool = True
    """False: another day of a source that tuning uses already, or a spike that needs spare replicas all day, which
    would make the tuned peers expensive on every other trace."""
    description: str = ""
    """What the trace is, for readers of the front page."""


@dataclass(frozen=True, slots=True)
class Set:
    """The size of a benchmark."""

    traces: tuple[Trace, ...]
    folder: Path
    seeds: int
    final_hours: dict[str, float]
    """By profile: scored hours of each trace, the part that changes most. Without an entry: the whole trace."""
    tuning_hours: dict[str, float]
    grid_every: dict[str, int] = field(default_factory=dict)
    """By profile: tuning tries every n-th setting of each peer. Without an entry: all."""
    profiles: tuple[str, ...] = PROFILES
    policies: tuple[str, ...] = tuple(PEERS)
    cold_starts: tuple[ColdStart, ...] = tuple(ColdStart)
    cold_start_seeds: int = 3
    native_seeds: int = 1
    """Seeds in the native track; 0 leaves it out."""
    references: bool = True


FULL_TRACES = (
    Trace(
        "azure2023-conv",
        {"M": 4, "S": 8},
        description="an hour of a chat service on Microsoft Azure (logged requests)",
    ),
    Trace(
        "mooncake-conversation",
        {"M": 1, "S": 1},
        description="an hour of the Kimi chat service, with very long prompts (logged requests)",
    ),
    Trace(
        "servegen-mlarge-day00",
        {"M": 15, "S": 25},
        daily=True,
        tuned_on=False,
        description="an ordinary day of a large model on Alibaba Cloud (from published statistics)",
    ),
    Trace(
        "servegen-mlarge-day10",
        {"M": 12, "S": 20},
        daily=True,
        description="a day of the same model with strong bursts (from published statistics)",
    ),
    Trace(
        "servegen-deepseekr1-day00",
        {"M": 3, "S": 5},
        burst=True,
        description="a day of a reasoning model with very long answers (from published statistics)",
    ),
    Trace(
        "worldcup98-0615",
        {"M": 9, "S": 15},
        tuned_on=False,
        description="a match day of the 1998 World Cup web site: fourfold load within two hours",
    ),
    Trace(
        "worldcup98-0630",
        {"M": 9, "S": 15},
        daily=True,
        description="another match day of that web site",
    ),
    Trace(
        "worldcup98-0519",
        {"M": 15, "S": 25},
        predictable=False,
        burst=True,
        tuned_on=False,
        description="a quiet day of that web site with one unannounced spike: twelvefold load, over after ten minutes",
    ),
)
"""With load factors for about five replicas on average by `sizing.size`. Fewer than four say little about scaling.

The factors are several times those of shared/design/autoscaling.md, 3.1. Its rough simulation gave a 70B replica 1.6
requests per second of azure2023-conv, with step times that grow by 0.15 ms per token. The measured table of profile M
grows less above 64 tokens and gives 4.
"""
REDUCED_TRACES = (
    Trace("azure2023-conv-excerpt", {"S": 8}, description="half an hour of a chat service on Microsoft Azure"),
    Trace("servegen-mlarge-day10-excerpt", {"S": 12}, description="an hour of a large model on Alibaba Cloud"),
)


ORDINARY_HOURS = 1.0
"""Length of the window for the ordinary part of a day."""
MANY_WINDOWS = 4
"""A trace that is shorter than this many windows has no ordinary part."""
TUNING_HOURS = {"M": 0.75, "S": 0.5}
"""At least two quarter hours: the busiest window is found from the difference of quarter hours."""


def full(folder: Path) -> Set:
    """All traces: about five hours of two cores, extrapolated from the short set.

    Profile S has twice the requests, and is scored on six hours of each day.
    """
    return Set(FULL_TRACES, folder, seeds=5, final_hours={"S": 6}, tuning_hours=TUNING_HOURS)


def short(folder: Path) -> Set:
    """The same tuning, then six hours of each day and two seeds: an hour and a half."""
    return replace(full(folder), seeds=2, cold_start_seeds=1, final_hours={"M": 6, "S": 3})


def reduced() -> Set:
    """A few minutes, for tests: two excerpts, one profile, a part of the grid."""
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


def describe_set(chosen: Set) -> str:
    """How much of the traces is simulated, and with how many seeds."""
    parts = [
        f"the {MACHINES[profile]} on {f'the {hours:g} hours of a day that change most' if hours else 'whole traces'}"
        for profile in chosen.profiles
        for hours in [chosen.final_hours.get(profile)]
    ]
    others = f"{chosen.cold_start_seeds} with other cold starts, {chosen.native_seeds} in the native track"
    seeds = f"{chosen.seeds} seeds ({others})"
    return f"Scored: {'; '.join(parts)}. At most {seeds}; references one."


def missing(chosen: Set) -> list[Path]:
    """Trace files that do not exist."""
    return [path for path in (_path(chosen, trace) for trace in chosen.traces) if not path.exists()]


def traffic(chosen: Set, trace: Trace, profile: str) -> Traffic:
    """The traffic of the final scores."""
    hours = _window(_path(chosen, trace), chosen.final_hours[profile]) if profile in chosen.final_hours else None
    return Traffic(_path(chosen, trace), trace.factors[profile], hours)


def tuning_jobs(chosen: Set, profile: str) -> list[Job]:
    """Every setting of every peer on every window, with one seed. Adjacent jobs have the same traffic."""
    settings = [
        PolicyChoice(name, variant.label, variant.label)
        for name in chosen.policies
        for variant in (PEERS[name].shipped, *PEERS[name].others[:: chosen.grid_every.get(profile, 1)])
    ]
    chatscale = PolicyChoice(CHATSCALE, SHIPPED)
    return [
        Job(window.traffic, profile, ColdStart.CACHED, Track.EQUAL, choice, TUNING_SEED)
        for window in windows(chosen, profile)
        for choice in (chatscale, *settings)
    ]


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a trace that tuning uses, and what it stands for."""

    traffic: Traffic
    times: float
    """Weight of its GPU-hours."""
    requests: float
    """Weight of its attainment: the requests of the trace, as one copy, that it stands for."""


def windows(chosen: Set, profile: str) -> list[Window]:
    """The part of each trace that changes most, which stands for itself, and an ordinary hour for the rest.

    With the busiest part alone a peer would be tuned for a day of spikes, and cost twice as much as necessary.
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
    """The hour outside the busy part whose load is closest to the mean of the rest."""
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
    """Chatscale and every peer, shipped and tuned, on all traffic, with one seed. tuned: label by policy."""
    choices = [PolicyChoice(CHATSCALE, SHIPPED)]
    for name in chosen.policies:
        choices += [PolicyChoice(name, SHIPPED), PolicyChoice(name, TUNED, tuned[name])]
    return list(_jobs(chosen, profile, ColdStart.CACHED, Track.EQUAL, choices, 1))


def repeated_jobs(chosen: Set, profile: str, close: Mapping[str, str]) -> list[Job]:
    """Chatscale and the close tuned peers, with all seeds."""
    return list(_jobs(chosen, profile, ColdStart.CACHED, Track.EQUAL, _tuned(close), chosen.seeds))


def cold_start_jobs(chosen: Set, profile: str, close: Mapping[str, str]) -> list[Job]:
    """Chatscale and the close peers with the other cold starts, not tuned again."""
    others = [cold_start for cold_start in chosen.cold_starts if cold_start is not ColdStart.CACHED]
    return [
        job
        for other in others
        for job in _jobs(chosen, profile, other, Track.EQUAL, _tuned(close), chosen.cold_start_seeds)
    ]


def native_jobs(chosen: Set, profile: str, tuned: Mapping[str, str]) -> list[Job]:
    """Each policy with its own interval and source of metrics."""
    return list(_jobs(chosen, profile, ColdStart.CACHED, Track.NATIVE, _tuned(tuned), chosen.native_seeds))


def criterion_references(chosen: Set, profile: str) -> list[Job]:
    """The references of the criteria, on their traces. One seed, because each reference is a search over many runs."""
    return _references(
        chosen,
        profile,
        lambda trace: [LOWER_BOUND] + [OPTIMUM] * trace.daily + [NO_FORESIGHT] * trace.burst,
    )


def all_references(chosen: Set, profile: str) -> list[Job]:
    """All references on all traces."""
    return _references(chosen, profile, lambda _: list(REFERENCES))


def whole_jobs(chosen: Set, profile: str, close: Mapping[str, str]) -> list[Job]:
    """Chatscale and the close peers on whole traces, if the scores are on parts of them."""
    if profile not in chosen.final_hours:
        return []
    whole = replace(chosen, final_hours={})
    return list(_jobs(whole, profile, ColdStart.CACHED, Track.EQUAL, _tuned(close), chosen.cold_start_seeds))


def announced_jobs(chosen: Set, profile: str) -> list[Job]:
    """Chatscale on unannounced spikes: without and with an announced event."""
    return [
        job
        for trace in chosen.traces
        if not trace.predictable
        for with_event in [chatscale_with_events([announce(traffic(chosen, trace, profile), profile, TUNING_SEED)])]
        for cold_start in chosen.cold_starts
        for job in _jobs(
            replace(chosen, traces=(trace,)),
            profile,
            cold_start,
            Track.EQUAL,
            [PolicyChoice(CHATSCALE, SHIPPED), with_event],
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
    """One seed after the other, so that an execution that is stopped has complete seeds."""
    for seed in range(TUNING_SEED + 1, TUNING_SEED + 1 + seeds):
        for trace in chosen.traces:
            traffic_ = traffic(chosen, trace, profile)
            for choice in choices:
                yield Job(traffic_, profile, cold_start, track, choice, seed)


def _path(chosen: Set, trace: Trace) -> Path:
    return chosen.folder / f"{trace.name}.csv.gz"


@lru_cache(maxsize=64)
def _window(path: Path, hours: float) -> tuple[float, float] | None:
    """The part of the trace that changes most; None if the trace is not longer than that."""
    workload = load(Traffic(path), TUNING_SEED)
    if workload.duration_s <= hours * HOUR_S:
        return None
    from_s, to_s = busiest_window(workload, hours * HOUR_S)
    return from_s / HOUR_S, to_s / HOUR_S
