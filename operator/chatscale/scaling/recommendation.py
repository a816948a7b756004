"""The recommend stage of `policy.decide`: a replica count before any limit. Pure.

The load decides where it is known: `slo.py` keeps the SLO, `targets.py` follows metric targets. Where the load is
unknown, `missing.py` holds the count or applies the fallback.
"""

from dataclasses import replace

from chatscale.scaling.decision import Basis, DecisionInput, Reason, Recommendation
from chatscale.scaling.load import Coverage
from chatscale.scaling.missing import hold_or_fall_back, hold_until_ready
from chatscale.scaling.slo import recommend_for_slo
from chatscale.scaling.state import ScalerState
from chatscale.scaling.targets import recommend_for_targets
from chatscale.scaling.zero import describe_held, replicas_for_held


def recommend(inputs: DecisionInput, state: ScalerState) -> Recommendation:
    """Recommend a replica count for what `inputs` show and `state` has learned."""
    return _hold_while_uncertain(inputs, _follow(inputs, state), state)


def _follow(inputs: DecisionInput, state: ScalerState) -> Recommendation:
    match inputs.load.coverage:
        case Coverage.NOTHING_READY:
            return _start_for_held(inputs, state) or hold_until_ready(inputs)
        case Coverage.NONE:
            return hold_or_fall_back(inputs, state.failed_readings)
        case Coverage.COMPLETE | Coverage.PARTIAL if inputs.load.follows_targets(inputs.spec):
            return recommend_for_targets(inputs, state)
        case Coverage.COMPLETE | Coverage.PARTIAL:
            return recommend_for_slo(inputs, state)


def _start_for_held(inputs: DecisionInput, state: ScalerState) -> Recommendation | None:
    """More replicas for what gateways hold while no replica is Ready; None if the present count is enough."""
    if inputs.seen.clients is None or not inputs.seen.clients.held:
        return None
    replicas = replicas_for_held(inputs, state.work, state.reserve)
    if replicas <= inputs.bounded:
        return None
    message = f"{describe_held(inputs)}, no replica is ready: recommended {replicas}, current {inputs.current}"
    return Recommendation(replicas, Reason.REQUESTS_HELD, message)


def _hold_while_uncertain(inputs: DecisionInput, recommendation: Recommendation, state: ScalerState) -> Recommendation:
    """Recommend no scale down while metrics are incomplete or a burst is active.

    The held count enters the stabilization windows, as in the HPA, which also adjusts for missing metrics first.
    """
    load, window_s = inputs.load, inputs.spec.window_seconds
    if recommendation.basis is not Basis.LOAD or recommendation.replicas >= inputs.bounded:
        return recommendation
    if load.unread:
        names = ", ".join(load.unread[:3])
        reason = Reason.METRICS_INCOMPLETE
        why = f"no scale down while {len(load.unread)} of {load.ready} ready replicas cannot be read ({names})"
    elif recommendation.in_burst:
        reason, why = Reason.STABILIZING, f"no scale down within {window_s} s of a burst"
    elif state.complete_since is None or inputs.now - state.complete_since < inputs.window:
        reason, why = Reason.STABILIZING, f"no scale down before every replica has been read for {window_s} s"
    else:
        return recommendation
    message = f"{recommendation.message}; {why}"
    return replace(recommendation, replicas=inputs.bounded, reason=reason, message=message)
