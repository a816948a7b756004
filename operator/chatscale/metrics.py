"""The operator's own Prometheus metrics, each with its unit, labels and largest number of series.

C is the number of ChatModels. `forget` removes the series of a deleted ChatModel.
"""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_OBJECT: Final = ("namespace", "chatmodel")

RECONCILE_TOTAL: Final = Counter(
    "chatscale_reconcile_total",
    "Passes over a custom resource, by its kind and by outcome: ok, gone, conflict, unavailable, bug. 10 series.",
    ("kind", "outcome"),
)
RECONCILE_SECONDS: Final = Histogram(
    "chatscale_reconcile_duration_seconds",
    "Time of one pass over a custom resource, including the scrape of its pods. 10 series.",
    buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
API_REQUESTS_TOTAL: Final = Counter(
    "chatscale_api_requests_total",
    "Requests to the Kubernetes API, by verb and kind. Excludes watches and the lists that start them. Tens of series.",
    ("verb", "kind"),
)
API_ERRORS_TOTAL: Final = Counter(
    "chatscale_api_request_errors_total",
    "Failed requests to the Kubernetes API, by kind and HTTP status (`none` without an answer). Tens of series.",
    ("kind", "status"),
)
DESIRED_REPLICAS: Final = Gauge(
    "chatscale_desired_replicas", "Desired replicas, as the mode's writer set them. C series.", _OBJECT
)
READY_REPLICAS: Final = Gauge("chatscale_ready_replicas", "Ready replicas. C series.", _OBJECT)
SCALE_DECISIONS_TOTAL: Final = Counter(
    "chatscale_scale_decisions_total",
    "Changes of the replica count made by the operator, by direction (up, down) and reason. About 10 C series.",
    (*_OBJECT, "direction", "reason"),
)
METRIC_READ_FAILURES_TOTAL: Final = Counter(
    "chatscale_metric_read_failures_total",
    "Failed scrapes of ready pods, one per pod and scrape. C series.",
    _OBJECT,
)
REPLICAS_RESTORED_TOTAL: Final = Counter(
    "chatscale_replicas_restored_total",
    "Writes of the count of a ChatModel or its Deployment by others, which the operator reverted. C series.",
    _OBJECT,
)
MISSED_DELETIONS_TOTAL: Final = Counter(
    "chatscale_missed_deletions_total",
    "Custom resources affected by deletions that no watch reported and a later list revealed. 1 series.",
)
EVENTS_LOST_TOTAL: Final = Counter(
    "chatscale_events_lost_total", "Kubernetes Events that could not be posted. 1 series."
)


def forget(namespace: str, chatmodel: str) -> None:
    """Remove all series of a deleted ChatModel."""
    series = {"namespace": namespace, "chatmodel": chatmodel}
    for metric in (
        DESIRED_REPLICAS,
        READY_REPLICAS,
        SCALE_DECISIONS_TOTAL,
        METRIC_READ_FAILURES_TOTAL,
        REPLICAS_RESTORED_TOTAL,
    ):
        metric.remove_by_labels(series)
