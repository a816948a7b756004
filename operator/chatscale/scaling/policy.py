"""The scaling policy of mode Operator: one replica count for one ChatModel (docs/design/0005 and 0008).

`decide` is a pipeline. Each stage runs once, in this order, on every path:

1. read (`load.py`): the observation as a summary of the load, and how much of the load is known
2. learn (`learning.py`): the state with this observation added
3. recommend (`recommendation.py`): a replica count for the load, or what holds while the load is unknown
4. limit (`limits.py`): stabilization windows, rate limits, maxReplicas, cluster capacity, bounds
5. conclude: the `Decision` and the state for the next one

A model with `scaleToZero` that is at 0 replicas, or that is idle, takes another way after stage 2: `zero.py`.

All stages are pure. The operator and the simulator call the same `decide`.
"""

from dataclasses import replace
from datetime import datetime

from chatscale.api.v1alpha1 import AutoscalingPhase, AutoscalingSpec
from chatscale.scaling.decision import Basis, Decision, DecisionInput, Reason, Recommendation
from chatscale.scaling.demand import MetricValue
from chatscale.scaling.floor import Floor, floor_at
from chatscale.scaling.learning import learn, learn_idleness
from chatscale.scaling.limits import limit
from chatscale.scaling.load import read_load
from chatscale.scaling.recommendation import recommend
from chatscale.scaling.signals import Observation
from chatscale.scaling.state import ScalerState
from chatscale.scaling.zero import decide_at_zero

__all__ = ["Decision", "MetricValue", "Reason", "Recommendation", "decide", "decide_beside_hpa"]


def decide(
    spec: AutoscalingSpec,
    max_concurrency: int,
    current: int,
    seen: Observation,
    state: ScalerState,
    now: datetime,
) -> Decision:
    """Choose the replica count for one model.

    max_concurrency: batch slots of each replica. current: the present replica count, whoever set it; a change that
    this policy did not make counts towards the rate limits. now: aware.

    Scale up is immediate within the rate limits. Scale down needs complete readings for windowSeconds, no burst,
    and a count that was the highest recommendation of scaleDown's stabilization window. Missing or stale samples
    never lower the count: it is held, and after `fallback.failureThreshold` readings the spec's fallback applies.
    """
    load = read_load(seen, state.refusals, spec.source, now)
    state = learn(state, spec, max_concurrency, current, seen, load, now)
    floor = floor_at(spec, state.reserve.starts.until_ready_s, now, state.events)
    inputs = DecisionInput(spec, max_concurrency, current, seen, load, now, floor)
    at_zero = decide_at_zero(inputs, state.idleness, state.work, state.reserve)
    if at_zero is not None:
        return _conclude(inputs, at_zero, at_zero, state)
    recommendation = recommend(inputs, state)
    limited = limit(inputs, recommendation, state.history)
    return _conclude(inputs, recommendation, limited, state)


def decide_beside_hpa(
    spec: AutoscalingSpec,
    max_concurrency: int,
    current: int,
    seen: Observation,
    state: ScalerState,
    floor: Floor,
    now: datetime,
) -> tuple[Recommendation | None, ScalerState]:
    """Whether a model in mode HPA goes to zero or back, and the next state. None: the HPA sets the count.

    An HPA does nothing while its target has 0 replicas ("scaling is disabled since the replica count of the target is
    zero"), and never goes below its own minReplicas, which is at least 1. So both changes are the operator's.
    """
    if spec.scale_to_zero is None:
        return None, state
    load = read_load(seen, state.refusals, spec.source, now)
    state = learn_idleness(state, spec, current, seen, load, now)
    inputs = DecisionInput(spec, max_concurrency, current, seen, load, now, floor)
    return decide_at_zero(inputs, state.idleness, state.work, state.reserve), state


def _conclude(
    inputs: DecisionInput, recommendation: Recommendation, limited: Recommendation, state: ScalerState
) -> Decision:
    """Build the decision, and remember what was recommended and decided."""
    history = state.history
    if recommendation.basis not in (Basis.FIRST_READING, Basis.ZERO):
        history = history.with_recommendation(recommendation.replicas, inputs.spec.behavior, inputs.now)
    return Decision(
        replicas=limited.replicas,
        reason=limited.reason.value,
        message=limited.message,
        phase=_phase(inputs, recommendation),
        readings=recommendation.readings,
        metrics_ok=recommendation.basis.has_metrics,
        floor=inputs.floor,
        next_state=replace(
            state, history=history.with_decision(limited.replicas, inputs.now), events=inputs.floor.events
        ),
    )


def _phase(inputs: DecisionInput, recommendation: Recommendation) -> AutoscalingPhase:
    if recommendation.basis is Basis.FALLBACK:
        return AutoscalingPhase.FALLBACK
    if recommendation.in_burst:
        return AutoscalingPhase.PANIC
    return AutoscalingPhase.SCHEDULED if inputs.floor.event else AutoscalingPhase.STABLE
