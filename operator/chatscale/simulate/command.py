"""`chatscale simulate`: from flags to numbers, a table, a JSON list and a picture."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from tqdm import tqdm

from chatscale.simulate import advice, tables
from chatscale.simulate.chatmodel import read_subject
from chatscale.simulate.contenders import OURS, REFERENCE, SHIPPED, Contender, announced, contenders
from chatscale.simulate.errors import InputError
from chatscale.simulate.jobs import Job, Row, on_all_cores, play
from chatscale.simulate.plots import check_ending, draw_day
from chatscale.simulate.revision import git_revision
from chatscale.simulate.traces import Traffic, load, rounded_to_s
from chatscale.simulation.outcome import ColdStart, Track

_DRAWN: Final = 4
"""Policies in a picture: more lines than that nobody tells apart."""
T = TypeVar("T")


def simulate(options: argparse.Namespace) -> int:
    """Do what the flags ask. Returns 0. Raises InputError, before the first run where that can be known."""
    _check_outputs(options)
    traffics = [
        Traffic(path, options.load_factor, options.hours, options.input_tokens, options.output_tokens)
        for path in options.trace
    ]
    if options.chatmodel is not None:
        return _advise(options, traffics)
    return _compare(options, traffics)


def _compare(options: argparse.Namespace, traffics: list[Traffic]) -> int:
    profile = options.profile or "M"
    chosen = contenders(options.policy, profile)
    if options.event:
        chosen.append(announced(options.event))
    track = Track(options.track or Track.EQUAL)
    _check_traffics(traffics)
    jobs = [
        Job(traffic, profile, ColdStart(options.cold_start), track, contender, seed)
        for traffic in traffics
        for seed in range(options.seeds)
        for contender in chosen
    ]
    revision = git_revision()
    done = _progress(on_all_cores(jobs, options.processes), len(jobs), "runs")
    rows: list[Row] = []
    for _, row in done:
        rows.append(row | {"git_revision": revision})
        _write_json(options.json, rows)
    sys.stdout.write(tables.compare(rows, options.gpu_price_per_hour) + "\n")
    if options.plot is not None:
        _draw_compared(options.plot, jobs[: len(chosen)], rows)
    return 0


def _draw_compared(path: Path, jobs: list[Job], rows: list[Row]) -> None:
    """Play again what is drawn: ours, and the cheapest of the others that keep the most promises."""

    def worth(at: int) -> tuple[bool, float, float]:
        row = rows[at]
        return (row["policy"] != OURS, -min(round(row["slo_attainment"], 3), 0.99), row["gpu_hours"])

    # A reference is not a policy, and would do dozens of runs again.
    drawable = [at for at, job in enumerate(jobs) if job.contender.variant != REFERENCE] or range(len(jobs))
    drawn = [jobs[at] for at in sorted(drawable, key=worth)[:_DRAWN]]
    outcomes = {_label(job.contender): play(job)[0] for job in drawn}
    draw_day(outcomes, f"{jobs[0].traffic.name}: replicas against load", path)


def _label(contender: Contender) -> str:
    return contender.policy if contender.variant == SHIPPED else f"{contender.policy} ({contender.variant})"


def _advise(options: argparse.Namespace, traffics: list[Traffic]) -> int:
    if options.policy is not None:
        raise InputError("--policy cannot be given with --chatmodel: its own spec says how it scales")
    subject = read_subject(options.chatmodel, options.profile, options.event, options.starts_at)
    track = Track(options.track or subject.track)
    cold_start, revision = ColdStart(options.cold_start), git_revision()
    _check_traffics(traffics)
    work = [(traffic, seed) for traffic in traffics for seed in range(options.seeds)]
    rows: list[Row] = []
    for traffic, seed in _progress(work, len(work), "runs"):
        outcome, row = advice.play(subject, traffic, cold_start, track, seed)
        rows.append(row | {"git_revision": revision})
        _write_json(options.json, rows)
        if seed == 0:
            tqdm.write(advice.tell(subject, traffic, outcome, row, options.gpu_price_per_hour))
        if (traffic, seed) == work[0] and options.plot is not None:
            draw_day({subject.name: outcome}, f"{subject.name} under {traffic.name}", options.plot)
    return 0


def _check_traffics(traffics: list[Traffic]) -> None:
    """Read each before hours of runs, and say what is changed of it. Raises InputError."""
    paths: dict[str, Path] = {}
    for traffic in traffics:
        if traffic.name in paths:
            raise InputError(
                "--trace must be files of different names, by which results are told apart: "
                f"found {paths[traffic.name]} and {traffic.path}"
            )
        paths[traffic.name] = traffic.path
        load(traffic, 0)
        if grid_s := rounded_to_s(traffic):
            tqdm.write(
                f"{traffic.path}: all arrivals are multiples of {grid_s:g} s, and are spread over that", sys.stderr
            )


def _check_outputs(options: argparse.Namespace) -> None:
    if options.plot is not None:
        check_ending(options.plot)
    for flag, path in (("--json", options.json), ("--plot", options.plot)):
        if path is not None and not path.parent.is_dir():
            raise InputError(f"{flag} must be in a folder that exists, found {path}")


def _write_json(path: Path | None, rows: list[Row]) -> None:
    """All so far: a run of hours that is stopped has told what it found."""
    if path is None:
        return
    try:
        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"--json {path}: cannot be written, {error.strerror}") from error


def _progress(each: Iterable[T], total: int, unit: str) -> Iterator[T]:
    """A bar on standard error, where a person looks on."""
    yield from tqdm(each, total=total, unit=f" {unit}", file=sys.stderr, disable=not sys.stderr.isatty(), leave=False)
