"""The reserve: how many replicas are kept above the present load. Learned from forecast errors and SLO misses. Pure.

Two quantities are learned. The forecast error says how far the load rises within a cold start. The reserve factor says
how much reserve this model's traffic needs to stay within the error budget of its SLO: replicas count the misses.
"""

import math
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chatscale.api.v1alpha1 import AutoscalingStatus, SloSpec
from chatscale.scaling.cold_start import ColdStarts
from chatscale.scaling.tuning import (
    BUDGET_SHARE,
    DECISION_DELAY,
    FORECAST_ERROR_MEMORY,
    GAIN_PER_HOUR,
    INITIAL_FORECAST_ERROR,
    LOAD_WINDOW,
    MAX_FORECAST_ERROR,
    MAX_MISS_RATIO,
    MAX_RESERVE,
    MIN_FORECAST,
    MIN_REQUEST_S,
    MIN_RESERVE,
    POOLING_EXPONENT,
    RESERVE_FACTOR,
)
from chatscale.scaling.work import Work
from chatscale_contract.server.metrics import SLO_PREFILL_FACTOR

_HOUR_S = 3600.0
_MIN_REQUESTS_PER_HOUR = 60.0
"""Below one request a minute, one miss says little."""
_MIN_LOAD = 1e-6


@dataclass(frozen=True, slots=True)
class Reserve:
    """What is learned about one ChatModel. `status.autoscaling` keeps everything except the pending forecasts."""

    factor: float = 1.0
    """Multiplies the reserve."""
    error_variance: float = INITIAL_FORECAST_ERROR**2
    """Variance of ln(load / forecast), where the load was above the forecast."""
    starts: ColdStarts = field(default_factory=ColdStarts)
    forecasts: tuple[tuple[datetime, float], ...] = ()
    """(time of the forecast, load expected one horizon later in replicas), oldest first."""

    @classmethod
    def learned(cls, status: AutoscalingStatus) -> "Reserve":
        """The reserve that an earlier process left in the status."""
        reserve, learned = cls(starts=ColdStarts.learned(status)), status.learned
        if learned is None:
            return reserve
        return replace(
            reserve,
            factor=min(max(learned.reserve_percent / 100, MIN_RESERVE), MAX_RESERVE),
            error_variance=(learned.forecast_error_percent / 100) ** 2,
        )

    @property
    def drain_s(self) -> float:
        """Seconds in which a backlog should be served. An assumed cold start does not count."""
        return max(self.starts.measured_s or 0.0, LOAD_WINDOW.total_seconds() / 2)

    @property
    def horizon(self) -> timedelta:
        """From the middle of the load's averaging window until a replica requested now is Ready."""
        return timedelta(seconds=self.starts.until_ready_s) + DECISION_DELAY + LOAD_WINDOW / 2

    @property
    def learning_horizon(self) -> timedelta:
        """The time after which a forecast is compared with the load: the horizon, but never an assumed cold start.

        Otherwise the first recommendation for a new model would depend on the assumption.
        """
        if self.starts.measured_s is None:
            return DECISION_DELAY + LOAD_WINDOW
        return self.horizon

    def sized_for(self, work: Work, slo: SloSpec, now: datetime, *, is_full: bool = False) -> "Need":
        """The replicas that the load one horizon ahead needs, in fractions. The work must be known.

        is_full: all replicas are full, so the newest arrivals count at once.
        """
        load = max(work.load(now, recent=is_full), _MIN_LOAD)
        rising = load * math.exp(self.factor * math.sqrt(self.error_variance))
        expected = max(rising, load + work.backlog_s / self.drain_s)
        prefill_s = work.prompt_tokens / work.speed.tokens_per_s
        ttft_s = max(slo.ttft_milliseconds / 1000, SLO_PREFILL_FACTOR * prefill_s)
        unevenness = math.sqrt(max(work.request_s, MIN_REQUEST_S) / ttft_s)
        spare = self.factor * RESERVE_FACTOR * unevenness * expected**POOLING_EXPONENT
        return Need(load=load, expected=expected, spare=spare)


@dataclass(frozen=True, slots=True)
class Need:
    """A load and its reserve, in replicas."""

    load: float
    """Replicas that the present load would use completely."""
    expected: float
    """The same, one horizon later, at the upper end of the likely range."""
    spare: float
    """For uneven arrivals."""

    @property
    def replicas(self) -> float:
        """Replicas needed, before rounding."""
        return self.expected + self.spare


def learn_reserve(reserve: Reserve, work: Work, slo: SloSpec, now: datetime) -> Reserve:
    """Add one observation, which `work` has counted already."""
    if not work.is_known:
        return reserve
    load = max(work.load(now), _MIN_LOAD)
    due = [forecast for forecast in reserve.forecasts if forecast[0] <= now - reserve.learning_horizon]
    variance = reserve.error_variance
    if due:
        observed = max(work.short_load(now), load / 2, MIN_FORECAST)
        error = math.log(observed / max(due[-1][1], MIN_FORECAST))
        variance = _learn_error(variance, error, _elapsed_s(reserve, now))
    pending = reserve.forecasts[max(len(due) - 1, 0) :]
    return replace(
        reserve,
        factor=_learn_factor(reserve.factor, work, slo, _request_rate(reserve, work, now)),
        error_variance=variance,
        forecasts=(*pending, (now, load)),
    )


def _request_rate(reserve: Reserve, work: Work, now: datetime) -> float | None:
    """Requests per second that misses are weighted with: smoothed, but while the replicas for a jump start the rate
    after the jump. A minute of misses would otherwise count as many hours of the quiet time before.
    """
    if work.requests_per_s is None or work.jumped_at is None or now >= work.jumped_at + reserve.learning_horizon:
        return work.requests_per_s
    return max(work.requests_per_s, work.arrival_rps(now))


def _elapsed_s(reserve: Reserve, now: datetime) -> float:
    return (now - reserve.forecasts[-1][0]).total_seconds() if reserve.forecasts else 0.0


def _learn_error(variance: float, error: float, elapsed_s: float) -> float:
    """Move the variance towards this error's square.

    A load below the forecast costs nothing and counts as no error; a load above it counts twice to make up for that.
    """
    kept = math.exp(-elapsed_s / FORECAST_ERROR_MEMORY.total_seconds())
    return variance * kept + (1 - kept) * 2 * min(max(error, 0.0), MAX_FORECAST_ERROR) ** 2


def _learn_factor(factor: float, work: Work, slo: SloSpec, requests_per_s: float | None) -> float:
    """Integrate SLO misses against the budget, weighted by an hour's requests."""
    if work.growth.requests <= 0 or requests_per_s is None:
        return factor
    budget = BUDGET_SHARE * (100 - slo.objective_percent) / 100
    misses = min(work.growth.misses, MAX_MISS_RATIO * work.growth.requests)
    hours = (misses / budget - work.growth.requests) / max(requests_per_s * _HOUR_S, _MIN_REQUESTS_PER_HOUR)
    return min(max(factor * math.exp(GAIN_PER_HOUR * hours), MIN_RESERVE), MAX_RESERVE)
