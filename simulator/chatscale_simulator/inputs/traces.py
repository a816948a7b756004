"""Trace files as workloads."""

import csv
import gzip
import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from zlib import error as ZlibError  # noqa: N812 - it is a class

import numpy as np

from chatscale_simulator.errors import InputError
from chatscale_simulator.inputs.trace_csv import RecordedRates, TraceError, parse_trace
from chatscale_simulator.inputs.transform import cut, draw_arrivals, rounding_s, superpose, undo_rounding
from chatscale_simulator.simulation.workload import Workload

HOUR_S = 3600.0
MAX_GAP_S = 31 * 24 * HOUR_S
"""Longest time without a request. A longer one means that the column holds clock times, not seconds from the start."""
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Traffic:
    """Which requests are simulated."""

    path: Path
    load_factor: int = 1
    """Number of superposed copies."""
    hours: tuple[float, float] | None = None
    """Part of the trace; None is the whole trace."""
    input_tokens: float | None = None
    """Means for recorded rates without their own."""
    output_tokens: float | None = None

    @property
    def name(self) -> str:
        """The file name without its extensions."""
        return self.path.name.removesuffix(".gz").removesuffix(".csv")


@lru_cache(maxsize=2)
def load(traffic: Traffic, seed: int) -> Workload:
    """Read, cut and scale the trace. Raises InputError.

    Arrivals that the publisher rounded down to whole seconds are moved to random times within those seconds.
    """
    source = _requests(traffic, seed)
    grid_s = rounding_s(source)
    if traffic.hours is not None:
        source = _cut(source, traffic)
    if grid_s:
        source = undo_rounding(source, grid_s, seed)
    return superpose(source, traffic.load_factor, seed)


def rounded_to_s(traffic: Traffic) -> float:
    """Whole seconds to which the publisher rounded arrivals; 0 if arrivals are exact."""
    return rounding_s(_requests(traffic, 0))


def _requests(traffic: Traffic, seed: int) -> Workload:
    source = _read(traffic.path)
    try:
        if isinstance(source, RecordedRates):
            source = draw_arrivals(source, seed, traffic.input_tokens, traffic.output_tokens)
    except TraceError as error:
        raise InputError(f"{traffic.path}: {error}") from error
    late = np.flatnonzero(np.diff(source.arrival_s, prepend=0.0) > MAX_GAP_S)
    if len(late):
        days, found_s = MAX_GAP_S / (24 * HOUR_S), source.arrival_s[late[0]]
        raise InputError(
            f"{traffic.path}: arrival_s must be seconds from the start of the trace, with a request every "
            f"{days:.0f} days, found {found_s:.0f}: subtract the start time"
        )
    return source


def _cut(workload: Workload, traffic: Traffic) -> Workload:
    assert traffic.hours is not None  # noqa: S101 - for the type checker
    from_h, to_h = traffic.hours
    kept = cut(workload, from_h * HOUR_S, to_h * HOUR_S)
    if not len(kept.arrival_s):
        found = workload.duration_s / HOUR_S
        raise InputError(
            f"{traffic.path}: --hours {from_h:g}-{to_h:g} must contain requests, the trace has {found:.2f} h"
        )
    return kept


@lru_cache(maxsize=2)
def _read(path: Path) -> Workload | RecordedRates:
    """The first bytes decide whether the file is gzipped, not its name. A UTF-8 byte order mark is skipped."""
    try:
        with path.open("rb") as raw:
            unzipped = gzip.GzipFile(fileobj=raw) if raw.peek(len(_GZIP)).startswith(_GZIP) else raw
            with io.TextIOWrapper(unzipped, encoding="utf-8-sig") as lines:
                return parse_trace(lines, str(path))
    except TraceError as error:
        raise InputError(str(error)) from error
    except FileNotFoundError as error:
        raise InputError(f"{path}: must be a trace, found no file") from error
    except (gzip.BadGzipFile, EOFError, ZlibError) as error:
        raise InputError(f"{path}: must be complete gzip data, {error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: must be text in UTF-8, {error.reason}") from error
    except csv.Error as error:
        raise InputError(f"{path}: must be CSV, {error}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read, {error.strerror}") from error
