"""`python -m tests.benchmarks.autoscaling`: tune the peers, score all policies, write docs/benchmarks/autoscaling*.

Every finished run is stored; the next execution does only the runs that are missing or whose sources have changed.
`--set short` scores six hours of each day with two seeds. `--set routing` compares the gateway with a Service, and
replaces that part of the front page. `--set reduced` takes a few minutes in a fresh clone and writes only the
files that its flags name.
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
from tests.benchmarks.autoscaling import acceptance, plan, routing
from tests.benchmarks.autoscaling.pages.content import Content, write_pages
from tests.benchmarks.autoscaling.pages.routed import routing_section, with_section
from tests.benchmarks.autoscaling.stages import (
    Benchmark,
    OutOfTimeError,
    Setting,
    best_peers,
    extend,
    finished,
    on_announced,
    on_whole_days,
    save_settings,
    score,
    swept,
    tune,
)
from tests.benchmarks.autoscaling.store import Store
from tests.benchmarks.autoscaling.variants import TUNED, TUNED_FILE, run_job

PAGES = ROOT / "docs" / "benchmarks"
FRONT_PAGE = "autoscaling.md"
ROUTING_ROWS = PAGES / "autoscaling" / "routing.json"
"""Results of `--set routing`. They are in the repository, because the other sets need them for the page."""
TRACES = ROOT.parent / "shared" / "traces"
EXIT_NO_TRACES = 66
_DRAWN_PEERS = 2
Tuned = Mapping[str, Mapping[str, Setting]]
"""Tuned settings by profile and policy."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until the end or until the time budget is used up. Returns 0 if nothing is missing."""
    options = _parse(arguments)
    sets = {"full": plan.full, "short": plan.short, "routing": plan.full}
    chosen = sets[options.set](options.traces) if options.set in sets else plan.reduced()
    missing = plan.missing(chosen)
    if missing:
        sys.stderr.write(f"the set {options.set} needs {len(missing)} more traces, the first is {missing[0]}\n")
        return EXIT_NO_TRACES
    deadline = time.monotonic() + options.budget * 3600
    benchmark = Benchmark(chosen, Store(options.store), deadline, options.processes)
    if options.set == "routing":
        return _compare_routing(benchmark, options.pages)
    tuned, note = _run(benchmark)
    rows = finished(benchmark, tuned)
    if options.set != "reduced" and tuned.keys() == set(chosen.profiles):
        save_settings(tuned, TUNED_FILE)
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if options.pages is not None and rows:
        _write_pages(options.pages, benchmark, tuned, rows, note)
    sys.stdout.write(f"{len(rows)} runs are scored. {note}\n")
    return 0 if note == "" else 1


def _compare_routing(benchmark: Benchmark, folder: Path) -> int:
    """Run the traffic through the gateway and through a Service, and write that part of the front page."""
    jobs = routing.jobs(benchmark.chosen)
    try:
        rows = benchmark.run(jobs, "routing")
    except OutOfTimeError as error:
        sys.stderr.write(f"Incomplete, the time was up in {error}.\n")
        return 1
    recorded = routing.Recorded(benchmark.revision, benchmark.hours() * 60, rows)
    routing.write(ROUTING_ROWS, recorded)
    page = folder / FRONT_PAGE
    page.write_text(with_section(page.read_text(encoding="utf-8"), routing_section(recorded)), encoding="utf-8")
    return 0


def _run(benchmark: Benchmark) -> tuple[Tuned, str]:
    """Run all stages, or as many as there is time for. Returns the tuned settings and what is missing."""
    tuned: dict[str, dict[str, Setting]] = {}
    try:
        for profile in benchmark.chosen.profiles:
            tuned[profile] = tune(benchmark, profile)
            score(benchmark, profile, tuned[profile])
        extend(benchmark, tuned)
    except OutOfTimeError as error:
        return tuned, f"Incomplete, the time was up in {error}."
    return tuned, ""


