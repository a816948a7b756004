"""Which replica count applies from now on, and who set it. Pure, except that `Memory` keeps the policy's state."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from chatscale.api.v1alpha1 import ChatModel, ScalingRecord
from chatscale.cluster.interface import Manifest
from chatscale.reconcile.chatmodel.memory import Memory
from chatscale.reconcile.chatmodel.replicas import (
    Conflict,
    Current,
    Writer,
    current_replicas,
    find_conflict,
    user_sets_replicas,
    writer_of,
)
from chatscale.reconcile.chatmodel.snapshot import Snapshot
from chatscale.scaling.floor import Floor, floor_at
from chatscale.scaling.learning import learn_cold_starts
from chatscale.scaling.policy import Decision, Recommendation, decide, decide_beside_hpa
from chatscale.scaling.signals import Observation
from chatscale.scaling.state import ScalerState

_REASON_LENGTH: Final = 1024
"""Characters that the CRD accepts."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """The replica count that applies from now on, and its writer."""

    writer: Writer
    conflict: Conflict | None
    current: Current
    replicas: int
    decision: Decision | None
    """The policy's decision in mode Operator and in a dry run."""
    floor: Floor
    """The least count that minReplicas or an announced event asks for now."""
    state: ScalerState
    """The policy's state after this pass."""
    at_zero: Recommendation | None = None
    """In mode HPA: the operator's change to or from 0 replicas, or why the count stays at 0; None: the HPA decides."""


def resolve_replicas(
    snapshot: Snapshot, chatmodel: ChatModel, memory: Memory, seen: Observation, now: datetime
) -> Resolution:
    """Find the writer of the count, and decide in mode Operator. A dry run decides too, only for the status.

    An HPA never scales up from 0 replicas, nor down to 0. With scaleToZero the operator does both. Without it a model
    can be at 0 when it enters mode HPA, so the operator restores minReplicas there.
    """
    autoscaling = chatmodel.spec.autoscaling
    conflict = find_conflict(chatmodel, snapshot.autoscalers)
    writer = writer_of(autoscaling, conflict)
    current = current_replicas(chatmodel, snapshot.manifest, writer, snapshot.deployment)
    state = memory.scaler or ScalerState.rebuilt(current.replicas, now, chatmodel.status.autoscaling)
    slots = chatmodel.spec.server.max_concurrency or seen.slots or chatmodel.slots
    if writer is not Writer.OPERATOR and not autoscaling.dry_run:
        state = learn_cold_starts(state.without_history(current.replicas, now), seen)
        floor = floor_at(autoscaling, state.reserve.starts.until_ready_s, now, state.events)
        state, at_zero, replicas = replace(state, events=floor.events), None, current.replicas
        if writer is Writer.AUTOSCALER and conflict is None:
            at_zero, state = decide_beside_hpa(autoscaling, slots, current.replicas, seen, state, floor, now)
            replicas = at_zero.replicas if at_zero else current.replicas or floor.replicas
        memory.scaler = state
        return Resolution(writer, conflict, current, replicas, None, floor, state, at_zero)
    decision = decide(autoscaling, slots, current.replicas, seen, state, now)
    memory.scaler = decision.next_state
    replicas = decision.replicas if writer is Writer.OPERATOR else current.replicas
    return Resolution(writer, conflict, current, replicas, decision, decision.floor, decision.next_state)


def count_to_write(chatmodel: ChatModel, resolution: Resolution) -> int | None:
    """The new value of the ChatModel's `spec.replicas`; None if it stays.

    The operator copies the count of a foreign HPA on the Deployment, so that the count stays when that HPA is
    deleted. It does not overwrite a count that the user sets.
    """
    user_keeps_count = resolution.writer is Writer.FOREIGN and user_sets_replicas(chatmodel.spec.autoscaling)
    return None if user_keeps_count or resolution.replicas == chatmodel.spec.replicas else resolution.replicas


def reset_count(memory: Memory, resolution: Resolution, deployment: Manifest | None) -> int | None:
    """The Deployment's count if someone else set it since the last pass and this pass restores it."""
    if deployment is None or memory.deployment_replicas is None or resolution.writer is Writer.FOREIGN:
        return None
    found: int | None = deployment["spec"].get("replicas")
    return None if found in (memory.deployment_replicas, resolution.replicas) else found


def record_change(chatmodel: ChatModel, resolution: Resolution, now: datetime) -> ScalingRecord | None:
    """The entry for the status' history; None if the count stays, or if this is the first count."""
    before = chatmodel.status.desired_replicas
    if before is None or before == resolution.replicas:
        return None
    match resolution.writer:
        case Writer.OPERATOR if resolution.decision is not None:
            why = f"{resolution.decision.reason}: {resolution.decision.message}"
        case Writer.AUTOSCALER if resolution.at_zero is not None:
            why = f"{resolution.at_zero.reason.value}: {resolution.at_zero.message}"
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
