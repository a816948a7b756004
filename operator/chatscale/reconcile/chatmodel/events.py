"""The Kubernetes Events of a pass over a ChatModel. Pure. Each change causes one Event; a quiet tick causes none."""

from collections.abc import Sequence
from typing import Final

from chatscale.api.v1alpha1 import ChatModel, ChatModelStatus, ConditionStatus, ScalingRecord
from chatscale.reconcile.chatmodel.conditions import BAD_REASONS, ready_count
from chatscale.reconcile.events import EventDraft

REPLICAS_RESTORED: Final = "ReplicasRestored"
"""Someone else set the count, and the operator restored it."""


def scaling_events(scaled: ScalingRecord | None) -> list[EventDraft]:
    """A change of the count."""
    if scaled is None:
        return []
    direction = "ScaledUp" if scaled.to > scaled.from_ else "ScaledDown"
    return [EventDraft(direction, f"Scaled {scaled.from_} -> {scaled.to}: {scaled.reason}")]


def describe_restores(chatmodel: ChatModel, reverted: int | None, reset: int | None, replicas: int) -> list[str]:
    """One sentence for each count that the operator restored to `replicas` in this pass.

    reverted: the value of `spec.replicas` that someone set. reset: the same of the Deployment.
    """
    sentences = []
    if reverted is not None:
        mode = chatmodel.spec.autoscaling.mode.value
        sentences.append(
            f"spec.replicas was set to {reverted}; in mode {mode} it has another writer, so {replicas} stays"
        )
    if reset is not None:
        name = chatmodel.metadata.name
        sentences.append(f"Deployment {name} was scaled to {reset}; it follows ChatModel {name}, so {replicas} stays")
    return sentences


def restored_events(restores: Sequence[str]) -> list[EventDraft]:
    """One Event about all restored counts since the last one. It quotes the newest."""
    if not restores:
        return []
    times = f" ({len(restores)} restored counts since the last Event)" if len(restores) > 1 else ""
    return [EventDraft(REPLICAS_RESTORED, restores[-1] + times, warning=True)]


def status_events(before: ChatModelStatus, after: ChatModelStatus) -> list[EventDraft]:
    """New bad reasons, each once even if several conditions have it, and a return to Ready."""
    known = {condition.reason for condition in before.conditions}
    new = {c.reason: c.message for c in reversed(after.conditions) if c.reason in BAD_REASONS - known}
    events = [EventDraft(reason, message, warning=True) for reason, message in new.items()]
    if _is_ready(after) and not _is_ready(before) and after.desired_replicas:
        events.append(EventDraft("Ready", ready_count(after.ready_replicas, after.desired_replicas or 0)))
    return events


def _is_ready(status: ChatModelStatus) -> bool:
    return any(c.type == "Ready" and c.status is ConditionStatus.TRUE for c in status.conditions)
