"""The HorizontalPodAutoscaler of mode HPA.

It scales the ChatModel, not the Deployment: `spec.replicas` of the resource stays the one truth. Metrics
are External ones, which Prometheus' adapter serves under the names that the server gives them; each is
the sum over a ChatModel's pods, and `AverageValue` makes the answer ceil(sum / target), which neither
depends on the current count nor reacts to pods that are still starting.
"""

from collections.abc import Iterator

from chatscale import names
from chatscale.api.v1alpha1 import AutoscalingMode, ChatModel, MetricTarget, MetricType
from chatscale.desired.manifest import Manifest, child_metadata, with_template_hash
from chatscale_contract.server.metrics import CHATMODEL_LABEL, Metric

FULL_SLOTS_PERCENT = 80
"""Share of a replica's slots that QueueDepth lets run before it asks for another replica."""


def build_hpa(chatmodel: ChatModel, least: int) -> Manifest | None:
    """The autoscaler in mode HPA, None in every other mode.

    least: replicas that minReplicas or an announced event asks for now.
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
    """One entry per metric name; where two targets ask for the same one, the stricter serves both."""
    slots = chatmodel.spec.server.max_concurrency
    targets: dict[Metric, int] = {}
    for metric in chatmodel.spec.autoscaling.targets:
        for name, milli in _milli_targets(metric, slots):
            targets[name] = min(milli, targets.get(name, milli))
    return [_external(chatmodel, name, milli) for name, milli in targets.items()]


def _milli_targets(metric: MetricTarget, slots: int) -> Iterator[tuple[Metric, int]]:
    """Metric names with their target per replica, in thousandths.

    QueueDepth: the queue is empty both when replicas idle and when every slot is just taken, so alone it
    would lower the count under full load. Running requests, at 80 percent of the slots, hold it.

    ActiveRequests: an HPA cannot add two metrics, so running and waiting requests each ask against the
    target by themselves, and the larger wins. That is at least half of what their sum would ask for; and
    as running requests cannot pass the slots, a load that grows on is seen in the queue. A target above
    the slots is capped at them for running requests, or a full replica would look underused.

    KVCacheUtilization: the sum of ratios, against the percentage as a ratio.
    """
    match metric.type:
        case MetricType.QUEUE_DEPTH:
            yield Metric.QUEUE_DEPTH, metric.target * 1000
            yield Metric.REQUESTS_RUNNING, slots * FULL_SLOTS_PERCENT * 10
        case MetricType.ACTIVE_REQUESTS:
            yield Metric.REQUESTS_RUNNING, min(metric.target, slots) * 1000
            yield Metric.QUEUE_DEPTH, metric.target * 1000
        case MetricType.KV_CACHE_UTILIZATION:
            yield Metric.KV_CACHE_USAGE_RATIO, metric.target * 10


def _external(chatmodel: ChatModel, metric: Metric, milli_target: int) -> Manifest:
    whole, rest = divmod(milli_target, 1000)
    return {
        "type": "External",
        "external": {
            "metric": {
                "name": metric.value,
                "selector": {"matchLabels": {CHATMODEL_LABEL: chatmodel.metadata.name}},
            },
            "target": {"type": "AverageValue", "averageValue": str(whole) if rest == 0 else f"{milli_target}m"},
        },
    }
