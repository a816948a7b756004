"""The stages one after the other: tune, score, other cold starts, native signals. Each resumes where it stopped."""

import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from tqdm import tqdm

from chatscale.simulate.contenders import OURS
from chatscale.simulate.jobs import Job, Row, on_all_cores
from chatscale.simulate.revision import git_revision
from tests.benchmarks.autoscaling import plan
from tests.benchmarks.autoscaling.store import Store

PROMISE = 0.99
"""Attainment that a tuned setting must have over the development set."""
BEST_PEERS = 4
"""Peers that are played with every cold start."""


class OutOfTimeError(Exception):
    """The budget is spent; what is done is kept."""


@dataclass(slots=True)
class Bench:
    """One go at the benchmark."""

    chosen: plan.Set
    store: Store
    deadline: float
    """On time.monotonic()'s clock."""
    processes: int | None = None
    revision: str = field(default_factory=git_revision)

    def run(self, jobs: Sequence[Job], stage: str) -> list[Row]:
        """Do what is not done yet. Raises OutOfTimeError."""
        todo = [job for job in jobs if self.store.find(job) is None]
        bar = tqdm(total=len(jobs), initial=len(jobs) - len(todo), desc=stage, file=sys.stderr, mininterval=5)
        with bar:
            for job, row in on_all_cores(todo, self.processes):
                self.store.keep(job, row | {"git_revision": self.revision})
                bar.update()
                if time.monotonic() > self.deadline:
                    raise OutOfTimeError(f"{stage}: {bar.n} of {len(jobs)} runs are done")
        return self.done(jobs)

    def done(self, jobs: Sequence[Job]) -> list[Row]:
        """Results of the jobs that are finished."""
        found = [(job, self.store.find(job)) for job in jobs]
        return [row | {"variant": job.contender.variant} for job, row in found if row is not None]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of one policy over the development set."""

    policy: str
    label: str
    slo_attainment: float
    """Of all requests of the windows: a trace that nobody can hold does not decide alone."""
    gpu_hours: float
    """Sum over the windows."""


def sweep(rows: Sequence[Row], requests: Mapping[str, int]) -> list[Setting]:
    """Add the windows up, by setting. requests: in the window of each trace."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["policy"], row["variant"]].append(row)
    return [
        Setting(
            policy,
            label,
            fmean([row["slo_attainment"] for row in group], [requests[row["trace"]] for row in group]),
            sum(row["gpu_hours"] for row in group),
        )
        for (policy, label), group in groups.items()
    ]


def choose(settings: Sequence[Setting]) -> dict[str, Setting]:
    """For each policy the cheapest setting that keeps the promise, or else the one that comes closest to it."""
    by_policy: dict[str, list[Setting]] = defaultdict(list)
    for setting in settings:
        by_policy[setting.policy].append(setting)
    return {policy: min(tried, key=_worth) for policy, tried in by_policy.items()}


def _worth(setting: Setting) -> tuple[bool, float, float]:
    keeps = setting.slo_attainment >= PROMISE
    return (not keeps, 0.0 if keeps else -setting.slo_attainment, setting.gpu_hours)


def best_peers(chosen: Mapping[str, Setting]) -> dict[str, str]:
    """Labels of the peers worth playing with every cold start: those that keep the promise for least."""
    return {setting.policy: setting.label for setting in sorted(chosen.values(), key=_worth)[:BEST_PEERS]}


def tune(bench: Bench, profile: str) -> dict[str, Setting]:
    """Run the grids of all peers. Raises OutOfTimeError."""
    rows = bench.run(plan.tuning_jobs(bench.chosen, profile), f"tuning, profile {profile}")
    swept = sweep(rows, plan.requests(bench.chosen, profile))
    return choose([setting for setting in swept if setting.policy != OURS])


def score(bench: Bench, choices: Mapping[str, Mapping[str, Setting]]) -> list[Row]:
    """Everything after tuning, the most important first. Raises OutOfTimeError."""
    return [row for stage, jobs in _stages(bench.chosen, choices) for row in bench.run(jobs, stage)]


def finished(bench: Bench, choices: Mapping[str, Mapping[str, Setting]]) -> list[Row]:
    """What `score` has done so far."""
    return [row for _, jobs in _stages(bench.chosen, choices) for row in bench.done(jobs)]


def _stages(chosen: plan.Set, choices: Mapping[str, Mapping[str, Setting]]) -> Iterator[tuple[str, list[Job]]]:
    for profile, settings in choices.items():
        labels = {policy: setting.label for policy, setting in settings.items()}
        yield f"scores, profile {profile}", plan.final_jobs(chosen, profile, labels)
    for profile, settings in choices.items():
        yield f"cold starts, profile {profile}", plan.cold_start_jobs(chosen, profile, best_peers(settings))
    for profile, settings in choices.items():
        labels = {policy: setting.label for policy, setting in settings.items()}
        yield f"native track, profile {profile}", plan.native_jobs(chosen, profile, labels)


def note(choices: Mapping[str, Mapping[str, Setting]], path: Path) -> None:
    """Write the choices where the command finds them."""
    noted = {
        profile: {
            policy: {
                "setting": setting.label,
                "slo_attainment": round(setting.slo_attainment, 5),
                "gpu_hours": round(setting.gpu_hours, 2),
            }
            for policy, setting in settings.items()
        }
        for profile, settings in choices.items()
    }
    path.write_text(json.dumps(noted, indent=1, sort_keys=True) + "\n", encoding="utf-8")
