"""The settings of the HorizontalPodAutoscaler that the operator creates for a ChatModel, for simulation.

They are read from the operator's own HPA manifest, so that only the operator translates `spec.autoscaling.metrics`.
"""

from decimal import Decimal
from typing import Any, Final

from chatscale.api.v1alpha1 import (
    AutoscalingStatus,
    CapacityStatus,
    ChatModel,
    ChatModelStatus,
    ScalingPolicyType,
    ScalingRules,
)
from chatscale.desired.autoscaler import build_hpa
from chatscale_contract.server.metrics import Metric
from chatscale_simulator.policies.behavior import HpaBehavior, RateLimit
from chatscale_simulator.policies.hpa import HpaMetric, HpaSettings
from chatscale_simulator.simulation.profiles import ServerProfile
from chatscale_simulator.simulation.snapshot import Column

_COLUMNS: Final = {
    Metric.QUEUE_DEPTH: Column.WAITING,
    Metric.REQUESTS_RUNNING: Column.RUNNING,
    Metric.KV_CACHE_USAGE_RATIO: Column.KV_TOKENS,
}


def hpa_settings(model: ChatModel, server: ServerProfile) -> HpaSettings:
    """Settings for a ChatModel in mode HPA, with the slots that the operator reads from the replicas."""
    scaling, kv_tokens = model.spec.autoscaling, server.steps.kv_tokens
    capacity = CapacityStatus(max_concurrency=server.max_sequences)
    status = ChatModelStatus(autoscaling=AutoscalingStatus(capacity=capacity))
    manifest = build_hpa(model.model_copy(update={"status": status}), scaling.min_replicas)
    assert manifest is not None  # noqa: S101 - for the type checker
    return HpaSettings(
        metrics=tuple(_metric(entry["external"], kv_tokens) for entry in manifest["spec"]["metrics"]),
        behavior=HpaBehavior(
            min_replicas=manifest["spec"]["minReplicas"],
            max_replicas=manifest["spec"]["maxReplicas"],
            up_stabilization_s=float(scaling.behavior.scale_up.stabilization_window_seconds),
            up=_rates(scaling.behavior.scale_up),
            down_stabilization_s=float(scaling.behavior.scale_down.stabilization_window_seconds),
            down=_rates(scaling.behavior.scale_down),
        ),
    )


def _metric(external: dict[str, Any], kv_tokens: int) -> HpaMetric:
    column = _COLUMNS[Metric(external["metric"]["name"])]
    target = _quantity(external["target"]["averageValue"])
    return HpaMetric((column,), float(target * kv_tokens if column is Column.KV_TOKENS else target))


def _quantity(text: str) -> Decimal:
    """Parse a Kubernetes quantity: `4`, or `6400m`."""
    return Decimal(text[:-1]) / 1000 if text.endswith("m") else Decimal(text)


def _rates(rules: ScalingRules) -> tuple[RateLimit, ...]:
    return tuple(
        RateLimit(pods=policy.value, period_s=float(policy.period_seconds))
        if policy.type is ScalingPolicyType.PODS
        else RateLimit(percent=float(policy.value), period_s=float(policy.period_seconds))
        for policy in rules.policies
    )
