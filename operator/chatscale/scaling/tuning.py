"""Every constant of the SLO policy, with the reason for its value (docs/design/0008).

None is specific to a model, machine or trace: what differs between those is measured or learned. "Measured" means: on
the development traces of docs/benchmarks/autoscaling.md.
"""

from datetime import timedelta
from typing import Final

LOAD_WINDOW: Final = timedelta(seconds=60)
"""Averaging window of the load. A shorter one follows single arrivals, a longer one reacts late: measured."""
SHORT_WINDOW: Final = timedelta(seconds=30)
"""Averaging window of the load that a forecast is compared with, and of KV cache and slot use."""
DECISION_DELAY: Final = timedelta(seconds=25)
"""From a change of the load until its pods are created: half a scrape interval, a decision, a reconcile."""
REQUEST_SIZE_MEMORY: Final = timedelta(minutes=15)
"""Time constant of the mean request lengths and of which resource is the bottleneck."""
OVERLOAD_THRESHOLD: Final = 0.75
"""Requested tokens as a share of what the replicas can compute. Above it batches grow because steps take longer, so
KV cache and slot use no longer show which resource is the bottleneck: measured on both profiles."""
FORECAST_ERROR_MEMORY: Final = timedelta(hours=1)
"""Time constant of forecast errors: one busy hour should not keep spare replicas for a whole night."""
INITIAL_FORECAST_ERROR: Final = 0.2
"""Standard deviation of the forecast error (natural logarithm) of a new model. Nothing is known of its traffic, and its
first ramp needs room. The errors of the first hour replace it."""
MIN_FORECAST: Final = 0.5
"""Replicas. A smaller forecast counts as this much when its error is computed. One replica is always there, and the
first request after an idle hour would be an error without limit: it kept the highest count for hours."""
MAX_FORECAST_ERROR: Final = 0.7
"""Upper bound of one forecast error (natural logarithm). A load that more than doubles within a cold start is an
unannounced spike, and the next hour needs no replicas for another one: without the bound a day with one spike of 12x
cost 14 % more, for no gain."""
DEFAULT_COLD_START: Final = timedelta(seconds=80)
"""Assumed until a start is measured: an 8B model with its files cached on the node. The measured start replaces it."""
MAX_COLD_START: Final = timedelta(minutes=15)
"""Upper bound of the time from the creation of a pod until it is Ready. Forecasts look no further ahead."""
MAX_MEASURED_COLD_START: Final = timedelta(minutes=30)
"""A longer start is a fault and is not measured. The startup probe fails after the same time."""
SLOWEST_POD_FACTOR: Final = 2.0
"""Lead time of an announced event, as a multiple of the time from creation to Ready. The slowest of many pods takes
longer than the mean: 1.6 times for the slowest of twenty (published start-up times of an 8B model: 80 s, and 130 s for
5 of 100)."""

RESERVE_FACTOR: Final = 2.0
"""Reserve for a load of W replicas: RESERVE_FACTOR * sqrt(x / T) * W ** POOLING_EXPONENT, with x the seconds of work in
a mean request and T the time allowed for its first token. The square root is the standard deviation of the work that
arrives within T. The factor keeps 99 % on fleets of 1, 4 and 16 replicas of both profiles: measured."""
POOLING_EXPONENT: Final = 0.75
"""Between 1/2, a perfectly shared queue (square-root staffing), and 1, replicas that share nothing: measured."""
MIN_REQUEST_S: Final = 0.02
"""Seconds of work in a mean request. Shorter requests still arrive in groups."""

TOLERANCE: Final = 0.4
"""Replicas. The count is raised only if the need exceeds it by this much: a need near a whole number must not change
the count back and forth. The error budget compensates for what this costs in SLO misses."""
BUDGET_SHARE: Final = 0.5
"""Share of the SLO misses that the objective allows, which the policy uses as its budget. The rest is for unforeseen
load. Measured on whole days: 0.6 costs 0 to 7 % less, and keeps 98.96 % and 99.02 % where prompts differ most."""
GAIN_PER_HOUR: Final = 0.15
"""The reserve shrinks by this much (natural logarithm) in an hour without a miss, and grows by as much in an hour with
twice the budget."""
MAX_MISS_RATIO: Final = 0.5
"""Share of missed requests above which more misses count no more: no reserve would have held such a burst."""
MIN_RESERVE: Final = 0.5
MAX_RESERVE: Final = 3.0
"""Bounds of the learned factor on the reserve: a wrong counter cannot do more than this."""
REQUEST_RATE_MEMORY: Final = timedelta(minutes=30)
"""Time constant of the request rate that misses are weighted with."""

JUMP_WINDOW: Final = timedelta(seconds=10)
"""Longest time after a change of the arrival rate in which it is looked for; at least one reading."""
JUMP_SIGNIFICANCE: Final = 4.0
"""Standard deviations between two arrival rates, from which on the change is no noise."""
JUMP_RATIO: Final = 2.0
"""A smaller change of the arrival rate is a ramp: the forecast and the reserve cover it. At 1.5, three jumps in
three busy hours of the burstiest day cost 3.6 % more GPU-hours on profile S, and 0.2 points of attainment on M."""
DISPERSION_MEMORY: Final = timedelta(minutes=15)
"""Time constant of the noise of the arrivals."""
MAX_SLOWDOWN: Final = 4.0
"""Upper bound of the slowdown under full load: a wrong counter cannot do more than this."""
FULL_KV_CACHE: Final = 0.8
"""KV cache use from which on it is full for the next request: a guess, about one long prompt below the whole."""
