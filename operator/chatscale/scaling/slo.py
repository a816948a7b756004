"""The recommendation that keeps the SLO at the lowest cost."""

import math

from chatscale.scaling.decision import Basis, DecisionInput, Reason, Recommendation, reason_for
from chatscale.scaling.evidence import find_evidence, replicas_in_flight
from chatscale.scaling.state import ScalerState
from chatscale.scaling.tuning import TOLERANCE


def recommend_for_slo(inputs: DecisionInput, state: ScalerState) -> Recommendation:
    """Recommend the whole replicas that the load needs at the end of a cold start.

    E.g. load 3.4 replicas, 3.9 expected at the end of a cold start, reserve 1.6: ceil(5.5) = 6.
    """
    work, reserve = state.work, state.reserve
    if not work.is_known:
        message = f"the request rate needs a second reading; holding the count at {inputs.bounded}"
        return Recommendation(inputs.bounded, Reason.STABILIZING, message, Basis.FIRST_READING)
    evidence = find_evidence(inputs, work)
    need = reserve.sized_for(work, inputs.spec.slo, inputs.now, is_full=evidence.is_full)
    # Means of floats can end slightly above a whole number; a replica is not started for that.
    needed = max(math.ceil(need.replicas - 1e-9), 1)
    if inputs.bounded < need.replicas < inputs.bounded + TOLERANCE:
        needed = inputs.bounded
    if evidence.is_full and not work.has_sizes:
        needed = max(needed, replicas_in_flight(inputs))
    replicas = max(needed, inputs.lower)
    # The rate of a replica follows from the mean length of an answer.
    each = f" ({work.replica_rps:.1f} requests/s each)" if work.has_sizes else ""
    load = f"load {need.load:.1f} replicas{each}"
    ahead = f"{need.expected:.1f} expected within {reserve.horizon.total_seconds():.0f} s, reserve {need.spare:.1f}"
    message = f"{load}, {ahead}: recommended {needed}, current {inputs.current}"
    reason = reason_for(inputs, replicas)
    if reason is Reason.LOAD_ABOVE_TARGET and evidence.reason is not None:
        reason, message = evidence.reason, f"{evidence.message}; {message}"
    return Recommendation(
        replicas,
        reason,
        message if replicas == needed else f"{message}; {inputs.floor.because}",
    )
