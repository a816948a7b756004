"""The stages of the benchmark: tune, score, other cold starts, native track. Each continues where it stopped.

The most important stages come first, in case the benchmark is stopped.
"""

import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from tqdm import tqdm

from chatscale_simulator.jobs import Job, Row, run_jobs
from chatscale_simulator.policy_choice import CHATSCALE
from chatscale_simulator.revision import git_revision
from tests.benchmarks.autoscaling import plan
from tests.benchmarks.autoscaling.store import Store
from tests.benchmarks.autoscaling.variants import TUNED, measure

OBJECTIVE = 0.99
"""SLO attainment that a tuned setting must reach over the development traces."""
TOOK_S = "took_s"
REPEATED = 2
"""Tuned peers per trace that run with every seed. The others run with one: no result depends on them."""
EQUAL_MARGIN = 0.001
"""A peer with an attainment this much lower counts as equal."""


class OutOfTimeError(Exception):
    """The time budget is used up. Finished runs are stored."""


@dataclass(slots=True)
class Benchmark:
    """One execution of the benchmark."""

    chosen: plan.Set
    store: Store
    deadline: float
    """In seconds of time.monotonic()."""
    processes: int | None = None
    revision: str = field(default_factory=git_revision)
    requested: set[Job] = field(default_factory=set)
    """Every job of this execution, finished before or now."""

    def run(self, jobs: Sequence[Job], stage: str) -> list[Row]:
        """Do the runs that are not stored yet. Raises OutOfTimeError."""
        self.requested.update(jobs)
        todo = [job for job in jobs if self.store.find(job) is None]
        bar = tqdm(total=len(jobs), initial=len(jobs) - len(todo), desc=stage, file=sys.stderr, mininterval=5)
        with bar:
            for job, timed in run_jobs(todo, self.processes, measure_timed):
                took_s = timed.pop(TOOK_S)
                self.store.keep(job, timed | {"git_revision": self.revision}, took_s)
                bar.update()
                if time.monotonic() > self.deadline:
                    raise OutOfTimeError(f"{stage}: {bar.n} of {len(jobs)} runs are done")
        return self.done(jobs)

    def done(self, jobs: Sequence[Job]) -> list[Row]:
        """Results of the finished jobs."""
        found = [(job, self.store.find(job)) for job in jobs]
        return [row | {"variant": job.choice.variant} for job, row in found if row is not None]

    def hours(self) -> float:
        """Core hours of all finished runs of this set."""
        return sum(self.store.took_s(job) for job in self.requested) / 3600


