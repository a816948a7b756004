"""Writes a live snapshot as a table. Pure. Texts of ChatModels are made printable."""

from datetime import datetime, timedelta
from typing import Final

from chatscale_cli.terminal_text import one_line
from chatscale_contract.gateway.live import LiveModel, LiveSnapshot
from chatscale_contract.money import format_money

_NONE: Final = "-"
_TITLES: Final = (
    "MODEL", "PHASE", "WANTED", "READY", "STARTING", "DRAINING", "HELD", "QUEUED", "IN FLIGHT",
    "TOKENS/S", "TTFT P50", "TTFT P95", "SLO", "COST/H",
)  # fmt: skip
_LEFT: Final = 2
"""Columns of text; the others are numbers."""
_SLOW: Final = "!"
"""Behind a time to first token that misses the objective."""
_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


def format_snapshot(snapshot: LiveSnapshot) -> str:
    """Text that ends with a line end: a row for each model, then decisions, events and warnings."""
    if not snapshot.models:
        return "the API key opens no model\n"
    rows = [list(_TITLES), *(_row(model) for model in snapshot.models)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_TITLES))]
    lines = [
        "   ".join(
            cell.ljust(width) if at < _LEFT else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    remarks = [line for model in snapshot.models for line in _remarks(model, snapshot.time)]
    return "\n".join([*lines, *([""] if remarks else []), *remarks]) + "\n"


def _row(model: LiveModel) -> list[str]:
    replicas, ttft = model.replicas, model.ttft
    tokens_per_s = model.prompt_tokens_per_s + model.generated_tokens_per_s
    cost = _NONE if model.cost is None else format_money(model.cost.per_hour, one_line(model.cost.currency))
    return [
        one_line(model.key), one_line(model.phase) or _NONE,
        *map(str, (replicas.wanted, replicas.ready, replicas.starting, replicas.draining)),
        *map(str, (model.held, model.queued, model.in_flight)),
        f"{tokens_per_s:,.0f}", _time(ttft.p50_s, ttft.slo_s), _time(ttft.p95_s, ttft.slo_s),
        f"{ttft.slo_s:.2f} s" if ttft.slo_s else _NONE, cost,
    ]  # fmt: skip


def _remarks(model: LiveModel, now: datetime) -> list[str]:
    name = one_line(model.key)
    found = []
    if model.decisions:
        last = model.decisions[0]
        change = f"{last.from_replicas} -> {last.to_replicas} replicas"
        found.append(f"{name}: {change}, {_age(now - last.time)} ago: {one_line(last.reason)}")
    for event in model.events:
        state = "is active" if event.active else "is announced"
        times = f"{event.start:%Y-%m-%d %H:%M} to {event.end:%Y-%m-%d %H:%M}"
        found.append(f"{name}: event {one_line(event.name)} {state}, {times}, at least {event.min_replicas} replicas")
    found += [
        f"{name}: warning {one_line(each.type)} {one_line(each.reason)}: {one_line(each.message)}"
        for each in model.warnings
    ]
    return found


def _time(seconds: float | None, slo_s: float) -> str:
    if seconds is None:
        return _NONE
    return f"{seconds:.2f} s" + (_SLOW if 0 < slo_s < seconds else "")


def _age(age: timedelta) -> str:
    if age < _MINUTE:
        return f"{max(0, age.total_seconds()):.0f} s"
    if age < _HOUR:
        return f"{age // _MINUTE} min"
    return f"{age // _HOUR} h" if age < _DAY else f"{age.days} d"
