"""Every number that the SLO policy is tuned with, and why it is what it is; docs/design/0008.

None is about one model, machine or trace: what differs between those is measured or learned. Where the reason says
"measured", the comparison of docs/benchmarks/autoscaling.md was the measure.
"""

from datetime import timedelta
from typing import Final

LEVEL: Final = timedelta(seconds=60)
"""LoadSummary is averaged over this. Shorter chases the noise of single arrivals, longer comes late: measured."""
SHORT: Final = timedelta(seconds=30)
"""What a forecast is compared with when its time has come, and over which full caches and slots are averaged."""
DECISION_DELAY: Final = timedelta(seconds=25)
"""From a change of the load until pods for it are created: half a scrape, a decision, a pass."""
SIZE_MEMORY: Final = timedelta(minutes=15)
"""Mean lengths of requests, and which resource binds, are remembered this long (time constant)."""
CROWDED: Final = 0.75
"""Tokens asked for over what replicas can compute: above this batches grow because steps do, on both machines."""
ERROR_MEMORY: Final = timedelta(hours=1)
"""Likewise errors of forecasts: one busy hour should not hold spare replicas through a night."""
FIRST_ERROR: Final = 0.2
"""Standard deviation of the forecast's logarithm before any forecast has come true: nothing is known of a new model's
traffic, and its first ramp must not find it at the brim. An hour replaces it."""
LEAST_FORECAST: Final = 0.5
"""Replicas; forecasts are judged as if no load were smaller. One replica is always there, and the first request after
an idle hour is a rise without measure: taken for an error, it held the highest count for hours."""
MOST_ERROR: Final = 0.7
"""Of one forecast's logarithm: load that more than doubles within a cold start is a crowd that nobody announced, and
the hour after it must not be staffed for the next one: 14 % dearer on a day with one spike of 12x, for nothing."""
FIRST_COLD_START: Final = timedelta(seconds=80)
"""Before any pod was seen to become ready: an 8B model with its files cached on the node."""
LONGEST_COLD_START: Final = timedelta(minutes=15)
"""No forecast and no lead looks further ahead."""
LONGEST_START: Final = timedelta(minutes=30)
"""Beyond this a pod was in trouble rather than slow, and says nothing of the next; the startup probe gives up then."""
LAST_OF_MANY: Final = 2.0
"""Cold starts that an announced event is prepared ahead: of many pods the last takes longer than the mean, by 1.6
times where it is the slowest of twenty (published start-ups of an 8B model: 80 s, and 130 s for 5 of 100)."""

RESERVE: Final = 2.0
"""Reserve over the work W (replicas): RESERVE * sqrt(x / T) * W ** POOLING, x the seconds of work in a mean request and
T the time it has for its first token. The square root is the standard deviation of the work that arrives in T,
the factor what keeps 99 % on fleets of 1, 4 and 16 replicas of both machines: measured."""
POOLING: Final = 0.75
"""Between 1/2, a perfectly shared queue (square-root staffing), and 1, replicas that share nothing: measured."""
LEAST_WORK_S: Final = 0.02
"""Shorter requests than this still come in steps."""

TOLERANCE: Final = 0.4
"""Replicas that may be needed beyond the count before it is raised: a need that hovers at a whole number must not make
the count turn; what it costs in promises the budget buys back."""
BUDGET_SHARE: Final = 0.5
"""Of the misses that the objective allows, this share is spent on purpose; the rest is for what nobody foresees.
Measured on whole days: six tenths cost 0 to 7 % less, and keep 98.96 % and 99.02 % where prompts differ most."""
GAIN_PER_HOUR: Final = 0.15
"""The reserve shrinks by this much (log) in an hour without a miss, and grows as much in one with twice the budget."""
MOST_MISSED: Final = 0.5
"""Share of missed requests that is believed: beyond it a burst was not foreseen, and no reserve would have held it."""
LEAST_RESERVE: Final = 0.5
MOST_RESERVE: Final = 3.0
"""Bounds of what is learned, as factors of the usual reserve: a lying counter can do no more than this."""
RATE_MEMORY: Final = timedelta(minutes=30)
"""Requests per hour, against which misses are weighed, are remembered this long."""
