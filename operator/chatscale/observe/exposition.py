"""A replica's `/metrics` text turned into one `ReplicaSample`. Pure, and tolerant of everything but lies.

Metrics that are not ours are skipped. A metric of ours that is missing, not finite or negative makes the whole
text unusable: a load that is half known must not be taken for a small one. Counters of work may be missing as a
whole.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from chatscale.errors import MetricsUnavailableError
from chatscale.scaling.signals import ReplicaSample, WorkCounters
from chatscale_contract.server.metrics import Metric, RejectReason

GAUGES: Final = (Metric.QUEUE_DEPTH, Metric.REQUESTS_RUNNING, Metric.SLOTS, Metric.KV_CACHE_USAGE_RATIO)
WORK: Final = (
    Metric.MAX_TOKENS_PER_SECOND,
    Metric.PROMPT_TOKENS_TOTAL,
    Metric.GENERATED_TOKENS_TOTAL,
    Metric.REQUESTS_TOTAL,
    Metric.SLO_MISSES_TOTAL,
)
"""What a replica tells of its work; a server of another version may not."""
READ: Final = (*GAUGES, Metric.REQUESTS_REJECTED_TOTAL, *WORK)
"""Everything that the operator reads of a replica."""
REASON_LABEL: Final = "reason"
DISTINCT_LABELS: Final = (REASON_LABEL, "finish_reason", "objective")
"""What tells series of one metric and one replica apart."""
NO_ROOM: Final = (RejectReason.QUEUE_FULL, RejectReason.DEADLINE)
"""Refusals that another replica would have prevented."""
_LONGEST_LINE: Final = 2048
"""Characters. The parser's time grows with the square of a line's escaped quotes: a megabyte would take minutes."""
_LARGEST_COUNT: Final = 10**9
"""Of requests or slots in one replica; anything above is a lie or a bug."""


def parse_exposition(text: str, taken_at: datetime) -> ReplicaSample:
    """Read one replica's exposition. Raises MetricsUnavailableError with what is wrong."""
    if max(map(len, text.splitlines()), default=0) > _LONGEST_LINE:
        raise MetricsUnavailableError(f"not a Prometheus exposition: a line has more than {_LONGEST_LINE} characters")
    try:
        series = [
            (sample.name, sample.labels, float(sample.value))
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name in READ
        ]
    except (ValueError, KeyError, IndexError, OverflowError) as error:
        raise MetricsUnavailableError(f"not a Prometheus exposition: {error}") from error
    return sample_from(series, taken_at)


def sample_from(series: Iterable[tuple[str, Mapping[str, str], float]], taken_at: datetime) -> ReplicaSample:
    """Build a sample from (name, labels, value) of one replica; gauges of several series add up."""
    sums: dict[str, float] = {}
    rejected = 0.0
    for name, labels, value in series:
        if not math.isfinite(value) or value < 0:
            raise MetricsUnavailableError(f"{name} is {value}, expected a number from 0")
        if name != Metric.REQUESTS_REJECTED_TOTAL:
            sums[name] = sums.get(name, 0.0) + value
        elif labels.get(REASON_LABEL) in NO_ROOM:
            rejected += value
    missing = [name.value for name in GAUGES if name not in sums]
    if missing:
        raise MetricsUnavailableError(f"no {', '.join(missing)} among the metrics")
    return ReplicaSample(
        taken_at=taken_at,
        queue_depth=_count(Metric.QUEUE_DEPTH, sums),
        running=_count(Metric.REQUESTS_RUNNING, sums),
        slots=_count(Metric.SLOTS, sums),
        kv_cache_usage_ratio=min(sums[Metric.KV_CACHE_USAGE_RATIO], 1.0),
        rejected_total=rejected,
        work=_work(sums),
    )


def _work(sums: Mapping[str, float]) -> WorkCounters | None:
    """None unless all of it is there, and the replica knows its own speed."""
    if any(name not in sums for name in WORK) or sums[Metric.MAX_TOKENS_PER_SECOND] <= 0:
        return None
    return WorkCounters(
        max_tokens_per_second=sums[Metric.MAX_TOKENS_PER_SECOND],
        prompt_tokens=sums[Metric.PROMPT_TOKENS_TOTAL],
        generated_tokens=sums[Metric.GENERATED_TOKENS_TOTAL],
        finished=sums[Metric.REQUESTS_TOTAL],
        slo_misses=sums[Metric.SLO_MISSES_TOTAL],
    )


def _count(name: Metric, sums: Mapping[str, float]) -> int:
    if sums[name] > _LARGEST_COUNT:
        raise MetricsUnavailableError(f"{name.value} is {sums[name]}, expected at most {_LARGEST_COUNT}")
    return round(sums[name])