def _write_pages(folder: Path, benchmark: Benchmark, tuned: Tuned, rows: list[Row], note: str) -> None:
    (folder / "autoscaling").mkdir(parents=True, exist_ok=True)
    found = acceptance.scenes(rows)
    content = Content(
        scenes=found,
        criteria=acceptance.check(found, benchmark.chosen.traces),
        whole_days=acceptance.scenes(on_whole_days(benchmark, tuned)),
        announced=acceptance.scenes(on_announced(benchmark, tuned)),
        settings=tuned,
        traces=benchmark.chosen.traces,
        revision=benchmark.revision,
        played=plan.describe_set(benchmark.chosen),
        note=note,
        core_hours=benchmark.hours(),
        day_picture=_draw_day(folder, benchmark, tuned),
        cost_pictures=_draw_costs(folder / "autoscaling", benchmark, tuned),
        routing=routing.read(ROUTING_ROWS),
    )
    for name, text in write_pages(content).items():
        (folder / name).write_text(text, encoding="utf-8")


def _draw_day(folder: Path, benchmark: Benchmark, tuned: Tuned) -> tuple[str, str]:
    """Draw replicas and load over the last full day of the set, for Chatscale and the best tuned peers."""
    profile = next(iter(tuned))
    traces = benchmark.chosen.traces
    trace = next((trace for trace in reversed(traces) if trace.daily), traces[-1])
    best = best_peers(tuned[profile], _DRAWN_PEERS).items()
    choices = [PolicyChoice(CHATSCALE, SHIPPED), *(PolicyChoice(name, TUNED, label) for name, label in best)]
    traffic = plan.traffic(benchmark.chosen, trace, profile)
    results = {
        choice.policy: run_job(Job(traffic, profile, ColdStart.CACHED, Track.EQUAL, choice, plan.TUNING_SEED + 1))[0]
        for choice in choices
    }
    file = "autoscaling/replicas-over-a-day.svg"
    draw_day(results, f"{trace.name}, profile {profile}: replicas and load", folder / file)
    return f"Replicas and load over {trace.name}, profile {profile}", file


def _draw_costs(folder: Path, benchmark: Benchmark, tuned: Tuned) -> list[tuple[str, str]]:
    """Draw attainment and cost of all settings over the development traces, one picture per profile."""
    pictures = []
    for profile in tuned:
        points: dict[str, list[Point]] = {}
        for setting in swept(benchmark, profile):
            points.setdefault(setting.policy, []).append(Point(setting.slo_attainment, setting.gpu_hours))
        file = f"cost-{profile.lower()}.svg"
        draw_cost(points, f"Profile {profile}: GPU-hours against SLO attainment, all development traces", folder / file)
        pictures.append((f"GPU-hours against requests within the SLO, profile {profile}", file))
    return pictures


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.benchmarks.autoscaling", description=__doc__)
    add = parser.add_argument
    add("--set", choices=("full", "short", "routing", "reduced"), default="full")
    add("--traces", type=Path, default=TRACES, help=f"folder of the public traces, for the full set ({TRACES})")
    add("--budget", type=float, default=6.0, metavar="HOURS", help="stop after this time; the next execution continues")
    add("--store", type=Path, default=cache_dir() / "bench-autoscaling.jsonl", help="file of finished runs")
    add("--json", type=Path, default=None, help="write the scores, in the format of `chatscale simulate --json`")
    add(
        "--pages",
        type=Path,
        default=None,
        metavar="FOLDER",
        help=f"write autoscaling.md and autoscaling/*.md there (full and short set: {PAGES.relative_to(ROOT)})",
    )
    add("--processes", type=int, default=None)
    options = parser.parse_args(arguments)
    if options.pages is None and options.set != "reduced":
        options.pages = PAGES
    return options


if __name__ == "__main__":
    sys.exit(main())
