"""The replica count of one ChatModel in mode Operator; docs/design/0005-scaling-policy.md.

`decide` is pure: the operator's tick calls it, and so does anything that plays traffic against it. It
performs nothing and logs nothing; each decision carries its reason as data.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from chatscale.api.v1alpha1 import AutoscalingPhase, AutoscalingSpec, Fallback, FallbackBehavior
from chatscale.scaling.capacity import find_shortage
from chatscale.scaling.demand import Demand, MetricValue, Proposal, Signal, is_burst, propose
from chatscale.scaling.load import Coverage, Load, max_sample_age, read_load
from chatscale.scaling.signals import Observation
from chatscale.scaling.state import Averages, ScalerState

__all__ = ["Decision", "MetricValue", "Reason", "decide"]


class Reason(StrEnum):
    """Why a decision came out as it did."""

    STEADY = "Steady"
    """The load suits the count."""
    LOAD_ABOVE_TARGET = "LoadAboveTarget"
    BURST = "Burst"
    """Raised on the short window."""
    LOAD_BELOW_TARGET = "LoadBelowTarget"
    STABILIZING = "Stabilizing"
    """A change is wished for and waits for its stabilization window, a burst, or enough readings."""
    RATE_LIMITED = "RateLimited"
    TOO_FEW_REPLICAS = "TooFewReplicas"
    """The count was below minReplicas."""
    TOO_MANY_REPLICAS = "TooManyReplicas"
    """The count was, or should go, above maxReplicas."""
    INSUFFICIENT_GPU = "InsufficientGPU"
    TOO_FEW_NODES = "TooFewNodes"
    NOTHING_READY = "NoReadyReplicas"
    """No replica takes requests yet: the count is held."""
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    """Replicas are ready and none can be read: the count is held."""
    METRICS_INCOMPLETE = "MetricsIncomplete"
    """Some ready replicas cannot be read, which forbids to lower the count."""
    FALLBACK = "Fallback"
    """Metrics have been missing for long: the spec's fallback acts."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How many replicas, why, and what to remember."""

    replicas: int
    """Always within minReplicas and maxReplicas."""
    reason: str
    """A `Reason`."""
    message: str
    """One sentence with its numbers."""
    phase: AutoscalingPhase
    readings: tuple[MetricValue, ...]
    """Empty while the load is unknown."""
    metrics_ok: bool
    """False if replicas are ready and none could be read."""
    next_state: ScalerState


@dataclass(frozen=True, slots=True)
class _Wish:
    """A count on its way through the limits, with the reason of whatever shaped it last."""

    replicas: int
    reason: Reason
    message: str

    def bent(self, replicas: int, reason: Reason, because: str) -> "_Wish":
        """The wish after a limit; the same wish if the limit did not bind."""
        return self if replicas == self.replicas else _Wish(replicas, reason, f"{self.message}; {because}")


