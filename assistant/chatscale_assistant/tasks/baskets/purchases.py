"""Purchase lines of a shop as arrays, read from CSV."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chatscale_assistant.errors import InvalidRequestError
from chatscale_assistant.tasks.schema import shown

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

REQUIRED: Final = ("customer", "item", "date")
OPTIONAL: Final = ("quantity", "order")
MAX_LINES: Final = 500_000
MAX_NAME: Final = 200
_EPOCH: Final = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Purchases:
    """One row for each line. Customers and items are numbered from 0 in order of their first line."""

    customers: tuple[str, ...]
    items: tuple[str, ...]
    customer: Ints
    item: Ints
    day: Floats
    """Days since the epoch."""
    quantity: Floats


def build_purchases(
    customers: Sequence[str], items: Sequence[str], days: Sequence[float], quantities: Sequence[float]
) -> Purchases:
    """All sequences have one entry for each line."""
    customer_names, customer = number(customers)
    item_names, item = number(items)
    return Purchases(
        customers=customer_names,
        items=item_names,
        customer=customer,
        item=item,
        day=np.asarray(days, dtype=np.float64),
        quantity=np.asarray(quantities, dtype=np.float64),
    )


def number(names: Iterable[str]) -> tuple[tuple[str, ...], Ints]:
    """Distinct names in order of appearance, and the number of each entry."""
    numbers: dict[str, int] = {}
    rows = [numbers.setdefault(name, len(numbers)) for name in names]
    return tuple(numbers), np.asarray(rows, dtype=np.int64)


def read_purchases(text: str, *, until: date) -> Purchases:
    """Purchases of a CSV file with a header.

    Columns `customer`, `item`, `date` (ISO 8601), and optionally `quantity` (default 1) and `order`.  Raises
    InvalidRequestError with line, column, expectation and found value.
    """
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    try:
        header = [each.strip() for each in next(reader, [])]
        places = _places(header)
        rows = _Rows(until)
        for cells in reader:
            if cells:
                rows.add(cells, places, len(header), reader.line_num)
    except csv.Error as e:
        raise InvalidRequestError(f"purchases: line {reader.line_num}: expected CSV, found {e}", "purchases") from e
    if not rows.customers:
        raise InvalidRequestError("purchases: expected at least one line after the header, found none", "purchases")
    return build_purchases(rows.customers, rows.items, rows.days, rows.quantities)


def day_of(moment: date) -> float:
    """Days since the epoch."""
    return float(moment.toordinal() - _EPOCH)


def _places(header: Sequence[str]) -> dict[str, int]:
    expected = ", ".join((*REQUIRED, *OPTIONAL))
    for name in header:
        if name not in (*REQUIRED, *OPTIONAL):
            raise InvalidRequestError(
                f"purchases: line 1: expected columns of {expected}, found {shown(name)}", "purchases"
            )
        if header.count(name) > 1:
            raise InvalidRequestError(f"purchases: line 1: expected each column once, found {name} twice", "purchases")
    for name in REQUIRED:
        if name not in header:
            found = ", ".join(header) or "none"
            raise InvalidRequestError(f"purchases: line 1: expected a column {name}, found {found}", "purchases")
    return {name: header.index(name) for name in header}


class _Rows:
    """Collects checked lines."""

    def __init__(self, until: date) -> None:
        self._until = until
        self._dates: dict[str, float] = {}
        self.customers: list[str] = []
        self.items: list[str] = []
        self.days: list[float] = []
        self.quantities: list[float] = []

    def add(self, cells: Sequence[str], places: dict[str, int], width: int, line: int) -> None:
        """One line of the file."""
        if len(cells) != width:
            raise _wrong(line, "row", f"{width} values", f"{len(cells)}")
        if len(self.days) >= MAX_LINES:
            raise InvalidRequestError(f"purchases: expected at most {MAX_LINES} lines, found more", "purchases")
        self.customers.append(_name(cells[places["customer"]], "customer", line))
        self.items.append(_name(cells[places["item"]], "item", line))
        self.days.append(self._day(cells[places["date"]], line))
        self.quantities.append(_quantity(cells[places["quantity"]], line) if "quantity" in places else 1.0)

    def _day(self, text: str, line: int) -> float:
        if (found := self._dates.get(text)) is not None:
            return found
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError as e:
            raise _wrong(line, "date", "a date such as 2026-11-27", shown(text)) from e
        day = (moment if moment.tzinfo is None else moment.astimezone(UTC)).date()
        if day > self._until:
            raise _wrong(line, "date", f"at most {self._until.isoformat()}", day.isoformat())
        return self._dates.setdefault(text, day_of(day))


def _name(text: str, column: str, line: int) -> str:
    name = text.strip()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise _wrong(line, column, f"1 to {MAX_NAME} printable characters", shown(text))
    return name


def _quantity(text: str, line: int) -> float:
    try:
        value = float(text)
    except ValueError as e:
        raise _wrong(line, "quantity", "a number", shown(text)) from e
    if not 0 < value <= 1e6:  # noqa: PLR2004 - also refuses NaN
        raise _wrong(line, "quantity", "a number above 0, at most 1000000 (leave returns out)", shown(text))
    return value


def _wrong(line: int, column: str, expectation: str, found: str) -> InvalidRequestError:
    return InvalidRequestError(f"purchases: line {line}: {column}: expected {expectation}, found {found}", "purchases")
