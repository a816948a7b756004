"""What limits a recommendation: missing metrics, bursts, `behavior`, bounds, and what the cluster can run."""

from dataclasses import replace
from datetime import timedelta

from chatscale.scaling.capacity import find_shortage
from chatscale.scaling.decision import DecisionInput, Reason, Recommendation
from chatscale.scaling.state import ScalerState


def hold_unknown(
    case: DecisionInput, recommendation: Recommendation, state: ScalerState, *, in_panic: bool
) -> Recommendation:
    """No lowering on what is not known, and none in a burst."""
    load, window_s = case.load, case.spec.window_seconds
    if recommendation.replicas >= case.bounded:
        return recommendation
    if load.unread:
        unread = f"{len(load.unread)} of {load.ready} ready replicas could not be read ({', '.join(load.unread[:3])})"
        return recommendation.bent(case.bounded, Reason.METRICS_INCOMPLETE, f"not lowered: {unread}")
    if in_panic:
        return recommendation.bent(case.bounded, Reason.STABILIZING, f"not lowered within {window_s} s of a burst")
    if not state.has_watched(case.window, case.now):
        because = f"not lowered before every replica was read for {window_s} s"
        return recommendation.bent(case.bounded, Reason.STABILIZING, because)
    return recommendation


def limit(case: DecisionInput, recommendation: Recommendation, state: ScalerState) -> Recommendation:
    """Through `behavior`, the upper bound and what the cluster can run, in this order."""
    behavior, history, bounded = case.spec.behavior, state.history, case.bounded
    stable = history.stabilized(bounded, behavior, case.now)
    rules = behavior.scale_down if stable > recommendation.replicas else behavior.scale_up
    because = f"{stable} is what the last {rules.stabilization_window_seconds} s agree on"
    recommendation = recommendation.bent(
        stable, Reason.STABILIZING if stable == bounded else recommendation.reason, because
    )
    slow = history.rate_limited(bounded, recommendation.replicas, behavior, case.now)
    because = f"{slow} is what behavior allows for now"
    recommendation = recommendation.bent(
        slow, Reason.RATE_LIMITED if slow == bounded else recommendation.reason, because
    )
    recommendation = recommendation.bent(
        min(recommendation.replicas, case.upper), Reason.TOO_MANY_REPLICAS, f"maxReplicas is {case.upper}"
    )
    return _within_capacity(case, recommendation)


def _within_capacity(case: DecisionInput, recommendation: Recommendation) -> Recommendation:
    """Pods that cannot run may be withdrawn at once; nothing that runs is lost by it."""
    shortage = find_shortage(case.seen, timedelta(seconds=case.spec.pending_timeout_seconds), case.now)
    if shortage is None or recommendation.replicas <= shortage.most_useful:
        return recommendation
    floor = case.bounded if case.load.unread else case.lower
    return Recommendation(
        min(recommendation.replicas, max(shortage.most_useful, floor)),
        Reason(shortage.reason),
        f"{recommendation.message}; {shortage.message}",
    )


def blame_shortage(case: DecisionInput, recommendation: Recommendation) -> Recommendation:
    """Where nothing is ready the load is unknown and the count stays, but the cause may be known."""
    shortage = find_shortage(case.seen, timedelta(seconds=case.spec.pending_timeout_seconds), case.now)
    if shortage is None:
        return recommendation
    return replace(
        recommendation, reason=Reason(shortage.reason), message=f"{recommendation.message}; {shortage.message}"
    )
