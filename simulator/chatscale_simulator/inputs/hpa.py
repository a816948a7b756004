"""The HorizontalPodAutoscaler that the operator would create for a ChatModel, as something to simulate.

Metrics are read off that object, so that there is one translation of `spec.autoscaling.metrics`, the one that ships.
"""

from decimal import Decimal
from typing import Final

from chatscale.api.v1alpha1 import ChatModel, ScalingPolicyType, ScalingRules
from chatscale.desired.autoscaler import build_hpa
from chatscale.desired.manifest import Manifest
from chatscale_contract.server.metrics import Metric
from chatscale_simulator.policies.behavior import HpaBehavior, Rate
from chatscale_simulator.policies.hpa import HpaMetric, HpaSettings
from chatscale_simulator.simulation.view import Column

_COLUMNS: Final = {
    Metric.QUEUE_DEPTH: Column.WAITING,
    Metric.REQUESTS_RUNNING: Column.RUNNING,
    Metric.KV_CACHE_USAGE_RATIO: Column.KV_TOKENS,
}


def hpa_settings(model: ChatModel, kv_tokens: int) -> HpaSettings:
    """Of a ChatModel in mode HPA. kv_tokens: the KV cache of one replica."""
    scaling = model.spec.autoscaling
    shipped = build_hpa(model, scaling.min_replicas)
    assert shipped is not None  # noqa: S101 - for the type checker
    return HpaSettings(
        metrics=tuple(_metric(entry["external"], kv_tokens) for entry in shipped["spec"]["metrics"]),
        behavior=HpaBehavior(
            min_replicas=shipped["spec"]["minReplicas"],
            max_replicas=shipped["spec"]["maxReplicas"],
            up_stabilization_s=float(scaling.behavior.scale_up.stabilization_window_seconds),
            up=_rates(scaling.behavior.scale_up),
            down_stabilization_s=float(scaling.behavior.scale_down.stabilization_window_seconds),
            down=_rates(scaling.behavior.scale_down),
        ),
    )


def _metric(external: Manifest, kv_tokens: int) -> HpaMetric:
    column = _COLUMNS[Metric(external["metric"]["name"])]
    target = _quantity(external["target"]["averageValue"])
    return HpaMetric((column,), float(target * kv_tokens if column is Column.KV_TOKENS else target))


def _quantity(text: str) -> Decimal:
    """As Kubernetes writes it: `4`, or `6400m`."""
    return Decimal(text[:-1]) / 1000 if text.endswith("m") else Decimal(text)


def _rates(rules: ScalingRules) -> tuple[Rate, ...]:
    return tuple(
        Rate(pods=policy.value, period_s=float(policy.period_seconds))
        if policy.type is ScalingPolicyType.PODS
        else Rate(percent=float(policy.value), period_s=float(policy.period_seconds))
        for policy in rules.policies
    )
