"""Our inference server (`inference_server/`): metrics `inference_*` and the exit codes of `ExitCode`.

A gauge that is missing, not finite or negative makes the whole reading unusable. Counters of work may be missing: a
server image older than the operator may not have them.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from chatscale.errors import MetricsUnavailableError
from chatscale.observe.dialects.dialect import Dialect, ExitMeaning, Series
from chatscale.observe.problems import ProblemReason
from chatscale.scaling.signals import ReplicaSample, WorkCounters
from chatscale_contract.server.exit_codes import ExitCode
from chatscale_contract.server.metrics import BATCH_SIZE_LABEL, CHATMODEL_LABEL, Metric, RejectReason

GAUGES: Final = (Metric.QUEUE_DEPTH, Metric.REQUESTS_RUNNING, Metric.SLOTS, Metric.KV_CACHE_USAGE_RATIO)
WORK: Final = (
    Metric.MAX_TOKENS_PER_SECOND,
    Metric.PROMPT_TOKENS_TOTAL,
    Metric.GENERATED_TOKENS_TOTAL,
    Metric.REQUESTS_TOTAL,
    Metric.SLO_MISSES_TOTAL,
)
"""Counters of work, and the capacity that the replica measured of itself. Without any of them the work is unknown."""
OPTIONAL: Final = (Metric.MAX_TOKENS_PER_STEP, Metric.DECODE_STEP_SECONDS, Metric.PREFIX_CACHE_HITS_TOTAL)
"""Series that an older server does not have."""
REASON_LABEL: Final = "reason"
NO_CAPACITY: Final = (RejectReason.QUEUE_FULL, RejectReason.DEADLINE, RejectReason.ABANDONED)
"""Rejections that another replica would have prevented."""
_LARGEST_COUNT: Final = 10**9
"""Requests or slots of one replica. A larger value is a bug or an attack."""

_EXIT_REASONS: Final = {
    ExitCode.MODEL_NOT_FOUND: ProblemReason.MODEL_NOT_FOUND,
    ExitCode.MODEL_UNSUPPORTED: ProblemReason.MODEL_UNSUPPORTED,
    ExitCode.MODEL_TOO_LARGE: ProblemReason.MODEL_DOES_NOT_FIT,
    ExitCode.BAD_SETTINGS: ProblemReason.BAD_SETTINGS,
    ExitCode.ENGINE_FAILED: ProblemReason.ENGINE_FAILED,
}


def _promql_matchers(namespace: str, chatmodel: str) -> str:
    return f'namespace="{namespace}",{CHATMODEL_LABEL}="{chatmodel}"'


def _to_sample(series: Iterable[Series], taken_at: datetime) -> ReplicaSample:
    """Several series of one name add up."""
    sums: dict[str, float] = {}
    rejected = 0.0
    decode_steps_s: dict[int, float] = {}
    for name, labels, value in series:
        if not math.isfinite(value) or value < 0:
            raise MetricsUnavailableError(f"{name} is {value}, expected a number from 0")
        if name == Metric.DECODE_STEP_SECONDS:
            if (size := labels.get(BATCH_SIZE_LABEL, "")).isdecimal():
                decode_steps_s[int(size)] = value
        elif name != Metric.REQUESTS_REJECTED_TOTAL:
            sums[name] = sums.get(name, 0.0) + value
        elif labels.get(REASON_LABEL) in NO_CAPACITY:
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
        work=_work(sums, decode_steps_s),
    )


def _work(sums: Mapping[str, float], decode_steps_s: Mapping[int, float]) -> WorkCounters | None:
    """None unless every counter of `WORK` is there and the replica has measured its capacity.

    Prompt tokens that were found in the prefix cache are no work. A server without that counter found none.
    """
    if any(name not in sums for name in WORK) or sums[Metric.MAX_TOKENS_PER_SECOND] <= 0:
        return None
    slots = round(sums[Metric.SLOTS])
    return WorkCounters(
        max_tokens_per_second=sums[Metric.MAX_TOKENS_PER_SECOND],
        prompt_tokens=max(sums[Metric.PROMPT_TOKENS_TOTAL] - sums.get(Metric.PREFIX_CACHE_HITS_TOTAL, 0.0), 0.0),
        generated_tokens=sums[Metric.GENERATED_TOKENS_TOTAL],
        finished=sums[Metric.REQUESTS_TOTAL],
        slo_misses=sums[Metric.SLO_MISSES_TOTAL],
        max_tokens_per_step=sums.get(Metric.MAX_TOKENS_PER_STEP) or None,
        decode_step_s=decode_steps_s.get(slots) or None,
        half_decode_step_s=decode_steps_s.get((slots + 1) // 2) or None,
    )


def _count(name: Metric, sums: Mapping[str, float]) -> int:
    if sums[name] > _LARGEST_COUNT:
        raise MetricsUnavailableError(f"{name.value} is {sums[name]}, expected at most {_LARGEST_COUNT}")
    return round(sums[name])


CHATSCALE_SERVER: Final = Dialect(
    names=tuple(name.value for name in (*GAUGES, Metric.REQUESTS_REJECTED_TOTAL, *WORK, *OPTIONAL)),
    timestamp_name=Metric.QUEUE_DEPTH.value,
    distinct_labels=(REASON_LABEL, "finish_reason", "objective", BATCH_SIZE_LABEL),
    promql_matchers=_promql_matchers,
    to_sample=_to_sample,
    exit_meanings={code: ExitMeaning(reason, code.name) for code, reason in _EXIT_REASONS.items()},
)
