"""Which replica count holds from now on, and on whose word. Pure but for the policy's state, which it remembers."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from chatscale.api.v1alpha1 import ChatModel, ScalingRecord
from chatscale.reconcile.memory import Memory
from chatscale.reconcile.replicas import (
    Conflict,
    Current,
    Writer,
    current_replicas,
    find_conflict,
    is_users,
    writer_of,
)
from chatscale.reconcile.snapshot import Snapshot
from chatscale.scaling.floor import Floor, floor_at
from chatscale.scaling.learning import learn_cold_starts
from chatscale.scaling.policy import Decision, decide
from chatscale.scaling.signals import Observation
from chatscale.scaling.state import ScalerState

_REASON_LENGTH: Final = 1024


@dataclass(frozen=True, slots=True)
class Resolution:
    """Which count holds from now on, who said so, and what was overruled."""

    writer: Writer
    conflict: Conflict | None
    current: Current
    replicas: int
    decision: Decision | None
    floor: Floor
    """The least count that minReplicas or an announced event asks for now."""
    state: ScalerState
    """What is remembered from now on."""


def resolve_replicas(
    snapshot: Snapshot, chatmodel: ChatModel, memory: Memory, seen: Observation, now: datetime
) -> Resolution:
    """Find out whose word the count is, and in mode Operator decide; a dry run decides for the record only.

    An HPA leaves 0 replicas alone for ever. Ours may have come to them (a model was at 0 when it entered mode HPA),
    and never asks for 0 itself, so minReplicas is restored for it.
    """
    autoscaling = chatmodel.spec.autoscaling
    conflict = find_conflict(chatmodel, snapshot.autoscalers)
    writer = writer_of(autoscaling, conflict)
    current = current_replicas(chatmodel, snapshot.manifest, writer, snapshot.deployment)
    state = memory.scaler or ScalerState.rebuilt(current.replicas, now, chatmodel.status.autoscaling)
    if writer is not Writer.OPERATOR and not autoscaling.dry_run:
        state = learn_cold_starts(state.without_history(current.replicas, now), seen)
        floor = floor_at(autoscaling, state.reserve.cold_start_s, now, state.events)
        state = memory.scaler = replace(state, events=floor.events)
        wakes = writer is Writer.AUTOSCALER and conflict is None and current.replicas == 0
        replicas = floor.replicas if wakes else current.replicas
        return Resolution(writer, conflict, current, replicas, None, floor, state)
    decision = decide(autoscaling, chatmodel.spec.server.max_concurrency, current.replicas, seen, state, now)
    memory.scaler = decision.next_state
    replicas = decision.replicas if writer is Writer.OPERATOR else current.replicas
    return Resolution(writer, conflict, current, replicas, decision, decision.floor, decision.next_state)


def count_to_write(chatmodel: ChatModel, resolution: Resolution) -> int | None:
    """What `spec.replicas` must become; None if it may stand.

    The count of a foreign HPA on the Deployment is copied, so that it stays when that HPA goes; but not over the
    word of a user.
    """
    is_theirs = resolution.writer is Writer.FOREIGN and is_users(chatmodel.spec.autoscaling)
    return None if is_theirs or resolution.replicas == chatmodel.spec.replicas else resolution.replicas


def record_change(chatmodel: ChatModel, resolution: Resolution, now: datetime) -> ScalingRecord | None:
    """What the status' history says of this pass; None if the count stayed, or was never noted before."""
    before = chatmodel.status.desired_replicas
    if before is None or before == resolution.replicas:
        return None
    match resolution.writer:
        case Writer.OPERATOR if resolution.decision is not None:
            why = f"{resolution.decision.reason}: {resolution.decision.message}"
        case Writer.AUTOSCALER if resolution.replicas != resolution.current.replicas:
            why = f"{resolution.floor.because}, and a HorizontalPodAutoscaler does not act on 0 replicas"
        case Writer.AUTOSCALER:
            why = f"a HorizontalPodAutoscaler set spec.replicas to {resolution.replicas}"
        case Writer.FOREIGN:
            name = resolution.conflict.name if resolution.conflict else ""
            why = f"HorizontalPodAutoscaler {name} scaled the Deployment"
        case _:
            why = f"spec.replicas was set to {resolution.replicas}"
    return ScalingRecord(time=now, from_=before, to=resolution.replicas, reason=why[:_REASON_LENGTH])
