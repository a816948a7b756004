"""The CSV format of traces: lines to requests or recorded rates.

Opens no file. A row that cannot be used is an error that names line, column, expectation and found value. It is never
repaired: the result of a simulation would be wrong without a sign of it.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from chatscale_simulator.simulation.arrays import FloatArray
from chatscale_simulator.simulation.workload import Workload

REQUEST_COLUMNS: Final = ("arrival_s", "input_tokens", "output_tokens")
RATE_COLUMNS: Final = ("timestamp", "requests_per_second")
TOKEN_COLUMNS: Final = REQUEST_COLUMNS[1:]

MAX_TOKENS: Final = 10_000_000
"""More tokens in one request than any model takes: a column in the wrong unit."""


class TraceError(ValueError):
    """A trace cannot be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class RecordedRates:
    """Requests per second over time, each until the next entry, and mean request lengths."""

    start_s: FloatArray
    """Seconds from the first entry, ascending."""
    requests_per_s: FloatArray
    prompt_tokens: FloatArray | None
    """Mean of each entry; None if the recording has none."""
    output_tokens: FloatArray | None


def parse_trace(lines: Iterable[str], source: str) -> Workload | RecordedRates:
    """Read requests or rates, depending on the header.

    source: name of the trace in errors. Raises TraceError.
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
    """Rows with their line numbers, and errors that name both."""

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
        """Read a token count. 0 counts as 1: a prompt has a first token, and an answer has an end token."""
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
    for line, (arrived, input_tokens, output_tokens) in table.columns(REQUEST_COLUMNS):
        at_s = table.number(line, arrival, arrived)
        if at_s < latest:
            raise table.error(line, arrival, f"at or after the line before ({latest:g}): sort the trace", f"{at_s:g}")
        latest = at_s
        arrivals.append(at_s)
        tokens.append((table.tokens(line, prompt, input_tokens), table.tokens(line, output, output_tokens)))
    if not arrivals:
        raise TraceError(f"{table.source}: must have at least one request, found the header alone")
    lengths = np.asarray(tokens, dtype=np.int64)
    return Workload(np.asarray(arrivals), lengths[:, 0].copy(), lengths[:, 1].copy())


def _parse_rates(table: _Table) -> RecordedRates:
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
    return RecordedRates(
        data[:, 0] - data[0, 0], of["requests_per_second"], of.get(TOKEN_COLUMNS[0]), of.get(TOKEN_COLUMNS[1])
    )


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
