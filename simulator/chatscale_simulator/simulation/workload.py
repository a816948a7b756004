"""Traces as workloads: rows of a CSV checked and turned into arrivals, scaled, cut, and made from recorded rates.

Reads lines, opens no file. A row that cannot be used is an error that names line, column, expectation and
finding: a trace that is silently repaired gives a number that nobody can trust.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from chatscale_simulator.simulation.outcome import Workload
from chatscale_simulator.simulation.view import Integers, Numbers

REQUEST_COLUMNS: Final = ("arrival_s", "input_tokens", "output_tokens")
RATE_COLUMNS: Final = ("timestamp", "requests_per_second")
TOKEN_COLUMNS: Final = REQUEST_COLUMNS[1:]

MAX_TOKENS: Final = 10_000_000
"""More tokens in one request than any model takes: a column in the wrong unit."""
MOST_ROUNDING_S: Final = 10.0
"""Publishers round arrivals to a second, or to three."""
SHIFT_S: Final = 15.0
"""Each request of each superposed copy moves by up to this much, either way."""
PROMPT_SIGMA: Final = 0.5
"""Spread of log-normal prompt lengths made from a mean alone; the Azure 2023 conversation trace has 0.50."""
OUTPUT_SIGMA: Final = 1.0
"""Likewise for outputs; that trace has 0.99."""


class TraceError(ValueError):
    """A trace cannot be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests per second over time, each until the next entry; and how long requests are on average."""

    start_s: Numbers
    """Seconds from the first entry, ascending."""
    requests_per_s: Numbers
    prompt_tokens: Numbers | None
    """Mean of each entry; None if the recording has none."""
    output_tokens: Numbers | None


def parse_trace(lines: Iterable[str], source: str) -> Workload | Rates:
    """Read requests or rates, whichever the header announces.

    source: the name that errors give the trace. Raises TraceError.
    """
    rows = csv.reader(lines)
    header = tuple(name.strip() for name in next(rows, []))
    if all(name in header for name in REQUEST_COLUMNS):
        return _parse_requests(_Table(source, header, rows))
    if all(name in header for name in RATE_COLUMNS):
        return _parse_rates(_Table(source, header, rows))
    raise TraceError(
        f"{source}: line 1 must name the columns {','.join(REQUEST_COLUMNS)} (requests) or "
        f"{','.join(RATE_COLUMNS)} (a recorded rate), found {','.join(header) or 'nothing'}"
    )


class _Table:
    """Rows with their line numbers, and the errors that name both."""

    def __init__(self, source: str, header: Sequence[str], rows: Iterator[list[str]]) -> None:
        self.source, self.header = source, tuple(header)
        self._rows = rows

    def columns(self, names: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
        """Yield (line, the named cells) of each row that is not blank."""
        at = [self.header.index(name) for name in names]
        for line, row in enumerate(self._rows, start=2):
            if len(row) == len(self.header):
                yield line, [row[index] for index in at]
            elif row:
                raise TraceError(
                    f"{self.source}: line {line} must have {len(self.header)} values, one per column, found {len(row)}"
                )

    def error(self, line: int, column: str, expected: str, found: object) -> TraceError:
        return TraceError(f"{self.source}: line {line}, {column} must be {expected}, found {found}")

    def number(self, line: int, column: str, cell: str) -> float:
        """Read a finite number of at least 0."""
        try:
            value = float(cell)
        except ValueError:
            value = float("nan")
        if not 0 <= value < float("inf"):
            raise self.error(line, column, "a number of at least 0", repr(cell.strip()))
        return value

    def tokens(self, line: int, column: str, cell: str) -> int:
        """Read a token count; 0 counts as 1, as a prompt has a first token and an answer its end."""
        cell = cell.strip()
        value = int(cell) if cell.isascii() and cell.isdigit() else -1
        if not 0 <= value <= MAX_TOKENS:
            raise self.error(line, column, f"a whole number from 0 to {MAX_TOKENS}", repr(cell))
        return max(value, 1)


def _parse_requests(table: _Table) -> Workload:
    arrival, prompt, output = REQUEST_COLUMNS
    arrivals: list[float] = []
    tokens: list[tuple[int, int]] = []
    latest = 0.0
    for line, (when, asked, answered) in table.columns(REQUEST_COLUMNS):
        at_s = table.number(line, arrival, when)
        if at_s < latest:
            raise table.error(line, arrival, f"at or after the line before ({latest:g}): sort the trace", f"{at_s:g}")
        latest = at_s
        arrivals.append(at_s)
        tokens.append((table.tokens(line, prompt, asked), table.tokens(line, output, answered)))
    if not arrivals:
        raise TraceError(f"{table.source}: must have at least one request, found the header alone")
    lengths = np.asarray(tokens, dtype=np.int64)
    return Workload(np.asarray(arrivals), lengths[:, 0].copy(), lengths[:, 1].copy())


def _parse_rates(table: _Table) -> Rates:
    known = [name for name in TOKEN_COLUMNS if name in table.header]
    names = [*RATE_COLUMNS, *known]
    rows: list[list[float]] = []
    for line, (when, *cells) in table.columns(names):
        at_s = _timestamp(table, line, when)
        if rows and at_s <= rows[-1][0]:
            raise table.error(line, "timestamp", f"after the line before ({rows[-1][0]:.15g})", f"{at_s:.15g}")
        rows.append([at_s, *(table.number(line, name, cell) for name, cell in zip(names[1:], cells, strict=True))])
    if len(rows) < 2:  # noqa: PLR2004 - the last rate lasts as long as the one before it
        raise TraceError(f"{table.source}: must have at least two rates, found {len(rows)}")
    data = np.asarray(rows)
    of = {name: data[:, at].copy() for at, name in enumerate(names)}
    return Rates(data[:, 0] - data[0, 0], of["requests_per_second"], of.get(TOKEN_COLUMNS[0]), of.get(TOKEN_COLUMNS[1]))


def _timestamp(table: _Table, line: int, cell: str) -> float:
    """Seconds since the epoch; Prometheus writes them as a number, dashboards as ISO 8601 in UTC."""
    try:
        return float(cell)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(cell.strip()).timestamp()
    except ValueError:
        pass
    raise table.error(line, "timestamp", "seconds since 1970 or an ISO 8601 time", repr(cell.strip()))


def superpose(workload: Workload, copies: int, seed: int) -> Workload:
    """Multiply the load by an integer and keep its shape: each request of each copy moves by U(-15 s, 15 s).

    One copy is the trace itself, unmoved.
    """
    if copies == 1:
        return workload
    dice = np.random.default_rng((seed, copies))
    arrival_s = np.tile(workload.arrival_s, copies)
    arrival_s = np.maximum(arrival_s + dice.uniform(-SHIFT_S, SHIFT_S, len(arrival_s)), 0.0)
    return _sorted(arrival_s, np.tile(workload.prompt_tokens, copies), np.tile(workload.output_tokens, copies))


def cut(workload: Workload, from_s: float, to_s: float) -> Workload:
    """The requests that arrive in [from_s, to_s), on a clock that starts at from_s."""
    first, last = np.searchsorted(workload.arrival_s, (from_s, to_s))
    kept = slice(int(first), int(last))
    return Workload(
        workload.arrival_s[kept] - from_s, workload.prompt_tokens[kept].copy(), workload.output_tokens[kept].copy()
    )


def spread_grid(workload: Workload, grid_s: float, seed: int) -> Workload:
    """Undo a publisher's rounding of arrivals down to multiples of `grid_s`: move each by U(0, grid_s)."""
    dice = np.random.default_rng((seed, 0))
    arrival_s = workload.arrival_s + dice.uniform(0.0, grid_s, len(workload.arrival_s))
    return _sorted(arrival_s, workload.prompt_tokens, workload.output_tokens)


