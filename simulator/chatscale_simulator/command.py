"""`chatscale simulate`: runs what the flags select, and writes a table, a JSON list and a picture."""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from tqdm import tqdm

from chatscale_contract.money import Price
from chatscale_simulator.errors import InputError
from chatscale_simulator.inputs.chatmodel import read_model
from chatscale_simulator.inputs.traces import Traffic, load, rounded_to_s
from chatscale_simulator.jobs import Job, Row, run_job, run_jobs
from chatscale_simulator.policy_choice import CHATSCALE, chatscale_with_events, choose_policies
from chatscale_simulator.report import forecast, tables
from chatscale_simulator.report.plots import check_ending, draw_day
from chatscale_simulator.revision import git_revision
from chatscale_simulator.simulation.scenario import ColdStart, Routing, Track

_DRAWN: Final = 4
"""Policies in a picture. More lines are hard to distinguish."""
_WRITE_EVERY_S: Final = 10.0
T = TypeVar("T")


def simulate(options: argparse.Namespace) -> int:
    """Run the simulation. Returns 0. Raises InputError, before the first run if possible."""
    _check_outputs(options)
    traffics = [
        Traffic(path, options.load_factor, options.hours, options.input_tokens, options.output_tokens)
        for path in options.trace
    ]
    if options.chatmodel is not None:
        return _forecast(options, traffics)
    return _compare(options, traffics)


def _compare(options: argparse.Namespace, traffics: list[Traffic]) -> int:
    profile = options.profile or "M"
    chosen = choose_policies(options.policy)
    if options.event:
        chosen.append(chatscale_with_events(options.event))
    track = Track(options.track or Track.EQUAL)
    routing = Routing(options.routing or Routing.LEAST_LOADED)
    _check_traffics(traffics)
    jobs = [
        Job(traffic, profile, ColdStart(options.cold_start), track, choice, seed, routing)
        for traffic in traffics
        for seed in range(options.seeds)
        for choice in chosen
    ]
    revision = git_revision()
    done = _progress(run_jobs(jobs, options.processes), len(jobs), "runs")
    results = _Results(options.json)
    for _, row in done:
        results.add(row | {"git_revision": revision})
    sys.stdout.write(tables.compare(results.rows, _price(options, None)) + "\n")
    results.write()
    if options.plot is not None:
        _draw_compared(options.plot, jobs[: len(chosen)], results.rows)
    return 0


def _draw_compared(path: Path, jobs: list[Job], rows: list[Row]) -> None:
    """Draw Chatscale and the cheapest of the policies with the highest attainment. The runs are repeated for it."""

    def rank(at: int) -> tuple[bool, float, float]:
        row = rows[at]
        return (row["policy"] != CHATSCALE, -min(round(row["slo_attainment"], 3), 0.99), row["gpu_hours"])

    selected = [jobs[at] for at in sorted(range(len(jobs)), key=rank)[:_DRAWN]]
    results = {job.choice.policy: run_job(job)[0] for job in selected}
    draw_day(results, f"{jobs[0].traffic.name}: replicas against load", path)


def _forecast(options: argparse.Namespace, traffics: list[Traffic]) -> int:
    if options.policy is not None:
        raise InputError("--policy cannot be given with --chatmodel: the ChatModel's own spec decides how it scales")
    model = read_model(options.chatmodel, options.profile, options.event, options.starts_at)
    track = Track(options.track or model.track)
    cold_start, revision = ColdStart(options.cold_start), git_revision()
    routing = Routing(options.routing or Routing.GATEWAY)
    _check_traffics(traffics)
    work = [(traffic, seed) for traffic in traffics for seed in range(options.seeds)]
    results = _Results(options.json)
    for traffic, seed in _progress(work, len(work), "runs"):
        result, row = forecast.simulate_model(model, traffic, cold_start, track, seed, routing)
        results.add(row | {"git_revision": revision})
        if seed == 0:
            tqdm.write(forecast.format_forecast(model, traffic, result, row, _price(options, model.price)))
        if (traffic, seed) == work[0] and options.plot is not None:
            draw_day({model.name: result}, f"{model.name} under {traffic.name}", options.plot)
    results.write()
    return 0


def _price(options: argparse.Namespace, stated: Price | None) -> Price | None:
    """The price of the flag, or else the ChatModel's; None if it has none for GPU time."""
    if options.gpu_price_per_hour is None:
        return stated if stated is not None and stated.gpu_hour is not None else None
    return replace(stated or Price(), gpu_hour=options.gpu_price_per_hour)


def _check_traffics(traffics: list[Traffic]) -> None:
    """Read every trace before the first run, and report rounded arrivals. Raises InputError."""
    paths: dict[str, Path] = {}
    for traffic in traffics:
        if traffic.name in paths:
            raise InputError(
                "--trace files must have different names, because results are identified by them: "
                f"found {paths[traffic.name]} and {traffic.path}"
            )
        paths[traffic.name] = traffic.path
        load(traffic, 0)
        if grid_s := rounded_to_s(traffic):
            tqdm.write(
                f"{traffic.path}: all arrivals are multiples of {grid_s:g} s, each is moved at random within that time",
                sys.stderr,
            )


def _check_outputs(options: argparse.Namespace) -> None:
    if options.plot is not None:
        check_ending(options.plot)
    for flag, path in (("--json", options.json), ("--plot", options.plot)):
        if path is not None and not path.parent.is_dir():
            raise InputError(f"{flag} must be in a folder that exists, found {path}")


class _Results:
    """The rows so far. The file is complete JSON at any time, so that a run that is stopped keeps its results."""

    def __init__(self, path: Path | None) -> None:
        self.rows: list[Row] = []
        self._path = path
        self._is_file = path is not None and (path.is_file() or not path.exists())
        """A pipe is written once, at the end."""
        self._written_s = time.monotonic()

    def add(self, row: Row) -> None:
        """Add a row and write the file at intervals. A full disk does not stop the run."""
        self.rows.append(row)
        if self._is_file and time.monotonic() - self._written_s >= _WRITE_EVERY_S:
            with suppress(InputError):
                self.write()

    def write(self) -> None:
        """Write all rows. Raises InputError."""
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
    """A progress bar on standard error, if that is a terminal."""
    yield from tqdm(each, total=total, unit=f" {unit}", file=sys.stderr, disable=not sys.stderr.isatty(), leave=False)
