"""`chatscale simulate`: from flags to numbers, a table, a JSON list and a picture."""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from tqdm import tqdm

from chatscale_simulator.contenders import OURS, announced, contenders
from chatscale_simulator.errors import InputError
from chatscale_simulator.inputs.chatmodel import read_subject
from chatscale_simulator.inputs.traces import Traffic, load, rounded_to_s
from chatscale_simulator.jobs import Job, Row, on_all_cores, play
from chatscale_simulator.report import advice, tables
from chatscale_simulator.report.plots import check_ending, draw_day
from chatscale_simulator.revision import git_revision
from chatscale_simulator.simulation.outcome import ColdStart, Track

_DRAWN: Final = 4
"""Policies in a picture: more lines than that nobody tells apart."""
_WRITE_EVERY_S: Final = 10.0
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
    chosen = contenders(options.policy)
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
    results = _Results(options.json)
    for _, row in done:
        results.add(row | {"git_revision": revision})
    sys.stdout.write(tables.compare(results.rows, options.gpu_price_per_hour) + "\n")
    results.write()
    if options.plot is not None:
        _draw_compared(options.plot, jobs[: len(chosen)], results.rows)
    return 0


def _draw_compared(path: Path, jobs: list[Job], rows: list[Row]) -> None:
    """Play again what is drawn: ours, and the cheapest of the others that keep the most promises."""

    def worth(at: int) -> tuple[bool, float, float]:
        row = rows[at]
        return (row["policy"] != OURS, -min(round(row["slo_attainment"], 3), 0.99), row["gpu_hours"])

    drawn = [jobs[at] for at in sorted(range(len(jobs)), key=worth)[:_DRAWN]]
    outcomes = {job.contender.policy: play(job)[0] for job in drawn}
    draw_day(outcomes, f"{jobs[0].traffic.name}: replicas against load", path)


def _advise(options: argparse.Namespace, traffics: list[Traffic]) -> int:
    if options.policy is not None:
        raise InputError("--policy cannot be given with --chatmodel: its own spec says how it scales")
    subject = read_subject(options.chatmodel, options.profile, options.event, options.starts_at)
    track = Track(options.track or subject.track)
    cold_start, revision = ColdStart(options.cold_start), git_revision()
    _check_traffics(traffics)
    work = [(traffic, seed) for traffic in traffics for seed in range(options.seeds)]
    results = _Results(options.json)
    for traffic, seed in _progress(work, len(work), "runs"):
        outcome, row = advice.play(subject, traffic, cold_start, track, seed)
        results.add(row | {"git_revision": revision})
        if seed == 0:
            tqdm.write(advice.tell(subject, traffic, outcome, row, options.gpu_price_per_hour))
        if (traffic, seed) == work[0] and options.plot is not None:
            draw_day({subject.name: outcome}, f"{subject.name} under {traffic.name}", options.plot)
    results.write()
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


class _Results:
    """Rows as they come. A run of hours that is stopped has told what it found: the file is whole at any time."""

    def __init__(self, path: Path | None) -> None:
        self.rows: list[Row] = []
        self._path = path
        self._is_file = path is not None and (path.is_file() or not path.exists())
        """A pipe is written once, at the end."""
        self._written_s = time.monotonic()

    def add(self, row: Row) -> None:
        """Take one more; written now and then. A disk that is full for a moment stops no run."""
        self.rows.append(row)
        if self._is_file and time.monotonic() - self._written_s >= _WRITE_EVERY_S:
            with suppress(InputError):
                self.write()

    def write(self) -> None:
        """Write all so far. Raises InputError."""
        if self._path is None:
            return
        text = json.dumps(self.rows, indent=1) + "\n"
        try:
            if self._is_file:
                part = self._path.with_name(self._path.name + ".part")
                part.write_text(text, encoding="utf-8")
                part.replace(self._path)
            else:
                self._path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise InputError(f"--json {self._path}: cannot be written, {error.strerror}") from error
        self._written_s = time.monotonic()


def _progress(each: Iterable[T], total: int, unit: str) -> Iterator[T]:
    """A bar on standard error, where a person looks on."""
    yield from tqdm(each, total=total, unit=f" {unit}", file=sys.stderr, disable=not sys.stderr.isatty(), leave=False)
