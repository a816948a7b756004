"""What is, as the ChatModel's status says it. Pure: facts in, status out; nobody here decides about replicas."""

from datetime import datetime, timedelta
from statistics import mean
from typing import Any, Final

from chatscale import names
from chatscale.api.conditions import set_condition
from chatscale.api.v1alpha1 import (
    AutoscalingStatus,
    ChatModelStatus,
    Condition,
    MetricStatus,
    MetricType,
)
from chatscale.desired.service import endpoint_url
from chatscale.reconcile.conditions import ConditionState, compute_conditions, invalid_spec_condition
from chatscale.reconcile.pass_result import PassResult

HISTORY: Final = 5
VOLATILE_EVERY: Final = timedelta(minutes=1)
"""How old a status may get in what changes with every reading and moves nothing."""
MESSAGE_LENGTH: Final = 4096
"""Of a condition; whoever is quoted in it (a pod, the API server) may have more to say than the CRD takes."""


def compute_status(facts: PassResult, now: datetime) -> ChatModelStatus:
    """The whole status, conditions carried over from the earlier one."""
    before = facts.chatmodel.status
    conditions = _merge(before.conditions, compute_conditions(facts), facts.chatmodel.metadata.generation, now)
    ready = next(condition for condition in conditions if condition.type == "Ready")
    return ChatModelStatus(
        observed_generation=facts.chatmodel.metadata.generation,
        replicas=facts.existing,
        ready_replicas=facts.ready,
        updated_replicas=facts.updated,
        desired_replicas=facts.replicas,
        queue_depth=facts.queue_depth,
        selector=names.selector_string(names.pod_selector(facts.chatmodel.metadata.name)),
        endpoint=endpoint_url(facts.chatmodel),
        phase=ready.reason,
        autoscaling=_autoscaling(facts, before.autoscaling),
        conditions=conditions,
    )


def invalid_status(before: ChatModelStatus, generation: int, message: str, now: datetime) -> ChatModelStatus:
    """The earlier status with `Ready=False`, reason InvalidSpec: what runs goes on running as it was."""
    verdict = invalid_spec_condition(message)
    conditions = _merge(before.conditions, [verdict], generation, now)
    return before.model_copy(
        update={"observed_generation": generation, "phase": verdict.reason, "conditions": conditions}
    )


def is_worth_writing(
    before: ChatModelStatus, after: ChatModelStatus, now: datetime, written_at: datetime | None = None
) -> bool:
    """Whether anything but volatile numbers has changed, or those are older than `VOLATILE_EVERY`.

    Without the bound an idle ChatModel would be written every few seconds for ever. `written_at` is when this
    process last wrote; None if it has not, and then the time of the metrics in there stands for it.
    """
    if before == after:
        return False
    if _settled(before) != _settled(after):
        return True
    written = written_at or before.autoscaling.last_metric_time
    return written is None or now - written >= VOLATILE_EVERY


def as_patch(status: ChatModelStatus) -> dict[str, Any]:
    """The status as a merge patch: what is unset becomes null and so goes away."""
    return status.model_dump(mode="json", by_alias=True)


def _autoscaling(facts: PassResult, before: AutoscalingStatus) -> AutoscalingStatus:
    decision, scaled = facts.decision, facts.scaled
    cold_start_s = facts.remembered.reserve.measured_cold_start_s
    return AutoscalingStatus(
        phase=decision.phase if decision else None,
        active_event=facts.event,
        last_metric_time=facts.read_whole_at or before.last_metric_time,
        last_scale_time=scaled.time if scaled else before.last_scale_time,
        current_metrics=_current_metrics(facts),
        cold_start_seconds=None if cold_start_s is None else round(cold_start_s),
        learned=facts.remembered.learned or before.learned,
        history=([scaled] if scaled else []) + before.history[: HISTORY - bool(scaled)],
    )


def _current_metrics(facts: PassResult) -> list[MetricStatus]:
    """What the decision weighed against targets; without one, what the replicas say. Nothing if none could be read."""
    if facts.decision and facts.decision.readings:
        return [_metric(reading.type, reading.per_replica, reading.target) for reading in facts.decision.readings]
    samples = facts.samples.values()
    if not samples:
        return []
    return [
        _metric(MetricType.QUEUE_DEPTH, mean(sample.queue_depth for sample in samples)),
        _metric(MetricType.ACTIVE_REQUESTS, mean(sample.queue_depth + sample.running for sample in samples)),
        _metric(MetricType.KV_CACHE_UTILIZATION, 100 * mean(sample.kv_cache_usage_ratio for sample in samples)),
    ]


def _metric(kind: MetricType, per_replica: float, target: int | None = None) -> MetricStatus:
    return MetricStatus(type=kind, value=f"{per_replica:.2f}", target=target)


def _settled(status: ChatModelStatus) -> ChatModelStatus:
    """The status without what every reading changes: times and readings of metrics, the policy's sentence."""
    conditions = [
        condition.model_copy(update={"message": ""}) if condition.type == "ScalingActive" else condition
        for condition in status.conditions
    ]
    calm = status.autoscaling.model_copy(update={"last_metric_time": None, "current_metrics": [], "learned": None})
    return status.model_copy(update={"conditions": conditions, "autoscaling": calm})


def _merge(before: list[Condition], verdicts: list[ConditionState], generation: int, now: datetime) -> list[Condition]:
    conditions = before
    for verdict in verdicts:
        conditions = set_condition(
            conditions,
            type=verdict.type,
            status=verdict.status,
            reason=verdict.reason,
            message=verdict.message[:MESSAGE_LENGTH],
            observed_generation=generation,
            now=now,
        )
    return conditions
