"""Tables for the terminal."""

from collections.abc import Sequence
from decimal import Decimal
from statistics import fmean
from typing import Any, Final

import numpy as np

from chatscale_contract.money import Price
from chatscale_simulator.simulation.arrays import FloatArray

_BARS: Final = " ▁▂▃▄▅▆▇█"
_COLUMNS: Final = (
    ("policy", "policy"),
    ("slo_attainment", "in SLO"),
    ("gpu_hours", "GPU-h"),
    ("mean_replicas", "mean"),
    ("peak_replicas", "peak"),
    ("dropped_ratio", "dropped"),
    ("ttft_p50_s", "TTFT p50"),
    ("ttft_p99_s", "p99"),
    ("reversals_per_hour", "reversals/h"),
)
_NAMES: Final = 1
"""Number of text columns."""


def compare(rows: Sequence[dict[str, Any]], price: Price | None = None) -> str:
    """One table per trace, the highest attainment first. Runs that differ only in their seed are averaged."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["trace"], row["policy"]), []).append(row)
    lines: list[str] = []
    for trace in dict.fromkeys(row["trace"] for row in rows):
        means = [_mean(group) for key, group in groups.items() if key[0] == trace]
        means.sort(key=lambda row: (-round(row["slo_attainment"], 4), row["gpu_hours"]))
        seeds = len({row["seed"] for row in rows if row["trace"] == trace})
        lines += [f"{trace}: {_heading(means[0])}, {seeds} seed(s)", *_table(means, price), ""]
    return "\n".join(lines)


def _heading(row: dict[str, Any]) -> str:
    return "profile {profile} x{load_factor}, cold start {cold_start}, track {track}".format_map(row)


def _mean(group: list[dict[str, Any]]) -> dict[str, Any]:
    """The first row of the group, with the mean of each displayed number."""
    shown = {name: fmean(row[name] for row in group) for name, _ in _COLUMNS[_NAMES:]}
    return group[0] | shown


def _table(rows: list[dict[str, Any]], price: Price | None) -> list[str]:
    cells = [[title for _, title in _COLUMNS]] + [[_cell(name, row[name]) for name, _ in _COLUMNS] for row in rows]
    costs = [price.of_gpu_hours(Decimal(str(row["gpu_hours"]))) if price else None for row in rows]
    if any(cost is not None for cost in costs):
        for line, text in zip(cells, ["cost", *(f"{cost:.2f}" for cost in costs)], strict=True):
            line.append(text)
    return align(cells, left=_NAMES)


def _cell(name: str, value: Any) -> str:
    match name:
        case "policy":
            return str(value)
        case "slo_attainment" | "dropped_ratio":
            return percent(value)
        case "ttft_p50_s" | "ttft_p99_s":
            return f"{value:.2f} s"
        case _:
            return f"{value:.1f}"


def percent(share: float) -> str:
    """Two decimals. It is never rounded to 100 or 0 %: one lost request must show."""
    text = f"{share * 100:.2f} %"
    if text == "100.00 %" and share < 1:
        return ">99.99 %"
    return "<0.01 %" if text == "0.00 %" and share > 0 else text


def align(cells: Sequence[Sequence[str]], left: int) -> list[str]:
    """Pad columns to equal width. The first `left` columns are left-aligned, the others right-aligned."""
    widths = [max(len(line[at]) for line in cells) for at in range(len(cells[0]))]
    return [
        "  ".join(
            text.ljust(width) if at < left else text.rjust(width)
            for at, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]


def spark(values: FloatArray, width: int = 72) -> str:
    """A line of bars: the mean of each part of `values`, scaled to the largest."""
    if not len(values):
        return ""
    means = np.array([part.mean() for part in np.array_split(values, min(width, len(values)))])
    top = means.max() or 1.0
    return "".join(_BARS[round(float(mean) / top * (len(_BARS) - 1))] for mean in means)
