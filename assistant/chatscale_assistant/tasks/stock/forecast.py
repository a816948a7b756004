"""Demand of an item in the next week, from its past weeks.

The mean of two forecasts: the median of the last weeks, which minimises the absolute error and ignores single large
orders, and simple exponential smoothing, which follows a trend (R. G. Brown, 1956; E. S. Gardner, "Exponential
smoothing: the state of the art, part II", International Journal of Forecasting 22, 2006).  The mean of simple forecasts
beats each of them and most elaborate ones (Makridakis et al., "The M4 competition", IJF 36, 2020).  Both constants were
chosen on weeks before the test weeks of the evaluation.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chatscale_assistant.tasks.stock.reorder import Demand

Floats = NDArray[np.float64]

MEDIAN_WEEKS: Final = 10
SMOOTHING: Final = 0.4
"""Weight of the newest week."""
MAX_ERROR_WEEKS: Final = 13
"""The error of the forecast comes from at most this many of the last weeks: one quarter."""
MIN_ERROR_WEEKS: Final = 4
"""With fewer past errors the error is that of a Poisson demand: the square root of the mean."""
NEGLIGIBLE_PER_WEEK: Final = 1e-4
"""Units. A forecast below one unit in two centuries is no demand, and its quotients would overflow."""


def forecast_next(weeks: Floats) -> Floats:
    """weeks: [items, weeks], units, oldest first, at least one week. Returns [items]: units of the next week."""
    level = weeks[:, 0].copy()
    for week in range(1, weeks.shape[1]):
        level += SMOOTHING * (weeks[:, week] - level)
    result: Floats = (np.median(weeks[:, -MEDIAN_WEEKS:], axis=1) + level) / 2
    return result


def forecast_demand(weeks: Sequence[float]) -> Demand:
    """Demand of one item; 0 for an item without any past week."""
    if not weeks:
        return Demand(per_week=0.0, error_per_week=0.0)
    history = np.asarray([weeks], dtype=np.float64)
    per_week = float(forecast_next(history)[0])
    first = max(1, len(weeks) - MAX_ERROR_WEEKS)
    errors = [weeks[end] - float(forecast_next(history[:, :end])[0]) for end in range(first, len(weeks))]
    if len(errors) >= MIN_ERROR_WEEKS:
        error = float(np.sqrt(np.mean(np.square(errors))))
    else:
        error = float(np.sqrt(max(per_week, float(np.mean(history)))))
    return Demand(per_week=per_week if per_week >= NEGLIGIBLE_PER_WEEK else 0.0, error_per_week=error)
