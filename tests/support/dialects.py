"""A dialect that differs from our server's in everything: proof that readers have no metric name of their own."""

from collections.abc import Iterable
from datetime import datetime

from chatscale.errors import MetricsUnavailableError
from chatscale.observe.dialects.dialect import Dialect, ExitMeaning, Series
from chatscale.observe.problems import ProblemReason
from chatscale.scaling.signals import ReplicaSample


def _to_sample(series: Iterable[Series], taken_at: datetime) -> ReplicaSample:
    values = {found.name: found.value for found in series}
    if "other:waiting" not in values:
        raise MetricsUnavailableError("no other:waiting among the metrics")
    return ReplicaSample(
        taken_at=taken_at,
        queue_depth=int(values["other:waiting"]),
        running=0,
        slots=0,
        kv_cache_usage_ratio=0.0,
        rejected_total=0.0,
    )


OTHER_DIALECT = Dialect(
    names=("other:waiting",),
    timestamp_name="other:waiting",
    promql_matchers=lambda namespace, _: f'namespace="{namespace}"',
    to_sample=_to_sample,
    exit_meanings={3: ExitMeaning(ProblemReason.MODEL_DOES_NOT_FIT, "NO_MEMORY")},
)
