"""How much more than the present load is kept: learned from forecasts that came true and from promises missed.

Two quantities are learned. How far load rises within the time that a replica takes to come: the errors of earlier
forecasts tell. And how large a reserve this model's traffic needs so that no more requests miss the SLO than may: an
error budget tells, as missed requests are counted by the replicas themselves.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chatscale.api.v1alpha1 import AutoscalingStatus, SloSpec
from chatscale.scaling.signals import Replica, ReplicaPhase
from chatscale.scaling.tuning import (
    BUDGET_SHARE,
    DECISION_DELAY,
    ERROR_MEMORY,
    FIRST_COLD_START,
    FIRST_ERROR,
    GAIN_PER_HOUR,
    LEAST_FORECAST,
    LEAST_RESERVE,
    LEAST_WORK_S,
    LEVEL,
    LONGEST_COLD_START,
    LONGEST_START,
    MOST_ERROR,
    MOST_MISSED,
    MOST_RESERVE,
    POOLING,
    RESERVE,
)
from chatscale.scaling.work import Work
from chatscale_contract.server.metrics import SLO_PREFILL_FACTOR

_HOUR_S = 3600.0
_FEWEST_PER_HOUR = 60.0
"""Below a request a minute one miss says little."""
_LEAST_LOAD = 1e-6


@dataclass(frozen=True, slots=True)
class Reserve:
    """What is learned of one ChatModel. Small: all but the pending forecasts survives a restart, in its status."""

    factor: float = 1.0
    """On the usual reserve."""
    error_variance: float = FIRST_ERROR**2
    """Of the logarithm of load over forecast, where it was above."""
    measured_cold_start_s: float | None = None
    """None before a pod was seen to start."""
    started: frozenset[str] | None = None
    """Pods that have been ready; None before anyone looked."""
    forecasts: tuple[tuple[datetime, float], ...] = ()
    """Loads expected one horizon later, oldest first."""

    @classmethod
    def learned(cls, status: AutoscalingStatus) -> "Reserve":
        """As it was left by an earlier process."""
        known_s, learned = status.cold_start_seconds, status.learned
        reserve = cls(
            measured_cold_start_s=None if known_s is None else min(float(known_s), LONGEST_COLD_START.total_seconds())
        )
        if learned is None:
            return reserve
        return replace(
            reserve,
            factor=min(max(learned.reserve_percent / 100, LEAST_RESERVE), MOST_RESERVE),
            error_variance=(learned.forecast_error_percent / 100) ** 2,
        )

    @property
    def cold_start_s(self) -> float:
        """From the creation of a pod until it takes requests."""
        return FIRST_COLD_START.total_seconds() if self.measured_cold_start_s is None else self.measured_cold_start_s

    @property
    def horizon(self) -> timedelta:
        """From the middle of the load's window until a replica asked for now takes requests."""
        return timedelta(seconds=self.cold_start_s) + DECISION_DELAY + LEVEL / 2

    def sized_for(self, work: Work, slo: SloSpec, now: datetime) -> "Need":
        """How many replicas the load at the horizon needs, in fractions."""
        level = max(work.level(now), _LEAST_LOAD)
        rising = level * math.exp(self.factor * math.sqrt(self.error_variance))
        expected = max(rising, level + work.backlog_s / max(self.cold_start_s, LEVEL.total_seconds() / 2))
        prompt_s = work.prompt_tokens / work.tokens_per_s
        patience_s = max(slo.ttft_milliseconds / 1000, SLO_PREFILL_FACTOR * prompt_s)
        spare = self.factor * RESERVE * math.sqrt(max(work.request_s, LEAST_WORK_S) / patience_s) * expected**POOLING
        return Need(load=level, expected=expected, spare=spare)


@dataclass(frozen=True, slots=True)
class Need:
    """A load in replicas, and what is kept beyond it."""

    load: float
    """That the present load would fill to the brim."""
    expected: float
    """Likewise when a replica asked for now would be there, at the upper end of what is likely."""
    spare: float
    """Against the unevenness of arrivals."""

    @property
    def replicas(self) -> float:
        """Needed, not yet whole."""
        return self.expected + self.spare


def learn_start_ups(reserve: Reserve, replicas: Iterable[Replica]) -> Reserve:
    """Time the pods that are seen ready for the first time; needs no metrics. replicas: all, in whatever phase.

    Each start-up counts as much as all before it: a cache that went cold is believed soon. Who was ready before anyone
    looked, or was ready once, is not timed: a probe that failed for a moment would pass for a start of hours.
    """
    there = {replica.name: replica for replica in replicas}
    ready = {name for name, replica in there.items() if replica.phase is ReplicaPhase.READY}
    if reserve.started is None:
        return replace(reserve, started=frozenset(ready))
    took_s = [took.total_seconds() for name in sorted(ready - reserve.started) if (took := _start_up(there[name]))]
    known_s = reserve.cold_start_s
    for each_s in took_s:
        known_s = (known_s + each_s) / 2
    return replace(
        reserve,
        measured_cold_start_s=known_s if took_s else reserve.measured_cold_start_s,
        started=frozenset(ready | (reserve.started & there.keys())),
    )


def _start_up(replica: Replica) -> timedelta | None:
    """None where it is not known, or so long that it says nothing of the next."""
    if replica.created is None or not timedelta(0) < replica.since - replica.created <= LONGEST_START:
        return None
    return min(replica.since - replica.created, LONGEST_COLD_START)


def learn(reserve: Reserve, work: Work, slo: SloSpec, now: datetime) -> Reserve:
    """Take one more observation, which `work` has counted."""
    if not work.is_known:
        return reserve
    level = max(work.level(now), _LEAST_LOAD)
    due = [forecast for forecast in reserve.forecasts if forecast[0] <= now - reserve.horizon]
    variance = reserve.error_variance
    if due:
        came = max(work.short(now), level / 2, LEAST_FORECAST)
        error = math.log(came / max(due[-1][1], LEAST_FORECAST))
        variance = _learn_error(variance, error, _elapsed_s(reserve, now))
    pending = reserve.forecasts[max(len(due) - 1, 0) :]
    return replace(
        reserve,
        factor=_learn_factor(reserve.factor, work, slo),
        error_variance=variance,
        forecasts=(*pending, (now, level)),
    )


def _elapsed_s(reserve: Reserve, now: datetime) -> float:
    return (now - reserve.forecasts[-1][0]).total_seconds() if reserve.forecasts else 0.0


def _learn_error(variance: float, error: float, elapsed_s: float) -> float:
    """Fade towards this error's square. Falls cost nothing, so they count as no error, and rises twice instead."""
    kept = math.exp(-elapsed_s / ERROR_MEMORY.total_seconds())
    return variance * kept + (1 - kept) * 2 * min(max(error, 0.0), MOST_ERROR) ** 2


def _learn_factor(factor: float, work: Work, slo: SloSpec) -> float:
    """Integrate missed requests against the budget, weighed by an hour's requests."""
    if work.grown.requests <= 0 or work.requests_per_s is None:
        return factor
    budget = BUDGET_SHARE * (100 - slo.objective_percent) / 100
    misses = min(work.grown.misses, MOST_MISSED * work.grown.requests)
    hours = (misses / budget - work.grown.requests) / max(work.requests_per_s * _HOUR_S, _FEWEST_PER_HOUR)
    grown = factor * math.exp(GAIN_PER_HOUR * hours)
    return min(max(grown, LEAST_RESERVE), MOST_RESERVE)