@dataclass(frozen=True, slots=True)
class _Case:
    """What stays the same throughout one decision."""

    spec: AutoscalingSpec
    slots: int
    current: int
    seen: Observation
    load: Load
    now: datetime

    @property
    def upper(self) -> int:
        """Without maxReplicas, which mode Operator requires, the count is never raised."""
        return self.spec.max_replicas or max(self.current, self.spec.min_replicas)

    @property
    def bounded(self) -> int:
        """The count as it must at least be brought to: bounds act at once, whatever the load."""
        return min(max(self.current, self.spec.min_replicas), self.upper)

    @property
    def window(self) -> timedelta:
        return timedelta(seconds=self.spec.window_seconds)

    @property
    def panic_window(self) -> timedelta:
        return timedelta(seconds=self.spec.panic_window_seconds)


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
    survivors with room to spare, and the largest wish of scaleDown's window. Missing or stale samples
    never lower: they hold, and after `fallback.failureThreshold` readings the spec's fallback acts.
    """
    load = read_load(seen, state.refusals, now, max_sample_age(spec.source))
    case = _Case(spec, max_concurrency, current, seen, load, now)
    state = replace(state, history=state.history.with_current(current, spec.behavior, now))
    state = state.with_load(load, seen.taken_at, spec)
    match load.coverage:
        case Coverage.WHOLE | Coverage.PARTIAL:
            return _follow_load(case, state)
        case Coverage.NOTHING_READY:
            wish = _Wish(
                case.bounded, Reason.NOTHING_READY, f"no replica is ready to take requests, {case.bounded} held"
            )
            return _decided(case, _blaming_shortage(case, wish), state)
        case Coverage.NONE:
            return _without_metrics(case, state)
        case _:
            assert_never(load.coverage)


def _follow_load(case: _Case, state: ScalerState) -> Decision:
    demand = _demand(case, state)
    if is_burst(case.spec, case.slots, demand):
        state = replace(state, panic_until=case.now + case.window)
    in_panic = state.panic_until is not None and case.now < state.panic_until
    proposals = [
        propose(metric, case.slots, case.bounded, demand, case.spec, in_panic=in_panic) for metric in case.spec.metrics
    ]
    wish = _held(case, _largest(case, proposals, in_panic=in_panic), state, in_panic=in_panic)
    state = replace(state, history=state.history.with_wish(wish.replicas, case.spec.behavior, case.now))
    return replace(
        _decided(case, _limited(case, wish, state), state),
        phase=AutoscalingPhase.PANIC if in_panic else AutoscalingPhase.STABLE,
        readings=tuple(proposal.value for proposal in proposals),
    )


def _demand(case: _Case, state: ScalerState) -> Demand:
    def signal(averages: Averages) -> Signal:
        return Signal(averages.stable.mean(case.now, case.window), averages.short.mean(case.now, case.panic_window))

    return Demand(
        active=signal(state.active),
        waiting=signal(state.waiting),
        kv_percent=signal(state.kv_percent),
        nothing_waits=state.waiting.short.high(case.now, case.panic_window) <= 0,
        ready=max(case.load.ready, 1),
    )


def _largest(case: _Case, proposals: list[Proposal], *, in_panic: bool) -> _Wish:
    """The largest proposal wins: what suits one metric may be too little for another."""
    largest = max(proposals, key=lambda proposal: proposal.replicas)
    wanted, now = max(largest.replicas, case.spec.min_replicas), case.bounded
    if wanted > now:
        reason = Reason.BURST if in_panic else Reason.LOAD_ABOVE_TARGET
    else:
        reason = Reason.STEADY if wanted == now else Reason.LOAD_BELOW_TARGET
    return _Wish(wanted, reason, f"{largest.message} asks for {wanted} ({case.current} now)")


def _held(case: _Case, wish: _Wish, state: ScalerState, *, in_panic: bool) -> _Wish:
    """No lowering on what is not known, and none in a burst."""
    load, window_s = case.load, case.spec.window_seconds
    if wish.replicas >= case.bounded:
        return wish
    if load.unread:
        unread = f"{len(load.unread)} of {load.ready} ready replicas could not be read ({', '.join(load.unread[:3])})"
        return wish.bent(case.bounded, Reason.METRICS_INCOMPLETE, f"not lowered: {unread}")
    if in_panic:
        return wish.bent(case.bounded, Reason.STABILIZING, f"not lowered within {window_s} s of a burst")
    if not state.has_watched(case.window, case.now):
        because = f"not lowered before every replica was read for {window_s} s"
        return wish.bent(case.bounded, Reason.STABILIZING, because)
    return wish


def _limited(case: _Case, wish: _Wish, state: ScalerState) -> _Wish:
    """Through `behavior`, the upper bound and what the cluster can run, in this order."""
    behavior, history, bounded = case.spec.behavior, state.history, case.bounded
    stable = history.stabilized(bounded, behavior, case.now)
    rules = behavior.scale_down if stable > wish.replicas else behavior.scale_up
    because = f"{stable} is what the last {rules.stabilization_window_seconds} s agree on"
    wish = wish.bent(stable, Reason.STABILIZING if stable == bounded else wish.reason, because)
    slow = history.rate_limited(bounded, wish.replicas, behavior, case.now)
    because = f"{slow} is what behavior allows for now"
    wish = wish.bent(slow, Reason.RATE_LIMITED if slow == bounded else wish.reason, because)
    wish = wish.bent(min(wish.replicas, case.upper), Reason.TOO_MANY_REPLICAS, f"maxReplicas is {case.upper}")
    return _within_capacity(case, wish)


def _within_capacity(case: _Case, wish: _Wish) -> _Wish:
    """Pods that cannot run may be withdrawn at once; nothing that runs is lost by it."""
    shortage = find_shortage(case.seen, timedelta(seconds=case.spec.pending_timeout_seconds), case.now)
    if shortage is None or wish.replicas <= shortage.most_useful:
        return wish
    floor = case.bounded if case.load.unread else case.spec.min_replicas
    return _Wish(
        min(wish.replicas, max(shortage.most_useful, floor)),
        Reason(shortage.reason),
        f"{wish.message}; {shortage.message}",
    )


def _blaming_shortage(case: _Case, wish: _Wish) -> _Wish:
    """Where nothing is ready the load is unknown and the count stays, but the cause may be known."""
    shortage = find_shortage(case.seen, timedelta(seconds=case.spec.pending_timeout_seconds), case.now)
    if shortage is None:
        return wish
    return replace(wish, reason=Reason(shortage.reason), message=f"{wish.message}; {shortage.message}")


def _without_metrics(case: _Case, state: ScalerState) -> Decision:
    fallback = case.spec.fallback
    blind = f"none of {case.load.ready} ready replicas could be read, {state.failed_readings} readings in a row"
    if state.failed_readings < fallback.failure_threshold:
        wish = _Wish(case.bounded, Reason.METRICS_UNAVAILABLE, f"{blind}; {case.bounded} held")
        return replace(_decided(case, wish, state), metrics_ok=False)
    replicas = _fallback_replicas(fallback, case.bounded)
    wish = _Wish(replicas, Reason.FALLBACK, f"{blind}; fallback {fallback.behavior.value} gives {replicas}")
    return replace(_decided(case, wish, state), phase=AutoscalingPhase.FALLBACK, metrics_ok=False)


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


def _decided(case: _Case, wish: _Wish, state: ScalerState) -> Decision:
    """Within the bounds, and with their name on it where they moved the count."""
    spec, current = case.spec, case.current
    replicas = min(max(wish.replicas, spec.min_replicas), case.upper)
    if current < spec.min_replicas == replicas:
        wish = _Wish(replicas, Reason.TOO_FEW_REPLICAS, f"minReplicas is {spec.min_replicas}, there were {current}")
    elif current > case.upper == replicas:
        wish = _Wish(replicas, Reason.TOO_MANY_REPLICAS, f"maxReplicas is {case.upper}, there were {current}")
    history = state.history
    if not case.load.read:  # A held count stands in for the wish that nobody could form.
        history = history.with_wish(replicas, spec.behavior, case.now)
    return Decision(
        replicas=replicas,
        reason=wish.reason.value,
        message=wish.message,
        phase=AutoscalingPhase.STABLE,
        readings=(),
        metrics_ok=True,
        next_state=replace(state, history=history.with_asked(replicas, case.now)),
    )
