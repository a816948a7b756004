"""The ChatModel's status, computed from the result of a pass. Pure; it takes no decision about replicas."""

from datetime import datetime
from statistics import mean
from typing import Any, Final
from zlib import crc32

from chatscale import names
from chatscale.api.v1alpha1 import (
    AutoscalingStatus,
    CapacityStatus,
    ChatModelStatus,
    MetricStatus,
    MetricType,
)
from chatscale.desired.service import endpoint_url
from chatscale.reconcile.chatmodel.conditions import compute_conditions, invalid_spec_condition
from chatscale.reconcile.chatmodel.pass_result import PassResult
from chatscale.reconcile.conditions import merge_conditions

HISTORY: Final = 5
"""Entries of `status.autoscaling.history`."""
WRITE_EVERY_S: Final = 10.0
"""Minimum time between two writes of a status, unless a condition or a replica count changed."""
METRICS_EVERY_S: Final = 60.0
"""Minimum time between two writes for changed metrics and scaling messages alone, except for the queue depth."""
HEARTBEAT_S: Final = 600.0
"""Time after which a status is written for `lastMetricTime` and `learned` alone; for each object up to twice as long.

The kubelet writes an unchanged node status every five minutes for the same reason. The spread by uid prevents that
all ChatModels are written in the minute after a start of the operator.
"""


def compute_status(result: PassResult, now: datetime) -> ChatModelStatus:
    """The whole status. Conditions that stay the same keep their time of transition."""
    before = result.chatmodel.status
    conditions = merge_conditions(
        before.conditions, compute_conditions(result), result.chatmodel.metadata.generation, now
    )
    ready = next(condition for condition in conditions if condition.type == "Ready")
    return ChatModelStatus(
        observed_generation=result.chatmodel.metadata.generation,
        replicas=result.existing,
        ready_replicas=result.ready,
        updated_replicas=result.updated,
        desired_replicas=result.replicas,
        queue_depth=result.queue_depth,
        selector=names.selector_string(names.pod_selector(result.chatmodel.metadata.name)),
        endpoint=endpoint_url(result.chatmodel),
        phase=ready.reason,
        autoscaling=_autoscaling(result, before.autoscaling),
        conditions=conditions,
    )


def invalid_status(before: ChatModelStatus, generation: int, message: str, now: datetime) -> ChatModelStatus:
    """The earlier status with `Ready=False`, reason InvalidSpec: the pods continue to run unchanged."""
    invalid = invalid_spec_condition(message)
    conditions = merge_conditions(before.conditions, [invalid], generation, now)
    return before.model_copy(
        update={"observed_generation": generation, "phase": invalid.reason, "conditions": conditions}
    )


def write_due_in_s(
    before: ChatModelStatus, after: ChatModelStatus, since_write_s: float | None, uid: str = ""
) -> float | None:
    """Seconds until the change of the status is worth a request; 0 for now, None if nothing changed.

    since_write_s: seconds since the last write of the status; None if unknown. At once: the status or the reason of a
    condition, or a replica count. Everything else, a condition's message included, waits for one of the periods above.
    """
    if before == after:
        return None
    if since_write_s is None or _headline(before) != _headline(after):
        return 0.0
    if _without_metrics(before) != _without_metrics(after):
        period_s = WRITE_EVERY_S
    elif _without_drift(before) != _without_drift(after):
        period_s = METRICS_EVERY_S
    else:
        period_s = _heartbeat_s(uid)
    return max(0.0, period_s - since_write_s)


def as_patch(status: ChatModelStatus) -> dict[str, Any]:
    """The status as a merge patch: an unset field becomes null, which removes it."""
    return status.model_dump(mode="json", by_alias=True)


def _autoscaling(result: PassResult, before: AutoscalingStatus) -> AutoscalingStatus:
    decision, scaled = result.decision, result.scaled
    starts = result.scaler.reserve.starts
    return AutoscalingStatus(
        mode=result.chatmodel.spec.autoscaling.mode,
        phase=decision.phase if decision else None,
        active_event=result.event,
        last_metric_time=result.read_whole_at or before.last_metric_time,
        last_scale_time=scaled.time if scaled else before.last_scale_time,
        current_metrics=_current_metrics(result),
        cold_start_seconds=None if starts.measured_s is None else round(starts.measured_s),
        scheduling_seconds=None if starts.measured_s is None else round(starts.scheduling_s),
        capacity=_capacity(result) or before.capacity,
        learned=result.scaler.learned or before.learned,
        history=([scaled] if scaled else []) + before.history[: HISTORY - bool(scaled)],
    )


def _capacity(result: PassResult) -> CapacityStatus | None:
    slots = min((sample.slots for sample in result.samples.values() if sample.slots > 0), default=None)
    if slots is None:
        return None
    binding, rps = result.scaler.work.capacity or (None, None)
    return CapacityStatus(
        max_concurrency=slots, binding_limit=binding, requests_per_second=None if rps is None else f"{rps:.2f}"
    )


def _current_metrics(result: PassResult) -> list[MetricStatus]:
    """The metrics that the decision compared with targets; without targets, means over the last scrape.

    Empty if no pod could be scraped.
    """
    if result.decision and result.decision.readings:
        return [_metric(reading.type, reading.per_replica, reading.target) for reading in result.decision.readings]
    samples = result.samples.values()
    if not samples:
        return []
    return [
        _metric(MetricType.QUEUE_DEPTH, mean(sample.queue_depth for sample in samples)),
        _metric(MetricType.ACTIVE_REQUESTS, mean(sample.queue_depth + sample.running for sample in samples)),
        _metric(MetricType.KV_CACHE_UTILIZATION, 100 * mean(sample.kv_cache_usage_ratio for sample in samples)),
    ]


def _metric(kind: MetricType, per_replica: float, target: int | None = None) -> MetricStatus:
    return MetricStatus(type=kind, value=f"{per_replica:.2f}", target=target)


def _heartbeat_s(uid: str) -> float:
    return HEARTBEAT_S * (1 + crc32(uid.encode()) / 2**32)


def _headline(status: ChatModelStatus) -> object:
    """What is written at once when it changes."""
    conditions = [(condition.type, condition.status, condition.reason) for condition in status.conditions]
    counts = (status.replicas, status.ready_replicas, status.updated_replicas, status.desired_replicas)
    return conditions, counts


def _without_metrics(status: ChatModelStatus) -> ChatModelStatus:
    """The status without everything that a scrape can change: the drift, the metrics and the scaling message."""
    conditions = [
        condition.model_copy(update={"message": ""}) if condition.type == "ScalingActive" else condition
        for condition in status.conditions
    ]
    capacity = status.autoscaling.capacity
    kept = capacity and capacity.model_copy(update={"binding_limit": None})
    autoscaling = status.autoscaling.model_copy(update={"current_metrics": [], "capacity": kept})
    return _without_drift(status.model_copy(update={"conditions": conditions, "autoscaling": autoscaling}))


def _without_drift(status: ChatModelStatus) -> ChatModelStatus:
    """The status without what changes even while a model is idle: the time of the scrape and the learned values."""
    capacity = status.autoscaling.capacity
    kept = capacity and capacity.model_copy(update={"requests_per_second": None})
    autoscaling = status.autoscaling.model_copy(update={"last_metric_time": None, "learned": None, "capacity": kept})
    return status.model_copy(update={"autoscaling": autoscaling})
