"""Recommendations while the load is unknown: hold the count, or apply `spec.autoscaling.fallback`. Pure."""

from typing import assert_never

from chatscale.api.v1alpha1 import Fallback, FallbackBehavior
from chatscale.scaling.decision import Basis, DecisionInput, Reason, Recommendation


def hold_until_ready(inputs: DecisionInput) -> Recommendation:
    """Hold the count: no replica is Ready, or none has been read since it became Ready."""
    held, ready = inputs.bounded, inputs.load.ready
    if ready:
        message = f"{ready} ready, none of them read since it became so; {held} held"
        return Recommendation(held, Reason.STABILIZING, message, Basis.NOTHING_READY)
    message = f"no replica is ready to take requests, {held} held"
    return Recommendation(held, Reason.NOTHING_READY, message, Basis.NOTHING_READY)


def hold_or_fall_back(inputs: DecisionInput, failed_readings: int) -> Recommendation:
    """Hold the count until `fallback.failureThreshold` readings in a row have failed, then apply the fallback."""
    fallback, held = inputs.spec.fallback, inputs.bounded
    blind = f"none of {inputs.load.ready} ready replicas could be read, {failed_readings} readings in a row"
    if failed_readings < fallback.failure_threshold:
        return Recommendation(held, Reason.METRICS_UNAVAILABLE, f"{blind}; {held} held", Basis.MISSING_METRICS)
    replicas = _fallback_replicas(fallback, held)
    message = f"{blind}; fallback {fallback.behavior.value} gives {replicas}"
    within_bounds = min(max(replicas, inputs.lower), inputs.upper)
    return Recommendation(within_bounds, Reason.FALLBACK, message, Basis.FALLBACK)


def _fallback_replicas(fallback: Fallback, held: int) -> int:
    replicas = held if fallback.replicas is None else fallback.replicas
    match fallback.behavior:
        case FallbackBehavior.HOLD:
            return held
        case FallbackBehavior.HOLD_IF_HIGHER:
            return max(held, replicas)
        case FallbackBehavior.STATIC:
            return replicas
        case _:
            assert_never(fallback.behavior)