def measure_timed(job: Job) -> Row:
    """Do the run, and add the seconds that it took."""
    began = time.perf_counter()
    row = measure(job)
    return row | {TOOK_S: time.perf_counter() - began}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of one policy over the development traces."""

    policy: str
    label: str
    slo_attainment: float
    """Over all requests of the traces, so that one trace that no policy can handle does not decide alone."""
    gpu_hours: float
    """Of the traces."""


def sweep(found: Sequence[tuple[Job, Row]], windows: Sequence[plan.Window]) -> list[Setting]:
    """Add up the windows by setting, each weighted by what it stands for."""
    by_traffic = {window.traffic: window for window in windows}
    groups: dict[tuple[str, str], list[tuple[plan.Window, Row]]] = defaultdict(list)
    for job, row in found:
        groups[job.choice.policy, job.choice.setting].append((by_traffic[job.traffic], row))
    return [
        Setting(
            policy,
            label,
            fmean([row["slo_attainment"] for _, row in group], [window.requests for window, _ in group]),
            sum(row["gpu_hours"] * window.times for window, row in group),
        )
        for (policy, label), group in groups.items()
    ]


def swept(benchmark: Benchmark, profile: str) -> list[Setting]:
    """Every setting that has been tried so far."""
    jobs, windows = plan.tuning_jobs(benchmark.chosen, profile), plan.windows(benchmark.chosen, profile)
    return sweep([(job, row) for job in jobs if (row := benchmark.store.find(job)) is not None], windows)


def choose_settings(settings: Sequence[Setting]) -> dict[str, Setting]:
    """For each policy the cheapest setting that reaches the objective, or else the one that is closest to it."""
    by_policy: dict[str, list[Setting]] = defaultdict(list)
    for setting in settings:
        by_policy[setting.policy].append(setting)
    return {policy: min(tried, key=_rank_setting) for policy, tried in by_policy.items()}


def _rank_setting(setting: Setting) -> tuple[bool, float, float]:
    reaches = setting.slo_attainment >= OBJECTIVE
    return (not reaches, 0.0 if reaches else -setting.slo_attainment, setting.gpu_hours)


def best_peers(chosen: Mapping[str, Setting], count: int) -> dict[str, str]:
    """Labels of the peers that reach the objective at the lowest cost."""
    return {setting.policy: setting.label for setting in sorted(chosen.values(), key=_rank_setting)[:count]}


def tune(benchmark: Benchmark, profile: str) -> dict[str, Setting]:
    """Try the settings of all peers. Raises OutOfTimeError."""
    benchmark.run(plan.tuning_jobs(benchmark.chosen, profile), f"tuning, profile {profile}")
    return choose_settings([setting for setting in swept(benchmark, profile) if setting.policy != CHATSCALE])


def score(benchmark: Benchmark, profile: str, settings: Mapping[str, Setting]) -> list[Row]:
    """Run all policies with one seed, then Chatscale and the close peers with all seeds. Raises OutOfTimeError."""
    rows = benchmark.run(plan.first_jobs(benchmark.chosen, profile, _labels(settings)), f"scores, profile {profile}")
    again = plan.repeated_jobs(benchmark.chosen, profile, tuned_close_peers(benchmark, profile, settings))
    return rows + benchmark.run(again, f"more seeds, profile {profile}")


def extend(benchmark: Benchmark, tuned: Mapping[str, Mapping[str, Setting]]) -> list[Row]:
    """All stages after the main scores, the most important first. Raises OutOfTimeError."""
    stages = (
        *_whole_days(benchmark, tuned),
        *_announced(benchmark, tuned),
        *_extensions(benchmark, tuned),
    )
    return [row for stage, jobs in stages for row in benchmark.run(jobs, stage)]


def finished(benchmark: Benchmark, tuned: Mapping[str, Mapping[str, Setting]]) -> list[Row]:
    """All scores so far, each run once."""
    rows: list[Row] = []
    for profile, settings in tuned.items():
        rows += benchmark.done(plan.first_jobs(benchmark.chosen, profile, _labels(settings)))
        rows += benchmark.done(
            plan.repeated_jobs(benchmark.chosen, profile, tuned_close_peers(benchmark, profile, settings))
        )
    rows += [row for _, jobs in _extensions(benchmark, tuned) for row in benchmark.done(jobs)]
    return list({json.dumps(row, sort_keys=True): row for row in rows}.values())


def on_whole_days(benchmark: Benchmark, tuned: Mapping[str, Mapping[str, Setting]]) -> list[Row]:
    """Scores on whole traces so far; empty if all scores are on whole traces."""
    return [row for _, jobs in _whole_days(benchmark, tuned) for row in benchmark.done(jobs)]


def on_announced(benchmark: Benchmark, tuned: Mapping[str, Mapping[str, Setting]]) -> list[Row]:
    """Scores with announced events so far."""
    return [row for _, jobs in _announced(benchmark, tuned) for row in benchmark.done(jobs)]


def tuned_close_peers(benchmark: Benchmark, profile: str, settings: Mapping[str, Setting]) -> dict[str, str]:
    """Tuned labels of the peers that came close in the first scores. They run with all seeds, with the other cold
    starts and on whole days, so that every criterion has its closest peers."""
    labels = _labels(settings)
    return {
        policy: labels[policy]
        for policy in close_peers(benchmark.done(plan.first_jobs(benchmark.chosen, profile, labels)))
    }


def close_peers(rows: Sequence[Row]) -> list[str]:
    """Tuned peers that are among the REPEATED best on a trace, or the cheapest with Chatscale's attainment."""
    found: dict[str, None] = {}
    for trace in dict.fromkeys(row["trace"] for row in rows):
        here = [row for row in rows if row["trace"] == trace]
        tuned = sorted((row for row in here if row["variant"] == TUNED), key=_rank)
        attained = max((row["slo_attainment"] for row in here if row["policy"] == CHATSCALE), default=1.0)
        equal = sorted(
            (row for row in tuned if row["slo_attainment"] >= attained - EQUAL_MARGIN),
            key=lambda row: float(row["gpu_hours"]),
        )
        found |= dict.fromkeys(row["policy"] for row in (*tuned[:REPEATED], *equal[:1]))
    return list(found)


def _rank(row: Row) -> tuple[float, float]:
    """By attainment up to the objective, then by cost."""
    return (-min(round(row["slo_attainment"], 3), OBJECTIVE), row["gpu_hours"])


def _whole_days(benchmark: Benchmark, tuned: Mapping[str, Mapping[str, Setting]]) -> Iterator[tuple[str, list[Job]]]:
    for profile, settings in tuned.items():
        jobs = plan.whole_jobs(benchmark.chosen, profile, tuned_close_peers(benchmark, profile, settings))
        yield f"whole days, profile {profile}", jobs


def _announced(benchmark: Benchmark, tuned: Mapping[str, Mapping[str, Setting]]) -> Iterator[tuple[str, list[Job]]]:
    for profile in tuned:
        yield f"announced events, profile {profile}", plan.announced_jobs(benchmark.chosen, profile)


def _extensions(benchmark: Benchmark, tuned: Mapping[str, Mapping[str, Setting]]) -> Iterator[tuple[str, list[Job]]]:
    chosen = benchmark.chosen
    for profile in tuned:
        yield f"references, profile {profile}", plan.bar_references(chosen, profile)
    for profile, settings in tuned.items():
        yield (
            f"cold starts, profile {profile}",
            plan.cold_start_jobs(chosen, profile, tuned_close_peers(benchmark, profile, settings)),
        )
    for profile, settings in tuned.items():
        yield f"native track, profile {profile}", plan.native_jobs(chosen, profile, _labels(settings))
    for profile in tuned:
        yield f"all references, profile {profile}", plan.all_references(chosen, profile)


def _labels(settings: Mapping[str, Setting]) -> dict[str, str]:
    return {policy: setting.label for policy, setting in settings.items()}


def save_settings(tuned: Mapping[str, Mapping[str, Setting]], path: Path) -> None:
    """Write the tuned settings to `path`."""
    saved = {
        profile: {
            policy: {
                "setting": setting.label,
                "slo_attainment": round(setting.slo_attainment, 5),
                "gpu_hours": round(setting.gpu_hours, 2),
            }
            for policy, setting in settings.items()
        }
        for profile, settings in tuned.items()
    }
    path.write_text(json.dumps(saved, indent=1, sort_keys=True) + "\n", encoding="utf-8")
