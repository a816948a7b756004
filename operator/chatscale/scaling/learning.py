"""The learn stage of `policy.decide`: adds one observation to the state. Pure.

`work.py` counts requests and tokens, `reserve.py` learns from forecasts and SLO misses; this module says when each
of them runs. It recommends no count.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType

from chatscale.api.v1alpha1 import AutoscalingSpec
from chatscale.scaling.client_work import skip_clients
from chatscale.scaling.cold_start import measure_cold_starts
from chatscale.scaling.demand import average_demand, is_burst
from chatscale.scaling.idleness import Idleness, count_idleness
from chatscale.scaling.load import LoadSummary, max_sample_age
from chatscale.scaling.reserve import learn_reserve
from chatscale.scaling.signals import Observation, ReplicaPhase
from chatscale.scaling.state import Averages, ScalerState
from chatscale.scaling.work import Work, count_work


def learn(
    state: ScalerState,
    spec: AutoscalingSpec,
    slots: int,
    current: int,
    seen: Observation,
    load: LoadSummary,
    now: datetime,
) -> ScalerState:
    """Return the state with this observation added. An observation that is already in it adds nothing.

    slots: batch slots of each replica. current: the present replica count.
    """
    state = learn_cold_starts(state, seen)
    state = learn_idleness(state, spec, current, seen, load, now)
    state = replace(state, history=state.history.with_current(current, spec.behavior, now))
    if state.counted_at is None or seen.taken_at > state.counted_at:
        state = _count_reading(state, load, seen)
        state = _learn_load(state, load, seen, spec) if load.read else _learn_nothing(state, seen)
    return _detect_burst(state, spec, slots, load, now)


def learn_cold_starts(state: ScalerState, seen: Observation) -> ScalerState:
    """Measure the cold start of each pod that became Ready. Needs no metrics."""
    starts = measure_cold_starts(state.reserve.starts, seen.replicas)
    return replace(state, reserve=replace(state.reserve, starts=starts))


def learn_idleness(
    state: ScalerState, spec: AutoscalingSpec, current: int, seen: Observation, load: LoadSummary, now: datetime
) -> ScalerState:
    """Count the time without requests of a model that may scale to zero."""
    if spec.scale_to_zero is None:
        return state if state.idleness == Idleness() else replace(state, idleness=Idleness())
    gap = max_sample_age(spec.source)
    return replace(state, idleness=count_idleness(state.idleness, current, seen, load, gap, now))


def _count_reading(state: ScalerState, load: LoadSummary, seen: Observation) -> ScalerState:
    """Note whether the reading was complete, partial or failed."""
    all_failed = bool(load.unread) and not load.read
    is_complete = bool(load.read) and not load.unread
    return replace(
        state,
        counted_at=seen.taken_at,
        failed_readings=state.failed_readings + 1 if all_failed else 0,
        complete_since=(state.complete_since or seen.taken_at) if is_complete else None,
    )


def _learn_load(state: ScalerState, load: LoadSummary, seen: Observation, spec: AutoscalingSpec) -> ScalerState:
    """Add the load of the replicas that were read."""
    at, work, reserve = seen.taken_at, Work(), state.reserve
    if load.counting:
        not_ready = [replica.name for replica in seen.replicas if replica.phase is not ReplicaPhase.READY]
        work = count_work(state.work, load.counting, at, load.unread, not_ready, seen.clients)
        reserve = learn_reserve(reserve, work, spec.slo, at) if work.counted_at == at else reserve
    return replace(
        state,
        work=work,
        reserve=reserve,
        active=_average(state.active, at, load.active, spec),
        waiting=_average(state.waiting, at, load.waiting, spec),
        kv_percent=_average(state.kv_percent, at, load.kv_percent, spec),
        refusals=MappingProxyType(dict(load.refusals)),
    )


def _learn_nothing(state: ScalerState, seen: Observation) -> ScalerState:
    """No replica was read: what clients waited for meanwhile says nothing about the reserve."""
    clients = skip_clients(seen.clients)
    if clients is None or seen.clients is None:
        return state
    held_at = seen.taken_at if seen.clients.held else state.work.held_at
    return replace(state, work=replace(state.work, clients=clients, held_at=held_at))


def _average(averages: Averages, at: datetime, value: float, spec: AutoscalingSpec) -> Averages:
    return Averages(
        averages.stable.with_value(at, value, timedelta(seconds=spec.window_seconds)),
        averages.short.with_value(at, value, timedelta(seconds=spec.panic_window_seconds)),
    )


def _detect_burst(
    state: ScalerState, spec: AutoscalingSpec, slots: int, load: LoadSummary, now: datetime
) -> ScalerState:
    """Start or extend a burst. Bursts concern metric targets only; the SLO policy forecasts instead."""
    if not load.follows_targets(spec) or not is_burst(spec, slots, average_demand(state, spec, load.ready, now)):
        return state
    return replace(state, panic_until=now + timedelta(seconds=spec.window_seconds))
