"""Writes a report as a table, JSON or CSV. Pure."""

import csv
import io
import json
from typing import Any, Final, assert_never

from chatscale_cli.usage.bill import Report, Total
from chatscale_cli.usage.options import Format
from chatscale_contract.money import format_money

_NUMBERS: Final = ("requests", "prompt_tokens", "cached_tokens", "generated_tokens", "estimated_requests")
_NONE: Final = "-"
_FORMULA_STARTS: Final = ("=", "+", "-", "@")
"""A spreadsheet would run such a cell."""


def format_report(report: Report, form: Format) -> str:
    """Text that ends with a line end."""
    match form:
        case Format.TABLE:
            return _table(report)
        case Format.JSON:
            return json.dumps(_as_json(report), indent=2) + "\n"
        case Format.CSV:
            return _csv(report)
        case _:
            assert_never(form)


def _table(report: Report) -> str:
    left = len(report.columns)
    lines = [[*(column.upper() for column in report.columns), *(name.upper() for name in _NUMBERS), "COST"]]
    lines += [[*(value or _NONE for value in group), *_cells(total)] for group, total in report.rows.items()]
    lines.append([*(["total"] + [""] * left)[:left], *_cells(report.total)])
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    return "".join(
        "   ".join(
            cell.ljust(width) if at < left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        + "\n"
        for line in lines
    )


def _cells(total: Total) -> list[str]:
    money = [format_money(amount, currency) for currency, amount in sorted(total.cost.items())]
    return [*(f"{getattr(total, name):,}" for name in _NUMBERS), " + ".join(money) or _NONE]


def _as_json(report: Report) -> dict[str, Any]:
    rows = [{**dict(zip(report.columns, group, strict=True)), **_fields(total)} for group, total in report.rows.items()]
    return {"rows": rows, "total": _fields(report.total), "damaged_lines": report.damaged_lines}


def _fields(total: Total) -> dict[str, Any]:
    """Money as text: a JSON number would become a float."""
    cost = {currency: format(amount, "f") for currency, amount in sorted(total.cost.items())}
    numbers = {name: getattr(total, name) for name in _NUMBERS}
    return {**numbers, "unpriced_requests": total.unpriced_requests, "cost": cost}


def _csv(report: Report) -> str:
    currencies = sorted(report.total.cost)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*report.columns, *_NUMBERS, "unpriced_requests", *(f"cost_{name}" for name in currencies)])
    for group, total in report.rows.items():
        money = [format(total.cost[name], "f") if name in total.cost else "" for name in currencies]
        texts = [f"'{value}" if value.startswith(_FORMULA_STARTS) else value for value in group]
        writer.writerow([*texts, *(getattr(total, name) for name in _NUMBERS), total.unpriced_requests, *money])
    return out.getvalue()
