"""`python -m tests.benchmarks.reaction.kind`: a burst on the kind cluster, three autoscaling blocks in turn.

Needs the images of `make images` and an idle machine. 10 rounds take 50 minutes. The next ChatModel idles while the
present one has its burst. Each burst is saved at once; `--resume` goes on with a saved run.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from hack.install import install
from hack.paths import ROOT
from tests.benchmarks.reaction.kind.measure import Prepared, measure, prepare
from tests.benchmarks.reaction.kind.page import DATA, PAGE, with_section
from tests.benchmarks.reaction.kind.results import Burst, Measured, load, save
from tests.benchmarks.reaction.kind.scene import IDLE_S, Variant, fixed, scaled
from tests.benchmarks.server.machine import describe
from tests.support.cluster_lock import operator_alone, operator_shared

MOST_FIXED: Final = 8
STARTS_EARLIER_S: Final = 12.0
"""The next ChatModel is applied and the last one deleted this long before a burst: their pods need the processors."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One variant in one round."""

    number: int
    """Of the round, from 0; also the seed of its arrivals."""
    variant: Variant


def turns(rounds: int) -> Iterator[Turn]:
    """All variants in every round. Each round begins with another one, so that none always follows the same."""
    variants = list(Variant)
    for number in range(rounds):
        first = number % len(variants)
        for variant in variants[first:] + variants[:first]:
            yield Turn(number, variant)


def measure_fixed(measured: Measured, data: Path) -> Measured:
    """Bursts on 1, 2, ... replicas, up to the first count that refuses nothing."""
    for replicas in range(1, MOST_FIXED + 1):
        burst = measure(prepare(partial(fixed, replicas), replicas), 0, time.monotonic() + STARTS_EARLIER_S)
        measured = measured.with_fixed(replicas, burst)
        save(measured, data)
        _report(f"{replicas} fixed", burst)
        if burst.refused == 0:
            break
    return measured


def measure_rounds(measured: Measured, todo: Sequence[Turn], data: Path) -> Measured:
    """Every turn in order; while one has its burst, the next model idles."""
    with ThreadPoolExecutor(max_workers=1) as starter:
        coming: Future[Prepared] | None = _start(starter, todo[0]) if todo else None
        for turn, following in zip(todo, [*todo[1:], None], strict=True):
            assert coming is not None
            prepared = coming.result()
            begin_at_s = max(prepared.ready_at_s + IDLE_S, time.monotonic() + STARTS_EARLIER_S)
            time.sleep(max(0.0, begin_at_s - STARTS_EARLIER_S - time.monotonic()))
            coming = None if following is None else _start(starter, following)
            burst = measure(prepared, turn.number, begin_at_s)
            measured = measured.with_burst(turn.number, turn.variant, burst)
            save(measured, data)
            _report(f"round {turn.number + 1}, {turn.variant}", burst)
    return measured


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the page. Returns 0 unless a request was lost."""
    options = _options(arguments)
    if options.resume:
        measured = load(options.data)
    else:
        machine = dict(describe("cpu"))
        measured = Measured(date=machine["date"], revision=machine["revision"], machine=machine["CPU"])
    if not options.installed:
        with operator_alone():
            install()
    with operator_shared():
        if not any(burst.refused == 0 for burst in measured.fixed.values()):
            measured = measure_fixed(measured, options.data)
        done = {Turn(number, variant) for number, each in enumerate(measured.rounds) for variant in each}
        measured = measure_rounds(measured, [turn for turn in turns(options.rounds) if turn not in done], options.data)
    options.page.write_text(with_section(options.page.read_text(encoding="utf-8"), measured), encoding="utf-8")
    return 1 if any(burst.lost for each in measured.rounds for burst in each.values()) else 0


def _start(starter: ThreadPoolExecutor, turn: Turn) -> "Future[Prepared]":
    return starter.submit(prepare, partial(scaled, turn.variant), 1)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.reaction.kind", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="rounds of three bursts (10)")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --data")
    parser.add_argument("--installed", action="store_true", help="do not install the chart: it is there")
    parser.add_argument("--data", type=Path, default=DATA, help=f"results ({DATA.relative_to(ROOT)})")
    parser.add_argument("--page", type=Path, default=PAGE, help=f"page with the section ({PAGE.relative_to(ROOT)})")
    return parser.parse_args(arguments)


def _report(what: str, burst: Burst) -> None:
    counts = ", ".join(f"{count} at {at_s:.1f} s" for at_s, count in burst.counts)
    print(
        f"{what}: {burst.missed:.1%} missed ({burst.refused} refused, {burst.late} late, {burst.lost} lost of "
        f"{burst.sent}); spec.replicas {counts}; load average {burst.load_average}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
