"""Dynamo's load predictors: the value of the next interval from the values before.

Source: ai-dynamo/dynamo at 260b6ae, components/src/dynamo/planner/core/load/predictors.py. As there, zeros
before the first load are skipped.
"""

import math
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np

from chatscale_simulator.simulation.arrays import FloatArray


class Predictor(Protocol):
    """One number per interval in, one out."""

    def add(self, value: float) -> None:
        """Add the value of an interval."""
        ...

    def next(self) -> float:
        """Return the forecast for the next interval, at least 0."""
        ...


class Kalman:
    """A local linear trend (level and slope), one step ahead: the filter of its KalmanPredictor without matrices."""

    def __init__(self, *, q_level: float = 1.0, q_trend: float = 0.1, r: float = 10.0) -> None:
        self._q_level: Final = q_level
        self._q_trend: Final = q_trend
        self._r: Final = r
        self._level = 0.0
        self._trend = 0.0
        self._p = (1000.0, 0.0, 1000.0)
        """Covariance: level, both, trend."""
        self._started = False
        self._ahead = False
        """Whether the state is that of the next interval already."""

    def add(self, value: float) -> None:
        """Add the value of an interval."""
        if not self._started:
            if value != 0:
                self._started, self._level = True, value
            return
        if not self._ahead:
            self._step()
        self._ahead = False
        level_var, both, trend_var = self._p
        innovation, total_var = value - self._level, level_var + self._r
        gain_level, gain_trend = level_var / total_var, both / total_var
        self._level += gain_level * innovation
        self._trend += gain_trend * innovation
        self._p = ((1 - gain_level) * level_var, (1 - gain_level) * both, trend_var - gain_trend * both)

    def next(self) -> float:
        """Return the level one interval ahead."""
        if self._started and not self._ahead:
            self._step()
            self._ahead = True
        return max(0.0, self._level)

    def _step(self) -> None:
        level_var, both, trend_var = self._p
        self._level += self._trend
        self._p = (level_var + 2 * both + trend_var + self._q_level, both + trend_var, trend_var + self._q_trend)


MIN_POINTS: Final = 5
"""With fewer values the forecast repeats the last one."""
KPSS_5_PERCENT: Final = 0.463
"""Critical value of the KPSS test around a level: above it the series is differenced."""
MAX_LAGS: Final = 2


class Arima:
    """A small stand-in for pmdarima's auto_arima: ARIMA(p, d, 0), p up to 2, d up to 1, least squares, order by AIC.

    As in Dynamo the order is chosen once, at the fifth point, and the coefficients follow every further point; an
    order without lags is chosen again on log1p; constant data and failed fits repeat the last value. `reselect`
    chooses the order again whenever the series has doubled, as a planner that was warmed up with a trace would have.
    Weaker than the original: no moving-average terms, no second difference, conditional least squares instead of
    exact likelihood. pmdarima itself takes seconds a fit, too long for thousands of runs.
    """

    def __init__(self, *, reselect: bool = False) -> None:
        self._reselect: Final = reselect
        self._values: list[float] = []
        self._order: _Order | None = None
        self._log = False
        self._choose_at = MIN_POINTS

    def add(self, value: float) -> None:
        """Add the value of an interval."""
        if value != 0 or self._values:
            self._values.append(max(0.0, value))

    def next(self) -> float:
        """Return the forecast for the following interval."""
        values = self._values
        if len(values) < MIN_POINTS:
            return values[-1] if values else 0.0
        if min(values) == max(values):
            return values[-1]
        self._choose()
        raw: FloatArray = np.array(values)
        series: FloatArray = np.log1p(raw) if self._log else raw
        forecast = self._order.forecast(series) if self._order is not None else None
        if forecast is None:
            return values[-1]
        return max(0.0, math.expm1(min(forecast, 50.0)) if self._log else forecast)

    def _choose(self) -> None:
        if self._order is not None and not (self._reselect and len(self._values) >= self._choose_at):
            return
        self._choose_at = 2 * len(self._values)
        raw = np.array(self._values)
        self._log, self._order = False, _best_order(raw)
        if self._order.lags == 0:
            self._log, self._order = True, _best_order(np.log1p(raw))


class _Order:
    """Lags, differences and whether there is a constant."""

    def __init__(self, lags: int, differences: int, *, constant: bool) -> None:
        self.lags: Final = lags
        self.differences: Final = differences
        self.constant: Final = constant

    def forecast(self, series: FloatArray) -> float | None:
        """Return the value after `series`, fitted to all of it; None if the fit is not stationary."""
        changes = np.diff(series, self.differences)
        fit = self._fit(changes, self.lags)
        if fit is None:
            return None
        coefficients, _ = fit
        latest = [*changes[::-1][: self.lags].tolist(), *([1.0] if self.constant else [])]
        ahead = float(np.dot(coefficients, latest)) if latest else 0.0
        return ahead + (float(series[-1]) if self.differences else 0.0)

    def aic(self, series: FloatArray, skipped: int) -> float:
        """Akaike's criterion over what follows the first `skipped` values, which all orders compared leave out."""
        fit = self._fit(np.diff(series, self.differences), skipped)
        if fit is None:
            return math.inf
        coefficients, residuals = fit
        count = len(residuals)
        if count < len(coefficients) + 2:
            return math.inf
        return float(count * math.log(max(float(residuals @ residuals) / count, 1e-12)) + 2 * (len(coefficients) + 1))

    def _fit(self, changes: FloatArray, skipped: int) -> tuple[FloatArray, FloatArray] | None:
        columns = [changes[skipped - lag : len(changes) - lag] for lag in range(1, self.lags + 1)]
        target = changes[skipped:]
        if self.constant:
            columns.append(np.ones(len(target)))
        if not columns:
            return np.zeros(0), target
        design = np.column_stack(columns)
        coefficients: FloatArray = np.linalg.lstsq(design, target, rcond=None)[0].astype(np.float64)
        if not _stationary(coefficients[: self.lags].tolist()):
            return None
        return coefficients, target - design @ coefficients


def _stationary(phi: Sequence[float]) -> bool:
    match phi:
        case []:
            return True
        case [one]:
            return abs(one) < 1
        case [one, two]:
            return abs(two) < 1 and two + one < 1 and two - one < 1
        case _:
            raise ValueError(f"lags: expected at most {MAX_LAGS}, found {len(phi)}")


def _best_order(series: FloatArray) -> _Order:
    differences = 1 if _kpss(series) > KPSS_5_PERCENT else 0
    most = min(MAX_LAGS, (len(series) - differences - 2) // 2)
    orders = [_Order(lags, differences, constant=True) for lags in range(most + 1)]
    if differences:
        orders += [_Order(lags, differences, constant=False) for lags in range(most + 1)]
    return min(orders, key=lambda order: order.aic(series, most))


def _kpss(series: FloatArray) -> float:
    """Return the KPSS statistic around a level, without lags in the variance, because n is small."""
    away = series - series.mean()
    variance = float(away @ away) / len(series)
    if variance <= 0:
        return 0.0
    walked = np.cumsum(away)
    return float(walked @ walked) / (len(series) ** 2 * variance)
