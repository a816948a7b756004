"""The operator's own Prometheus metrics, each with its unit, labels and the number of series it can grow to.

C is the number of ChatModels. Series of a deleted ChatModel are removed by `forget`.
"""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_OBJECT: Final = ("namespace", "chatmodel")

RECONCILE_TOTAL: Final = Counter(
    "chatscale_reconcile_total",
    "Passes over a ChatModel, by outcome: ok, gone, conflict, unavailable, bug. 5 series.",
    ("outcome",),
)
RECONCILE_SECONDS: Final = Histogram(
    "chatscale_reconcile_duration_seconds",
    "Time of one pass over a ChatModel, reading metrics included. 10 series.",
    buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
API_ERRORS_TOTAL: Final = Counter(
    "chatscale_api_request_errors_total",
    "Requests to the Kubernetes API that failed, by kind and HTTP status, or `none` without an answer. Tens of series.",
    ("kind", "status"),
)
DESIRED_REPLICAS: Final = Gauge(
    "chatscale_desired_replicas", "Replicas that the mode's writer wants. C series.", _OBJECT
)
READY_REPLICAS: Final = Gauge("chatscale_ready_replicas", "Replicas that answer. C series.", _OBJECT)
SCALE_DECISIONS_TOTAL: Final = Counter(
    "chatscale_scale_decisions_total",
    "Changes of the replica count made by the operator, by direction (up, down) and reason. About 10 C series.",
    (*_OBJECT, "direction", "reason"),
)
METRIC_READ_FAILURES_TOTAL: Final = Counter(
    "chatscale_metric_read_failures_total",
    "Ready pods whose load could not be read, once a reading. C series.",
    _OBJECT,
)
REPLICAS_RESTORED_TOTAL: Final = Counter(
    "chatscale_replicas_restored_total",
    "Writes of spec.replicas by somebody who is not the mode's writer, which were put back. C series.",
    _OBJECT,
)
EVENTS_LOST_TOTAL: Final = Counter(
    "chatscale_events_lost_total", "Kubernetes Events that could not be posted. 1 series."
)


def forget(namespace: str, chatmodel: str) -> None:
    """Drop all series of a ChatModel that is gone."""
    series = {"namespace": namespace, "chatmodel": chatmodel}
    for metric in (
        DESIRED_REPLICAS,
        READY_REPLICAS,
        SCALE_DECISIONS_TOTAL,
        METRIC_READ_FAILURES_TOTAL,
        REPLICAS_RESTORED_TOTAL,
    ):
        metric.remove_by_labels(series)
