"""`python -m tests.benchmarks.autoscaling`: tune the peers, score everybody, write docs/benchmarks/autoscaling.md.

Every finished run is kept; a second go does only what is missing or whose sources have changed. `--set short` plays
six hours of each day with two seeds, `--set reduced` takes a minute or two in a fresh clone and writes nothing but what
it is told to.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from chatscale_simulator.jobs import Job, Row
from chatscale_simulator.policies.registry import SHIPPED
from chatscale_simulator.policy_choice import CHATSCALE, PolicyChoice
from chatscale_simulator.report.plots import Point, draw_cost, draw_day
from chatscale_simulator.simulation.scenario import ColdStart, Track
from hack.paths import ROOT, cache_dir
from tests.benchmarks.autoscaling import acceptance, page, plan
from tests.benchmarks.autoscaling.stages import (
    Bench,
    OutOfTimeError,
    Setting,
    best_peers,
    extend,
    finished,
    note,
    on_announced,
    on_whole_days,
    score,
    swept,
    tune,
)
from tests.benchmarks.autoscaling.store import Store
from tests.benchmarks.autoscaling.variants import TUNED, TUNED_FILE, play

PAGE = ROOT / "docs" / "benchmarks" / "autoscaling.md"
TRACES = ROOT.parent / "shared" / "traces"
EXIT_NO_TRACES = 66
_DRAWN_PEERS = 2
Choices = Mapping[str, Mapping[str, Setting]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as far as the budget goes; the page tells what is missing. 0 if nothing is."""
    options = _parse(arguments)
    sets = {"full": plan.full, "short": plan.short}
    chosen = sets[options.set](options.traces) if options.set in sets else plan.reduced()
    missing = plan.missing(chosen)
    if missing:
        sys.stderr.write(f"the set {options.set} needs {len(missing)} traces more, the first is {missing[0]}\n")
        return EXIT_NO_TRACES
    bench = Bench(chosen, Store(options.store), time.monotonic() + options.budget * 3600, options.processes)
    choices, told = _run(bench)
    rows = finished(bench, choices)
    if options.set != "reduced" and choices.keys() == set(chosen.profiles):
        note(choices, TUNED_FILE)
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if options.page is not None and rows:
        _write_page(options.page, bench, choices, rows, told)
    sys.stdout.write(f"{len(rows)} runs are scored. {told}\n")
    return 0 if told == "" else 1


def _run(bench: Bench) -> tuple[Choices, str]:
    """All stages, or as many as there is time for; what is missing in words."""
    choices: dict[str, dict[str, Setting]] = {}
    try:
        for profile in bench.chosen.profiles:
            choices[profile] = tune(bench, profile)
            score(bench, profile, choices[profile])
        extend(bench, choices)
    except OutOfTimeError as error:
        return choices, f"Incomplete, the time was up in {error}."
    return choices, ""


def _write_page(path: Path, bench: Bench, choices: Choices, rows: list[Row], told: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    found = acceptance.scenes(rows)
    content = page.Content(
        scenes=found,
        lines=acceptance.judge(found, bench.chosen.traces),
        whole=acceptance.scenes(on_whole_days(bench, choices)),
        announced=acceptance.scenes(on_announced(bench, choices)),
        settings=choices,
        traces=bench.chosen.traces,
        revision=bench.revision,
        played=plan.in_words(bench.chosen),
        note=told,
        core_hours=bench.hours(),
        pictures=[*_days(path, bench, choices), *_trades(path, bench, choices)],
    )
    path.write_text(page.write(content), encoding="utf-8")


def _days(path: Path, bench: Bench, choices: Choices) -> list[tuple[str, str]]:
    """Replicas against load over the day with the largest crowd: ours, and the best tuned peers."""
    profile = next(iter(choices))
    trace = next((trace for trace in reversed(bench.chosen.traces) if trace.daily), bench.chosen.traces[-1])
    best = best_peers(choices[profile], _DRAWN_PEERS).items()
    choices = [PolicyChoice(CHATSCALE, SHIPPED), *(PolicyChoice(name, TUNED, label) for name, label in best)]
    played = plan.traffic(bench.chosen, trace, profile)
    seed = plan.TUNING_SEED + 1
    outcomes = {
        choice.policy: play(Job(played, profile, ColdStart.CACHED, Track.EQUAL, choice, seed))[0] for choice in choices
    }
    file = path.with_name(f"{path.stem}-day.svg")
    draw_day(outcomes, f"{trace.name}, profile {profile}: replicas follow the load", file)
    return [(f"Replicas paid for, and the load, over {trace.name}", file.name)]


def _trades(path: Path, bench: Bench, choices: Choices) -> list[tuple[str, str]]:
    """What each policy's settings keep and cost over the development traces, one picture a profile."""
    pictures = []
    for profile in choices:
        sweeps: dict[str, list[Point]] = {}
        for setting in swept(bench, profile):
            sweeps.setdefault(setting.policy, []).append(Point(setting.slo_attainment, setting.gpu_hours))
        file = path.with_name(f"{path.stem}-trade-{profile.lower()}.svg")
        draw_cost(sweeps, f"Profile {profile}: cost of keeping the promise, all development traces", file)
        pictures.append((f"GPU-hours against requests within the SLO, profile {profile}", file.name))
    return pictures


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.benchmarks.autoscaling", description=__doc__)
    add = parser.add_argument
    add("--set", choices=("full", "short", "reduced"), default="full")
    add("--traces", type=Path, default=TRACES, help=f"folder of the public traces, for the full set ({TRACES})")
    add("--budget", type=float, default=6.0, metavar="HOURS", help="stop after this long; a next go resumes")
    add("--store", type=Path, default=cache_dir() / "bench-autoscaling.jsonl", help="finished runs")
    add("--json", type=Path, default=None, help="the scores as `chatscale simulate --json` writes them")
    add("--page", type=Path, default=None, help=f"Markdown to write (full set: {PAGE.relative_to(ROOT)})")
    add("--processes", type=int, default=None)
    options = parser.parse_args(arguments)
    if options.page is None and options.set != "reduced":
        options.page = PAGE
    return options


if __name__ == "__main__":
    sys.exit(main())
