"""Trace files as workloads, ready to be played."""

import csv
import gzip
import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from zlib import error as ZlibError  # noqa: N812 - it is a class

import numpy as np

from chatscale_simulator.errors import InputError
from chatscale_simulator.simulation.outcome import Workload
from chatscale_simulator.simulation.workload import (
    Rates,
    TraceError,
    arrivals_at,
    cut,
    parse_trace,
    rounding_s,
    spread_grid,
    superpose,
)

HOUR_S = 3600.0
LONGEST_LULL_S = 31 * 24 * HOUR_S
"""Without a request, from the start on. More is a clock reading, and a run would play years of nothing."""
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Traffic:
    """Which requests are played."""

    path: Path
    load_factor: int = 1
    """Copies that are superposed."""
    hours: tuple[float, float] | None = None
    """Part of the trace; None is all of it."""
    input_tokens: float | None = None
    """Means for recorded rates that have none."""
    output_tokens: float | None = None

    @property
    def name(self) -> str:
        """The file's name without its endings."""
        return self.path.name.removesuffix(".gz").removesuffix(".csv")


@lru_cache(maxsize=2)
def load(traffic: Traffic, seed: int) -> Workload:
    """Read, cut and scale. Raises InputError.

    Arrivals that a publisher rounded to whole seconds are spread over the second or seconds they stand for.
    """
    source = _requests(traffic, seed)
    grid_s = rounding_s(source)
    if traffic.hours is not None:
        source = _cut(source, traffic)
    if grid_s:
        source = spread_grid(source, grid_s, seed)
    return superpose(source, traffic.load_factor, seed)


def rounded_to_s(traffic: Traffic) -> float:
    """Whole seconds to which the publisher rounded arrivals, over which `load` spreads them; 0 if they are exact."""
    return rounding_s(_requests(traffic, 0))


def _requests(traffic: Traffic, seed: int) -> Workload:
    source = _read(traffic.path)
    try:
        if isinstance(source, Rates):
            source = arrivals_at(source, seed, traffic.input_tokens, traffic.output_tokens)
    except TraceError as error:
        raise InputError(f"{traffic.path}: {error}") from error
    late = np.flatnonzero(np.diff(source.arrival_s, prepend=0.0) > LONGEST_LULL_S)
    if len(late):
        days, found_s = LONGEST_LULL_S / (24 * HOUR_S), source.arrival_s[late[0]]
        raise InputError(
            f"{traffic.path}: arrival_s must count from the trace's start with a request every {days:.0f} days, "
            f"found {found_s:.0f}: subtract when the trace begins"
        )
    return source


def _cut(workload: Workload, traffic: Traffic) -> Workload:
    assert traffic.hours is not None  # noqa: S101 - for the type checker
    from_h, to_h = traffic.hours
    kept = cut(workload, from_h * HOUR_S, to_h * HOUR_S)
    if not len(kept.arrival_s):
        found = workload.duration_s / HOUR_S
        raise InputError(f"{traffic.path}: --hours {from_h:g}-{to_h:g} must hold requests, the trace is {found:.2f} h")
    return kept


@lru_cache(maxsize=2)
def _read(path: Path) -> Workload | Rates:
    """Gzipped or not by its first bytes, whatever its name; spreadsheets begin UTF-8 with a mark, which is skipped."""
    try:
        with path.open("rb") as raw:
            unzipped = gzip.GzipFile(fileobj=raw) if raw.peek(len(_GZIP)).startswith(_GZIP) else raw
            with io.TextIOWrapper(unzipped, encoding="utf-8-sig") as lines:
                return parse_trace(lines, str(path))
    except TraceError as error:
        raise InputError(str(error)) from error
    except FileNotFoundError as error:
        raise InputError(f"{path}: must be a trace, there is no such file") from error
    except (gzip.BadGzipFile, EOFError, ZlibError) as error:
        raise InputError(f"{path}: begins as gzip data and must be whole, {error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: must be text in UTF-8, {error.reason}") from error
    except csv.Error as error:
        raise InputError(f"{path}: must be CSV, {error}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read, {error.strerror}") from error
