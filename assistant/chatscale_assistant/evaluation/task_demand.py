"""Suite `demand`: error of the next week's forecast for each item, against last week's value."""

from typing import Final

import numpy as np

from chatscale_assistant.evaluation.intervals import RESAMPLES, Estimate
from chatscale_assistant.evaluation.measurement import Measurement
from chatscale_assistant.evaluation.task_baskets import Data, Floats, Lines, read_lines
from chatscale_assistant.tasks.stock.forecast import forecast_next

SUITE: Final = "demand"
WEEKS: Final = 52
TEST_WEEKS: Final = 5
"""The last tenth of the year."""
ITEMS: Final = 5000
MAX_QUANTITY: Final = 100
"""Items with a larger quantity on one line are fuel or sold by volume, not by piece."""
MUST: Final = 0.10
AIM: Final = 0.15


def run(data: Data, *, sample: int | None, seed: int) -> list[Measurement]:
    """Each test week is forecast from all weeks before it; `sample` items at random, or all."""
    weeks = weekly_units(read_lines(data), before=WEEKS - TEST_WEEKS)
    if sample is not None and sample < len(weeks):
        weeks = weeks[np.random.default_rng(seed).permutation(len(weeks))[:sample]]
    errors, naive = held_out_errors(weeks)
    reduction = lower_error(errors, naive)
    return [
        Measurement.of(
            SUITE,
            "reduction of the mean absolute error per item and week",
            reduction,
            baseline=0.0,
            baseline_name="last week's value",
            must=MUST,
            aim=AIM,
            note=f"mean error {errors.mean():.3f} units against {naive.mean():.3f}; weeks {WEEKS - TEST_WEEKS + 1} to "
            f"{WEEKS}; the interval resamples items",
        )
    ]


def weekly_units(lines: Lines, *, before: int) -> Floats:
    """[items, WEEKS]: units of the items that most households bought in the first `before` weeks."""
    whole = lines.where((lines.week >= 1) & (lines.week <= WEEKS))
    bulk = np.unique(whole.product[whole.quantity > MAX_QUANTITY])
    whole = whole.where(~np.isin(whole.product, bulk))
    products, product = np.unique(whole.product, return_inverse=True)
    earlier = whole.week <= before
    pairs = np.unique(np.stack([whole.household[earlier], product[earlier]]), axis=1)
    households = np.bincount(pairs[1], minlength=len(products))
    units = np.zeros((len(products), WEEKS))
    np.add.at(units, (product, whole.week - 1), whole.quantity)
    result: Floats = units[np.argsort(-households, kind="stable")[:ITEMS]]
    return result


def held_out_errors(weeks: Floats) -> tuple[Floats, Floats]:
    """Mean absolute error of each item over the test weeks: forecast, last week's value."""
    test = range(WEEKS - TEST_WEEKS, WEEKS)
    errors = [np.abs(weeks[:, week] - forecast_next(weeks[:, :week])) for week in test]
    naive = [np.abs(weeks[:, week] - weeks[:, week - 1]) for week in test]
    return np.mean(errors, axis=0), np.mean(naive, axis=0)


def lower_error(errors: Floats, naive: Floats) -> Estimate:
    """1 - sum of errors / sum of the baseline's errors, with a bootstrap over items."""
    rows = np.random.default_rng(len(errors)).integers(0, len(errors), size=(RESAMPLES, len(errors)))
    resampled = 1 - errors[rows].sum(axis=1) / naive[rows].sum(axis=1)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Estimate(float(1 - errors.sum() / naive.sum()), float(low), float(high), len(errors))
