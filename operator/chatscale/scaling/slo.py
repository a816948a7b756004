"""The count that keeps the SLO for least, with its reason in one sentence."""

import math

from chatscale.scaling.decision import DecisionInput, Recommendation, reason_for
from chatscale.scaling.state import ScalerState
from chatscale.scaling.tuning import TOLERANCE


def recommend_for_slo(case: DecisionInput, state: ScalerState) -> Recommendation:
    """Whole replicas for the need at the horizon; the work must be known.

    E.g. work for 3.4 replicas, 3.9 expected by the end of a cold start, 1.6 spare: ceil(5.5) = 6.
    """
    work, reserve = state.work, state.reserve
    need = reserve.sized_for(work, case.spec.slo, case.now)
    # Means of floats may come out a hair above a whole number; a replica is not started for that.
    wanted = max(math.ceil(need.replicas - 1e-9), 1)
    if case.bounded < need.replicas < case.bounded + TOLERANCE:
        wanted = case.bounded
    reason = reason_for(case, max(wanted, case.lower))
    load = f"work for {need.load:.1f} replicas ({work.tokens_per_s:.0f} tokens/s each)"
    ahead = f"{need.expected:.1f} expected within {reserve.horizon.total_seconds():.0f} s"
    message = f"{load}, {ahead} and {need.spare:.1f} spare ask for {wanted} ({case.current} now)"
    return Recommendation(wanted, reason, message).bent(max(wanted, case.lower), reason, case.floor.because)
