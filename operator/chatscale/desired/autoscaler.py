"""The HorizontalPodAutoscaler of mode HPA.

It scales the ChatModel, not the Deployment, so that `spec.replicas` of the ChatModel stays the single source of the
count. It reads External metrics, which prometheus-adapter serves under the runtime's names. Each metric is the sum
over the ChatModel's pods. With `AverageValue` the recommendation is ceil(sum / target): it does not depend on the
current count, and pods that are still starting do not change it.
"""

from collections.abc import Iterator

from chatscale import names
from chatscale.api.v1alpha1 import AutoscalingMode, ChatModel, MetricTarget, MetricType
from chatscale.desired.manifest import Manifest, child_metadata, with_template_hash
from chatscale.desired.runtimes.registry import RUNTIMES
from chatscale.desired.runtimes.runtime import ExternalMetrics

FULL_SLOTS_PERCENT = 80
"""With QueueDepth, another replica is recommended once this share of a replica's slots is in use."""


def build_hpa(chatmodel: ChatModel, least: int) -> Manifest | None:
    """The HPA in mode HPA; None in every other mode.

    least: the minimum that minReplicas or an announced event sets now.
    """
    scaling = chatmodel.spec.autoscaling
    if scaling.mode is not AutoscalingMode.HPA:
        return None
    return with_template_hash(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": child_metadata(chatmodel),
            "spec": {
                "scaleTargetRef": {
                    "apiVersion": names.API_VERSION,
                    "kind": names.KIND,
                    "name": chatmodel.metadata.name,
                },
                "minReplicas": least,
                "maxReplicas": scaling.max_replicas or least,
                "metrics": _metrics(chatmodel),
                "behavior": scaling.behavior.model_dump(mode="json", by_alias=True),
            },
        }
    )


def _metrics(chatmodel: ChatModel) -> list[Manifest]:
    """One entry per metric name; if two targets use the same metric, the stricter target serves both."""
    external = RUNTIMES[chatmodel.spec.server.engine].external_metrics
    targets: dict[str, int] = {}
    for metric in chatmodel.spec.autoscaling.targets:
        for name, milli in _milli_targets(metric, chatmodel.slots, external):
            targets[name] = min(milli, targets.get(name, milli))
    matched = {external.chatmodel_label: chatmodel.metadata.name}
    return [_external(name, matched, milli) for name, milli in targets.items()]


def _milli_targets(metric: MetricTarget, slots: int, external: ExternalMetrics) -> Iterator[tuple[str, int]]:
    """Metric names with their target per replica, in thousandths.

    QueueDepth: the queue is empty both when replicas are idle and when exactly all slots are in use. Alone it would
    scale down under full load. A second target, 80 percent of the slots for running requests, prevents that.

    ActiveRequests: an HPA cannot add two metrics. Running and waiting requests are compared with the target one by
    one, and the larger recommendation wins: at least half of what their sum would give. Running requests cannot
    exceed the slots, so further load shows in the queue. A target above the slots is capped at the slots for running
    requests; otherwise a full replica would look underused.

    KVCacheUtilization: the sum of ratios is compared with the percentage as a ratio.
    """
    match metric.type:
        case MetricType.QUEUE_DEPTH:
            yield external.queue_depth, metric.target * 1000
            yield external.requests_running, slots * FULL_SLOTS_PERCENT * 10
        case MetricType.ACTIVE_REQUESTS:
            yield external.requests_running, min(metric.target, slots) * 1000
            yield external.queue_depth, metric.target * 1000
        case MetricType.KV_CACHE_UTILIZATION:
            yield external.kv_cache_usage_ratio, metric.target * 10


def _external(name: str, labels: dict[str, str], milli_target: int) -> Manifest:
    whole, rest = divmod(milli_target, 1000)
    return {
        "type": "External",
        "external": {
            "metric": {"name": name, "selector": {"matchLabels": dict(labels)}},
            "target": {"type": "AverageValue", "averageValue": str(whole) if rest == 0 else f"{milli_target}m"},
        },
    }
