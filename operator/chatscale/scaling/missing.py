"""Recommendations while the load is unknown: hold the count, or apply `spec.autoscaling.fallback`. Pure."""

from typing import assert_never

from chatscale.api.v1alpha1 import Fallback, FallbackBehavior
from chatscale.scaling.decision import Basis, DecisionInput, Reason, Recommendation


def hold_until_ready(inputs: DecisionInput) -> Recommendation:
    """Hold the count: no replica is Ready, or none has been read since it became Ready."""
    held = inputs.bounded
    if inputs.load.ready:
        message = f"no ready replica has been read since it became ready; holding the count at {held}"
        return Recommendation(held, Reason.STABILIZING, message, Basis.NOTHING_READY)
    message = f"no replica is ready; holding the count at {held}"
    return Recommendation(held, Reason.NOTHING_READY, message, Basis.NOTHING_READY)


def hold_or_fall_back(inputs: DecisionInput, failed_readings: int) -> Recommendation:
    """Hold the count until `fallback.failureThreshold` readings in a row have failed, then apply the fallback."""
    fallback, held = inputs.spec.fallback, inputs.bounded
    failure = f"none of {inputs.load.ready} ready replicas could be read (failed readings in a row: {failed_readings})"
    if failed_readings < fallback.failure_threshold:
        message = f"{failure}; holding the count at {held}"
        return Recommendation(held, Reason.METRICS_UNAVAILABLE, message, Basis.MISSING_METRICS)
    replicas = min(max(_fallback_replicas(fallback, held), inputs.lower), inputs.upper)
    message = f"{failure}; fallback {fallback.behavior.value} sets the count to {replicas}"
    return Recommendation(replicas, Reason.FALLBACK, message, Basis.FALLBACK)


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
