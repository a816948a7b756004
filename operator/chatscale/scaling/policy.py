"""The replica count of one ChatModel in mode Operator; docs/design/0005-scaling-policy.md.

`decide` is pure: the operator's tick calls it, and so does anything that plays traffic against it. It
performs nothing and logs nothing; each decision carries its reason as data.
"""

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from chatscale.api.v1alpha1 import AutoscalingPhase, AutoscalingSpec, Fallback, FallbackBehavior
from chatscale.scaling.decision import Decision, DecisionInput, Reason, Recommendation, reason_for
from chatscale.scaling.demand import Demand, MetricValue, Proposal, Signal, is_burst, propose
from chatscale.scaling.floor import floor_at
from chatscale.scaling.limits import blame_shortage, hold_unknown, limit
from chatscale.scaling.load import Coverage, max_sample_age, summarize_load
from chatscale.scaling.signals import Observation
from chatscale.scaling.slo import recommend_for_slo
from chatscale.scaling.state import Averages, ScalerState

__all__ = ["Decision", "MetricValue", "Reason", "decide"]


def decide(
    spec: AutoscalingSpec,
    max_concurrency: int,
    current: int,
    seen: Observation,
    state: ScalerState,
    now: datetime,
) -> Decision:
    """Choose the replica count for one model.

    max_concurrency: batch slots of each replica. current: the count now asked of the cluster, whoever
    asked for it; a change of it that nobody here decided counts towards the rate limits.

    Raising is immediate within the rate limits. Lowering needs whole readings for windowSeconds, no burst,
    survivors with room to spare, and the largest recommendation of scaleDown's window. Missing or stale samples
    never lower: they hold, and after `fallback.failureThreshold` readings the spec's fallback acts.
    """
    load = summarize_load(seen, state.refusals, now, max_sample_age(spec.source))
    state = state.with_start_ups(seen)
    floor = floor_at(spec, state.reserve.cold_start_s, now, state.events)
    case = DecisionInput(spec, max_concurrency, current, seen, load, now, floor)
    state = replace(state, history=state.history.with_current(current, spec.behavior, now), events=floor.events)
    state = state.with_load(load, seen, spec)
    match load.coverage:
        case Coverage.WHOLE | Coverage.PARTIAL:
            return _follow_load(case, state)
        case Coverage.NOTHING_READY:
            return _decided(case, blame_shortage(case, _wait_for_a_reading(case)), state)
        case Coverage.NONE:
            return _without_metrics(case, state)
        case _:
            assert_never(load.coverage)


def _follow_load(case: DecisionInput, state: ScalerState) -> Decision:
    if not case.spec.metrics and case.load.counting:
        return _keep_slo(case, state)
    demand = _demand(case, state)
    if is_burst(case.spec, case.slots, demand):
        state = replace(state, panic_until=case.now + case.window)
    in_panic = state.panic_until is not None and case.now < state.panic_until
    proposals = [
        propose(metric, case.slots, case.bounded, demand, case.spec, in_panic=in_panic) for metric in case.spec.targets
    ]
    recommendation = hold_unknown(case, _largest(case, proposals, in_panic=in_panic), state, in_panic=in_panic)
    state = replace(
        state, history=state.history.with_recommendation(recommendation.replicas, case.spec.behavior, case.now)
    )
    return replace(
        _decided(case, limit(case, recommendation, state), state),
        phase=AutoscalingPhase.PANIC if in_panic else _calm_phase(case),
        readings=tuple(proposal.value for proposal in proposals),
    )


def _keep_slo(case: DecisionInput, state: ScalerState) -> Decision:
    """Size for the work that is asked for, as long as nobody asked for other targets."""
    if not state.work.is_known:
        recommendation = Recommendation(
            case.bounded, Reason.STABILIZING, f"work is known from the second reading on, {case.bounded} held"
        )
        return _decided(case, recommendation, state)
    recommendation = hold_unknown(case, recommend_for_slo(case, state), state, in_panic=False)
    state = replace(
        state, history=state.history.with_recommendation(recommendation.replicas, case.spec.behavior, case.now)
    )
    return _decided(case, limit(case, recommendation, state), state)


