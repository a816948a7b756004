"""Adds up the requests of an access log, and what they cost. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import assert_never

from chatscale_cli.usage.lines import Entry, Other, read_line
from chatscale_cli.usage.options import Column
from chatscale_contract.money import Price

Group = tuple[str, ...]


@dataclass(slots=True)
class Total:
    """The sum of some requests."""

    requests: int = 0
    estimated_requests: int = 0
    """Those whose tokens the gateway computed."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    cost: dict[str, Decimal] = field(default_factory=dict)
    """By currency. Without the requests of `unpriced_requests`."""
    unpriced_requests: int = 0
    """Those to models without token prices."""

    def add(self, entry: Entry, price: Price | None) -> None:
        """Add one request."""
        self.requests += 1
        self.estimated_requests += entry.estimated
        self.prompt_tokens += entry.prompt_tokens
        self.cached_tokens += entry.cached_tokens
        self.generated_tokens += entry.generated_tokens
        money = price.of_tokens(entry.prompt_tokens, entry.cached_tokens, entry.generated_tokens) if price else None
        if price is None or money is None:
            self.unpriced_requests += 1
        else:
            self.cost[price.currency] = self.cost.get(price.currency, Decimal(0)) + money


@dataclass(frozen=True, slots=True)
class Report:
    """The result."""

    columns: tuple[Column, ...]
    rows: Mapping[Group, Total]
    """By the values of `columns`, sorted."""
    total: Total
    damaged_lines: int


def make_report(
    lines: Iterable[str],
    columns: Sequence[Column],
    prices: Mapping[str, Price],
    since: datetime | None = None,
    until: datetime | None = None,
) -> Report:
    """Add up the requests that ended from `since` until before `until`. prices: by `namespace/name` of the model."""
    rows: defaultdict[Group, Total] = defaultdict(Total)
    total, damaged = Total(), 0
    for line in lines:
        if not line.strip():
            continue
        entry = read_line(line)
        if entry is None:
            damaged += 1
        if entry is None or isinstance(entry, Other):
            continue
        if (since is not None and entry.ended < since) or (until is not None and entry.ended >= until):
            continue
        price = prices.get(f"{entry.namespace}/{entry.model}")
        rows[tuple(_value(entry, column) for column in columns)].add(entry, price)
        total.add(entry, price)
    return Report(tuple(columns), dict(sorted(rows.items())), total, damaged)


def _value(entry: Entry, column: Column) -> str:
    match column:
        case Column.KEY:
            return entry.key
        case Column.MODEL:
            return f"{entry.namespace}/{entry.model}"
        case Column.NAMESPACE:
            return entry.namespace
        case Column.DAY:
            return entry.ended.date().isoformat()
        case _:
            assert_never(column)
