"""Pictures: replicas and load over time, and cost against SLO attainment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
import numpy as np

from chatscale_simulator.errors import InputError
from chatscale_simulator.simulation.result import RunResult
from chatscale_simulator.simulation.score import billed_at
from chatscale_simulator.simulation.sizing import offered_rps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDINGS: Final = (".svg", ".png", ".pdf")
BUCKET_S: Final = 300.0
_OURS: Final = "#d1495b"
_GREY: Final = "#c9ced6"
_COLOURS: Final = ("#30638e", "#edae49", "#00798c", "#7a5195", "#8d6a9f", "#5c946e", "#a44a3f", "#4d4d4d")

# Figures are drawn without pyplot, which keeps every figure and selects a display.
mpl.rcParams.update({"svg.hashsalt": "chatscale", "svg.fonttype": "none", "font.size": 9.0, "axes.spines.top": False})


@dataclass(frozen=True, slots=True)
class Point:
    """One setting of one policy: SLO attainment and cost."""

    slo_attainment: float
    gpu_hours: float


def check_ending(path: Path) -> None:
    """Raise InputError for a file type that cannot be drawn."""
    if path.suffix not in ENDINGS:
        raise InputError(f"--plot must end in {', '.join(ENDINGS)}, found {path}")


def draw_day(results: Mapping[str, RunResult], title: str, path: Path) -> None:
    """Draw the replicas of each run over time, and the load below."""
    figure, (counts, load) = _figure(2, heights=(3, 1))
    first = next(iter(results.values()))
    rates = offered_rps(first.workload, BUCKET_S)
    hours = np.arange(len(rates)) * BUCKET_S / 3600
    load.fill_between(hours, rates, step="post", color=_GREY)
    load.set_ylabel("requests / s")
    load.set_xlabel("hours")
    load.set_ylim(bottom=0)
    for (name, result), colour in zip(results.items(), _colours(results), strict=True):
        clock_s = np.arange(0.0, result.end_s, 60.0)
        counts.step(clock_s / 3600, billed_at(result.pods, clock_s), where="post", color=colour, label=name, lw=1.1)
    counts.set_ylabel("billed replicas")
    counts.set_ylim(bottom=0)
    counts.set_title(title, loc="left")
    counts.legend(frameon=False, ncols=3, fontsize="small")
    _save(figure, path)


def draw_cost(sweeps: Mapping[str, Sequence[Point]], title: str, path: Path, objective: float = 0.99) -> None:
    """Draw the cheapest settings of each policy as GPU-hours against SLO attainment. Low and right is better."""
    figure, (axes,) = _figure(1, heights=(1,))
    for (name, points), colour in zip(sweeps.items(), _colours(sweeps), strict=True):
        best = frontier(points)
        axes.plot(
            [point.slo_attainment * 100 for point in best],
            [point.gpu_hours for point in best],
            color=colour,
            marker="o",
            ms=3,
            lw=1.8 if colour == _OURS else 0.9,
            label=name,
        )
    axes.axvline(objective * 100, color="#888888", lw=0.8, ls="--")
    axes.set_xlim(left=90)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("requests within the SLO, %")
    axes.set_ylabel("GPU-hours")
    axes.set_title(title, loc="left")
    axes.legend(frameon=False, fontsize="x-small", ncols=2)
    _save(figure, path)


def frontier(points: Sequence[Point]) -> list[Point]:
    """The settings that no other setting beats in both attainment and cost, the highest attainment last."""
    best: list[Point] = []
    for point in sorted(points, key=lambda point: (-point.slo_attainment, point.gpu_hours)):
        if not best or point.gpu_hours < best[-1].gpu_hours:
            best.append(point)
    return best[::-1]


def _colours(names: Mapping[str, object]) -> list[str]:
    """Chatscale has the same colour in every picture."""
    others = 0
    colours = []
    for name in names:
        ours = name.startswith("chatscale")
        colours.append(_OURS if ours else _COLOURS[others % len(_COLOURS)])
        others += not ours
    return colours


def _figure(rows: int, heights: Sequence[int]) -> "tuple[Figure, Sequence[Axes]]":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 1, sharex=rows > 1, squeeze=False, height_ratios=list(heights))
    return figure, list(axes[:, 0])


def _save(figure: "Figure", path: Path) -> None:
    """The same figure gives the same bytes: no date is written."""
    metadata = {"Date": None} if path.suffix == ".svg" else {}
    figure.savefig(path, dpi=110, metadata=metadata)
