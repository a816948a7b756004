"""The stages one after the other: tune, score, other cold starts, native signals. Each resumes where it stopped.

The most telling comes first, so that a bench that is stopped early has told most.
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

PROMISE = 0.99
"""Attainment that a tuned setting must have over the development set."""
TOOK_S = "took_s"
REPEATED = 2
"""Tuned peers a trace that are played with every seed; the others with one, for they decide nothing."""
SLACK = 0.001
"""A peer counts as equally good if it keeps this much less."""


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
    seen: set[Job] = field(default_factory=set)
    """Every run that was asked for."""

    def run(self, jobs: Sequence[Job], stage: str) -> list[Row]:
        """Do what is not done yet. Raises OutOfTimeError."""
        self.seen.update(jobs)
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
        """Results of the jobs that are finished."""
        found = [(job, self.store.find(job)) for job in jobs]
        return [row | {"variant": job.choice.variant} for job, row in found if row is not None]

    def hours(self) -> float:
        """Hours of one core that all runs took that are done and belong to this set."""
        return sum(self.store.took_s(job) for job in self.seen) / 3600


def measure_timed(job: Job) -> Row:
    """Do the run, and tell the seconds that it took."""
    began = time.perf_counter()
    row = measure(job)
    return row | {TOOK_S: time.perf_counter() - began}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of one policy over the development set."""

    policy: str
    label: str
    slo_attainment: float
    """Of all requests of the traces: one that nobody can hold does not decide alone."""
    gpu_hours: float
    """Of the traces."""


def sweep(found: Sequence[tuple[Job, Row]], windows: Sequence[plan.Window]) -> list[Setting]:
    """Add the windows up, by setting, each for as much as it stands for."""
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


def swept(bench: Bench, profile: str) -> list[Setting]:
    """Every setting that tuning has played so far."""
    jobs, windows = plan.tuning_jobs(bench.chosen, profile), plan.windows(bench.chosen, profile)
    return sweep([(job, row) for job in jobs if (row := bench.store.find(job)) is not None], windows)


def choose(settings: Sequence[Setting]) -> dict[str, Setting]:
    """For each policy the cheapest setting that keeps the promise, or else the one that comes closest to it."""
    by_policy: dict[str, list[Setting]] = defaultdict(list)
    for setting in settings:
        by_policy[setting.policy].append(setting)
    return {policy: min(tried, key=_worth) for policy, tried in by_policy.items()}


def _worth(setting: Setting) -> tuple[bool, float, float]:
    keeps = setting.slo_attainment >= PROMISE
    return (not keeps, 0.0 if keeps else -setting.slo_attainment, setting.gpu_hours)


def best_peers(chosen: Mapping[str, Setting], count: int) -> dict[str, str]:
    """Labels of the peers that keep the promise for least."""
    return {setting.policy: setting.label for setting in sorted(chosen.values(), key=_worth)[:count]}


def tune(bench: Bench, profile: str) -> dict[str, Setting]:
    """Run the grids of all peers. Raises OutOfTimeError."""
    bench.run(plan.tuning_jobs(bench.chosen, profile), f"tuning, profile {profile}")
    return choose([setting for setting in swept(bench, profile) if setting.policy != CHATSCALE])


def score(bench: Bench, profile: str, settings: Mapping[str, Setting]) -> list[Row]:
    """What the bar is judged by: first everybody once, then who is close with all seeds. Raises OutOfTimeError."""
    rows = bench.run(plan.first_jobs(bench.chosen, profile, _labels(settings)), f"scores, profile {profile}")
    again = plan.repeated_jobs(bench.chosen, profile, near(bench, profile, settings))
    return rows + bench.run(again, f"more seeds, profile {profile}")


def extend(bench: Bench, choices: Mapping[str, Mapping[str, Setting]]) -> list[Row]:
    """Everything after the main scores, the most important first. Raises OutOfTimeError."""
    stages = (
        *_whole_days(bench, choices),
        *_announced(bench, choices),
        *_extensions(bench, choices),
    )
    return [row for stage, jobs in stages for row in bench.run(jobs, stage)]


