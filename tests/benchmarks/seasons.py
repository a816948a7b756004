"""`python -m tests.benchmarks.seasons`: what the days before add to a forecast one cold start ahead.

Read are rate series of one to nine weeks. At every moment each forecaster says the rate that will be asked for later;
its error is the logarithm of what came over what it said, so that 0.1 is about a tenth. Nothing of the future is used.
"""

import argparse
import csv
import gzip
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from hack.paths import ROOT

RATES: Final = ROOT.parent / "shared" / "traces" / "rates"
DAY_MIN: Final = 1440
RECENT_MIN: Final = 5
"""Minutes in the mean that counts as the present rate."""
SMOOTH_MIN: Final = 11
"""Minutes over which an earlier day is smoothed: its noise says nothing about today."""
LONGEST_MIN: Final = DAY_MIN // 2
"""Largest horizon. Further ahead, a smoothed earlier day would contain a part of the forecast time."""
DAYS_BEFORE: Final = (1, 2, 3, 7)

Series: TypeAlias = npt.NDArray[np.float64]
"""(steps,) float64, the rate in each step of a series; NaN where it is unknown."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """The horizon, in steps of a series."""

    ahead: int
    recent: int
    smooth: int
    day: int


@dataclass(frozen=True, slots=True)
class Score:
    """The score of one forecaster on one series."""

    mean_error: float
    short_p95: float
    """Logarithm of rate over forecast in the worst twentieth of the steps."""
    short_p99: float
    said_ratio: float
    """Sum of the forecasts over sum of the rates: the cost of forecasts that are too high."""


def last(rate: Series, horizon: Horizon) -> Series:
    """The present rate."""
    return _mean(rate, horizon.recent, behind=horizon.recent - 1)


def trend(rate: Series, horizon: Horizon) -> Series:
    """The present rate plus its change over the last horizon; at least a tenth of the present rate."""
    now = last(rate, horizon)
    return np.maximum(2 * now - _earlier(now, horizon.ahead), 0.1 * now)


def season(rate: Series, horizon: Horizon) -> Series:
    """The present rate times the median change of the earlier days from this minute on."""
    smooth = _mean(rate, horizon.smooth, behind=horizon.smooth // 2)
    grew = smooth / _earlier(smooth, horizon.ahead)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a moment without any day before it
        factor = np.nanmedian([_earlier(grew, days * horizon.day - horizon.ahead) for days in DAYS_BEFORE], axis=0)
    found: Series = last(rate, horizon) * factor
    return found


def season_up(rate: Series, horizon: Horizon) -> Series:
    """As `season`, but never below the present rate."""
    return np.maximum(season(rate, horizon), last(rate, horizon))


FORECASTERS: Final[Mapping[str, Callable[[Series, Horizon], Series]]] = {
    "as now": last,
    "as now, with its trend": trend,
    "as now, times the days before": season,
    "the same, upwards only": season_up,
}


def scores(rate: Series, horizon: Horizon) -> dict[str, Score]:
    """The score of every forecaster, at the steps with a forecast of all of them and a rate above 0."""
    came = _earlier(rate, -horizon.ahead)
    said = {name: forecast(rate, horizon) for name, forecast in FORECASTERS.items()}
    known = np.all([values > 0 for values in (came, *said.values())], axis=0)
    return {name: _score(came[known], values[known]) for name, values in said.items()}


def _score(came: Series, said: Series) -> Score:
    error = np.log(came / said)
    p95, p99 = np.quantile(error, (0.95, 0.99))
    return Score(float(np.abs(error).mean()), float(p95), float(p99), float(said.sum() / came.sum()))


def _earlier(values: Series, steps: int) -> Series:
    """At each step the value `steps` before it, or after it if negative."""
    moved = np.full_like(values, np.nan)
    if abs(steps) < len(values):
        moved[max(steps, 0) : len(values) + min(steps, 0)] = values[max(-steps, 0) : len(values) - max(steps, 0)]
    return moved


def _mean(values: Series, width: int, behind: int) -> Series:
    """Mean of the known values among `width` steps, of which the first is that many before this one."""
    known = np.isfinite(values)
    total, count = np.zeros_like(values), np.zeros_like(values)
    for shift in range(behind - width + 1, behind + 1):
        total += np.nan_to_num(_earlier(values, shift))
        count += _earlier(known.astype(float), shift) == 1
    return np.divide(total, count, out=np.full_like(values, np.nan), where=count > 0)


def read(path: Path) -> tuple[Series, int]:
    """A rate series and its step in minutes. A missing time, or a rate of 0, counts as unknown."""
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    if "minute_local" in rows[0]:
        at = np.array([row["minute_local"].replace(" ", "T") for row in rows], dtype="datetime64[m]").astype(int)
        values, step_min = np.array([float(row["requests"]) for row in rows]), 1
    else:
        at = np.array([round(float(row["window_start_s"]) / 600) for row in rows])
        values, step_min = np.array([float(row["requests_per_s"]) for row in rows]), 10
    rate = np.full(at.max() - at.min() + 1, np.nan)
    rate[at - at.min()] = np.where(values > 0, values, np.nan)
    return rate, step_min


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.seasons", description=__doc__)
    parser.add_argument("--rates", type=Path, default=RATES, help=f"folder of rate series ({RATES})")
    parser.add_argument("--minutes", type=int, nargs="+", default=[5, 10], help="how far ahead; a step at least")
    options = parser.parse_args(arguments)
    if max(options.minutes) > LONGEST_MIN:
        parser.error(f"--minutes must be at most {LONGEST_MIN}, found {max(options.minutes)}")
    paths = sorted(options.rates.glob("*.csv.gz"))
    if not paths:
        parser.error(f"--rates must be a folder of rate series (*.csv.gz), found none in {options.rates}")
    print("| series | ahead, min | forecast | mean error | short p95 | short p99 | said / came |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for path in paths:
        rate, step_min = read(path)
        for minutes in sorted({max(minutes // step_min, 1) * step_min for minutes in options.minutes}):
            horizon = Horizon(
                ahead=minutes // step_min,
                recent=max(1, RECENT_MIN // step_min),
                smooth=max(1, SMOOTH_MIN // step_min),
                day=DAY_MIN // step_min,
            )
            for name, score in scores(rate, horizon).items():
                figures = (score.mean_error, score.short_p95, score.short_p99, score.said_ratio)
                print(f"| {path.name} | {minutes} | {name} | {' | '.join(f'{figure:.3f}' for figure in figures)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