def _demand(case: DecisionInput, state: ScalerState) -> Demand:
    def signal(averages: Averages) -> Signal:
        return Signal(averages.stable.mean(case.now, case.window), averages.short.mean(case.now, case.panic_window))

    return Demand(
        active=signal(state.active),
        waiting=signal(state.waiting),
        kv_percent=signal(state.kv_percent),
        nothing_waits=state.waiting.short.high(case.now, case.panic_window) <= 0,
        ready=max(case.load.ready, 1),
    )


def _largest(case: DecisionInput, proposals: list[Proposal], *, in_panic: bool) -> Recommendation:
    """The largest proposal wins: what suits one metric may be too little for another."""
    largest = max(proposals, key=lambda proposal: proposal.replicas)
    wanted = max(largest.replicas, case.lower)
    reason = Reason.BURST if in_panic and wanted > case.bounded else reason_for(case, wanted)
    message = f"{largest.message} asks for {largest.replicas} ({case.current} now)"
    return Recommendation(largest.replicas, reason, message).bent(wanted, reason, case.floor.because)


def _wait_for_a_reading(case: DecisionInput) -> Recommendation:
    if case.load.ready:
        because = f"{case.load.ready} ready, none of them read since it became so"
        return Recommendation(case.bounded, Reason.STABILIZING, f"{because}; {case.bounded} held")
    return Recommendation(
        case.bounded, Reason.NOTHING_READY, f"no replica is ready to take requests, {case.bounded} held"
    )


def _without_metrics(case: DecisionInput, state: ScalerState) -> Decision:
    fallback = case.spec.fallback
    blind = f"none of {case.load.ready} ready replicas could be read, {state.failed_readings} readings in a row"
    if state.failed_readings < fallback.failure_threshold:
        recommendation = Recommendation(case.bounded, Reason.METRICS_UNAVAILABLE, f"{blind}; {case.bounded} held")
        return replace(_decided(case, recommendation, state), metrics_ok=False)
    replicas = _fallback_replicas(fallback, case.bounded)
    recommendation = Recommendation(
        replicas, Reason.FALLBACK, f"{blind}; fallback {fallback.behavior.value} gives {replicas}"
    )
    return replace(_decided(case, recommendation, state), phase=AutoscalingPhase.FALLBACK, metrics_ok=False)


def _fallback_replicas(fallback: Fallback, held: int) -> int:
    wanted = held if fallback.replicas is None else fallback.replicas
    match fallback.behavior:
        case FallbackBehavior.HOLD:
            return held
        case FallbackBehavior.HOLD_IF_HIGHER:
            return max(held, wanted)
        case FallbackBehavior.STATIC:
            return wanted
        case _:
            assert_never(fallback.behavior)


def _calm_phase(case: DecisionInput) -> AutoscalingPhase:
    return AutoscalingPhase.SCHEDULED if case.floor.event else AutoscalingPhase.STABLE


def _decided(case: DecisionInput, recommendation: Recommendation, state: ScalerState) -> Decision:
    """Within the bounds, and with their name on it where they moved the count."""
    spec, current = case.spec, case.current
    replicas = min(max(recommendation.replicas, case.lower), case.upper)
    if current < case.lower == replicas:
        reason = Reason.ANNOUNCED_EVENT if case.floor.event else Reason.TOO_FEW_REPLICAS
        recommendation = Recommendation(replicas, reason, f"{case.floor.because}, there were {current}")
    elif current > case.upper == replicas:
        recommendation = Recommendation(
            replicas, Reason.TOO_MANY_REPLICAS, f"maxReplicas is {case.upper}, there were {current}"
        )
    history = state.history
    if not case.load.read:  # A held count stands in for the recommendation that nobody could form.
        history = history.with_recommendation(replicas, spec.behavior, case.now)
    return Decision(
        replicas=replicas,
        reason=recommendation.reason.value,
        message=recommendation.message,
        phase=_calm_phase(case),
        readings=(),
        metrics_ok=True,
        floor=case.floor,
        next_state=replace(state, history=history.with_asked(replicas, case.now)),
    )