def rounding_s(workload: Workload) -> float:
    """The whole seconds that all arrivals are multiples of; 0 if there are none or too few arrivals to tell.

    Beyond MOST_ROUNDING_S nobody rounds: those are bursts, and stay what they are.
    """
    distinct = np.unique(workload.arrival_s)
    if len(distinct) < 10 or len(distinct) * 2 > len(workload.arrival_s) or (distinct % 1).any():  # noqa: PLR2004
        return 0.0
    grid_s = float(np.gcd.reduce(distinct.astype(np.int64)))
    return grid_s if grid_s <= MOST_ROUNDING_S else 0.0


def busiest_window(workload: Workload, length_s: float) -> tuple[float, float]:
    """The window that sees the most change: the one whose busiest and quietest quarter hours differ the most.

    Windows start on the hour; a trace that is no longer than the window is one whole window.
    """
    bucket_s = 900.0
    if workload.duration_s <= length_s:
        return 0.0, max(length_s, workload.duration_s + 1.0)
    counts = np.histogram(workload.arrival_s, np.arange(0.0, workload.duration_s + bucket_s, bucket_s))[0]
    counts = counts[: int(workload.duration_s // bucket_s)]
    wide, step = int(length_s / bucket_s), int(3600 / bucket_s)
    starts = range(0, max(len(counts) - wide, 0) + 1, step)
    best = max(starts, key=lambda start: int(np.ptp(counts[start : start + wide])))
    return best * bucket_s, best * bucket_s + length_s


def arrivals_at(rates: Rates, seed: int, prompt_tokens: float | None, output_tokens: float | None) -> Workload:
    """Draw the requests behind recorded rates: Poisson arrivals, log-normal lengths around the means.

    prompt_tokens, output_tokens: means that stand in where the recording has none. Raises TraceError without.
    """
    prompts = _means(rates, rates.prompt_tokens, prompt_tokens, "input_tokens")
    outputs = _means(rates, rates.output_tokens, output_tokens, "output_tokens")
    dice = np.random.default_rng((seed, 1))
    lasts_s = np.append(np.diff(rates.start_s), np.diff(rates.start_s)[-1])
    entry = np.repeat(np.arange(len(lasts_s)), dice.poisson(rates.requests_per_s * lasts_s))
    if not len(entry):
        raise TraceError("the recorded rates must add up to at least one request, found none")
    arrival_s = rates.start_s[entry] + dice.random(len(entry)) * lasts_s[entry]
    return _sorted(
        arrival_s, _lengths(dice, prompts[entry], PROMPT_SIGMA), _lengths(dice, outputs[entry], OUTPUT_SIGMA)
    )


def _means(rates: Rates, recorded: Numbers | None, given: float | None, column: str) -> Numbers:
    if recorded is not None:
        return recorded
    if given is None:
        raise TraceError(f"recorded rates need a mean {column}: as a column of the recording, or as an option")
    return np.full(len(rates.start_s), given)


def _lengths(dice: np.random.Generator, means: Numbers, sigma: float) -> Integers:
    drawn = np.maximum(means, 1.0) * np.exp(sigma * dice.standard_normal(len(means)) - sigma**2 / 2)
    lengths: Integers = np.maximum(np.rint(drawn), 1).astype(np.int64)
    return lengths


def _sorted(arrival_s: Numbers, prompt_tokens: Integers, output_tokens: Integers) -> Workload:
    order = np.argsort(arrival_s, kind="stable")
    return Workload(arrival_s[order], prompt_tokens[order], output_tokens[order])