def finished(bench: Bench, choices: Mapping[str, Mapping[str, Setting]]) -> list[Row]:
    """Every score there is so far, each run once."""
    rows: list[Row] = []
    for profile, settings in choices.items():
        rows += bench.done(plan.first_jobs(bench.chosen, profile, _labels(settings)))
        rows += bench.done(plan.repeated_jobs(bench.chosen, profile, near(bench, profile, settings)))
    rows += [row for _, jobs in _extensions(bench, choices) for row in bench.done(jobs)]
    return list({json.dumps(row, sort_keys=True): row for row in rows}.values())


def on_whole_days(bench: Bench, choices: Mapping[str, Mapping[str, Setting]]) -> list[Row]:
    """Scores on whole traces so far; none where all scores are taken on those."""
    return [row for _, jobs in _whole_days(bench, choices) for row in bench.done(jobs)]


def on_announced(bench: Bench, choices: Mapping[str, Mapping[str, Setting]]) -> list[Row]:
    """Scores of the track of announced events so far."""
    return [row for _, jobs in _announced(bench, choices) for row in bench.done(jobs)]


def near(bench: Bench, profile: str, settings: Mapping[str, Setting]) -> dict[str, str]:
    """Labels of the peers that came close in the first scores: they are played with all seeds, other cold starts, and
    on whole days, so that no line of the bar is judged without a peer that might hold it."""
    labels = _labels(settings)
    return {policy: labels[policy] for policy in close(bench.done(plan.first_jobs(bench.chosen, profile, labels)))}


def close(rows: Sequence[Row]) -> list[str]:
    """Tuned peers worth all seeds: on some trace among the REPEATED best, or the cheapest that keeps what we do."""
    found: dict[str, None] = {}
    for trace in dict.fromkeys(row["trace"] for row in rows):
        here = [row for row in rows if row["trace"] == trace]
        tuned = sorted((row for row in here if row["variant"] == TUNED), key=_rank)
        ours = max((row["slo_attainment"] for row in here if row["policy"] == CHATSCALE), default=1.0)
        equal = sorted(
            (row for row in tuned if row["slo_attainment"] >= ours - SLACK), key=lambda row: float(row["gpu_hours"])
        )
        found |= dict.fromkeys(row["policy"] for row in (*tuned[:REPEATED], *equal[:1]))
    return list(found)


def _rank(row: Row) -> tuple[float, float]:
    """By the promise first, then by cost."""
    return (-min(round(row["slo_attainment"], 3), PROMISE), row["gpu_hours"])


def _whole_days(bench: Bench, choices: Mapping[str, Mapping[str, Setting]]) -> Iterator[tuple[str, list[Job]]]:
    for profile, settings in choices.items():
        jobs = plan.whole_jobs(bench.chosen, profile, near(bench, profile, settings))
        yield f"whole days, profile {profile}", jobs


def _announced(bench: Bench, choices: Mapping[str, Mapping[str, Setting]]) -> Iterator[tuple[str, list[Job]]]:
    for profile in choices:
        yield f"announced events, profile {profile}", plan.announced_jobs(bench.chosen, profile)


def _extensions(bench: Bench, choices: Mapping[str, Mapping[str, Setting]]) -> Iterator[tuple[str, list[Job]]]:
    chosen = bench.chosen
    for profile in choices:
        yield f"references, profile {profile}", plan.bar_references(chosen, profile)
    for profile, settings in choices.items():
        yield f"cold starts, profile {profile}", plan.cold_start_jobs(chosen, profile, near(bench, profile, settings))
    for profile, settings in choices.items():
        yield f"native track, profile {profile}", plan.native_jobs(chosen, profile, _labels(settings))
    for profile in choices:
        yield f"all references, profile {profile}", plan.all_references(chosen, profile)


def _labels(settings: Mapping[str, Setting]) -> dict[str, str]:
    return {policy: setting.label for policy, setting in settings.items()}


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
