"""The limit stage of `policy.decide`: what keeps a recommendation from becoming the replica count. Pure.

Every recommendation passes every limit, in the order of `limit`. A limit that does not apply returns what it got.
"""

from dataclasses import replace
from datetime import timedelta

from chatscale.scaling.capacity import find_shortage
from chatscale.scaling.decision import Basis, DecisionInput, Reason, Recommendation
from chatscale.scaling.history import History


def limit(inputs: DecisionInput, recommendation: Recommendation, history: History) -> Recommendation:
    """Apply stabilization windows, rate limits, maxReplicas, cluster capacity and bounds, in this order.

    history: without this recommendation.
    """
    recommendation = _stabilize(inputs, recommendation, history)
    recommendation = _limit_rate(inputs, recommendation, history)
    recommendation = _cap_at_max_replicas(inputs, recommendation)
    recommendation = _cap_at_capacity(inputs, recommendation)
    return _keep_bounds(inputs, recommendation)


def _stabilize(inputs: DecisionInput, recommendation: Recommendation, history: History) -> Recommendation:
    if recommendation.basis is not Basis.LOAD:
        return recommendation
    behavior, bounded = inputs.spec.behavior, inputs.bounded
    replicas = history.stabilized(bounded, recommendation.replicas, behavior, inputs.now)
    direction, rules = (
        ("scaleDown", behavior.scale_down) if replicas > recommendation.replicas else ("scaleUp", behavior.scale_up)
    )
    why = f"{direction} stabilization window ({rules.stabilization_window_seconds} s) allows {replicas}"
    reason = Reason.STABILIZING if replicas == bounded else recommendation.reason
    return _limited_to(recommendation, replicas, reason, why)


def _limit_rate(inputs: DecisionInput, recommendation: Recommendation, history: History) -> Recommendation:
    if recommendation.basis is not Basis.LOAD:
        return recommendation
    bounded = inputs.bounded
    replicas = history.rate_limited(bounded, recommendation.replicas, inputs.spec.behavior, inputs.now)
    reason = Reason.RATE_LIMITED if replicas == bounded else recommendation.reason
    direction = "scaleUp" if recommendation.replicas > bounded else "scaleDown"
    return _limited_to(recommendation, replicas, reason, f"{direction} rate limit allows {replicas} now")


def _cap_at_max_replicas(inputs: DecisionInput, recommendation: Recommendation) -> Recommendation:
    if recommendation.basis is not Basis.LOAD:
        return recommendation
    replicas = min(recommendation.replicas, inputs.upper)
    # A rise up to maxReplicas still follows the load: the limit is the reason only where it holds the count.
    reason = Reason.TOO_MANY_REPLICAS if replicas == inputs.bounded else recommendation.reason
    return _limited_to(recommendation, replicas, reason, f"maxReplicas is {inputs.upper}")


def _cap_at_capacity(inputs: DecisionInput, recommendation: Recommendation) -> Recommendation:
    """Withdraw pods that no node has room for, at once: no running request is lost by that.

    Where no replica is Ready the load is unknown and the count stays, but the message names the shortage.
    """
    if recommendation.basis not in (Basis.LOAD, Basis.NOTHING_READY):
        return recommendation
    shortage = find_shortage(inputs.seen, timedelta(seconds=inputs.spec.pending_timeout_seconds), inputs.now)
    if shortage is None:
        return recommendation
    reason, message = Reason(shortage.reason), f"{recommendation.message}; {shortage.message}"
    if recommendation.basis is Basis.NOTHING_READY:
        return replace(recommendation, reason=reason, message=message)
    if recommendation.replicas <= shortage.most_useful:
        return recommendation
    lowest = inputs.bounded if inputs.load.unread else inputs.lower
    replicas = min(recommendation.replicas, max(shortage.most_useful, lowest))
    return replace(recommendation, replicas=replicas, reason=reason, message=message)


def _keep_bounds(inputs: DecisionInput, recommendation: Recommendation) -> Recommendation:
    """Keep the count between the floor and maxReplicas, and name the bound that moved the current count."""
    current, lower, upper = inputs.current, inputs.lower, inputs.upper
    replicas = min(max(recommendation.replicas, lower), upper)
    reason, message = recommendation.reason, recommendation.message
    if current < lower == replicas:
        reason = Reason.ANNOUNCED_EVENT if inputs.floor.event else Reason.TOO_FEW_REPLICAS
        message = f"{inputs.floor.because}, current {current}"
    elif current > upper == replicas:
        reason, message = Reason.TOO_MANY_REPLICAS, f"maxReplicas is {upper}, current {current}"
    return replace(recommendation, replicas=replicas, reason=reason, message=message)


def _limited_to(recommendation: Recommendation, replicas: int, reason: Reason, why: str) -> Recommendation:
    """The recommendation after a limit; unchanged if the limit does not lower or raise it."""
    if replicas == recommendation.replicas:
        return recommendation
    return replace(recommendation, replicas=replicas, reason=reason, message=f"{recommendation.message}; {why}")
