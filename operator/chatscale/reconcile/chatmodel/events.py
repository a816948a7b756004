"""The Kubernetes Events of a pass over a ChatModel. Pure. Each change causes one Event; a quiet tick causes none."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from chatscale import names
from chatscale.api.v1alpha1 import ChatModel, ChatModelStatus, ConditionStatus, ObjectMeta, ScalingRecord
from chatscale.cluster.interface import CHATMODEL
from chatscale.reconcile.chatmodel.conditions import BAD_REASONS, ready_count

REPLICAS_RESTORED: Final = "ReplicasRestored"
"""Someone else set the count, and the operator restored it."""

MESSAGE_BYTES: Final = 1000
"""The API server refuses messages of more than 1024 bytes."""
_NAME_HASH_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class EventDraft:
    """An Event before it has an object and a time."""

    reason: str
    message: str
    warning: bool = False


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


def build_events(meta: ObjectMeta, drafts: Iterable[EventDraft], now: datetime) -> list[dict[str, Any]]:
    """The drafts as core/v1 Events, which every version of kubectl lists with their age."""
    return [_event(meta, draft, now) for draft in drafts]


def _event(meta: ObjectMeta, draft: EventDraft, now: datetime) -> dict[str, Any]:
    # A pass that is repeated after a failure makes the same name, so the API server refuses a second copy.
    identity = f"{meta.uid} {meta.resource_version} {draft.reason} {draft.message}"
    suffix = hashlib.blake2s(identity.encode(), digest_size=_NAME_HASH_BYTES).hexdigest()
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta.name}.{suffix}", "namespace": meta.namespace},
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": CHATMODEL.name,
            "name": meta.name,
            "namespace": meta.namespace,
            "uid": meta.uid,
            "resourceVersion": meta.resource_version,
        },
        "type": "Warning" if draft.warning else "Normal",
        "reason": draft.reason,
        "message": draft.message.encode()[:MESSAGE_BYTES].decode(errors="ignore"),
        "source": {"component": names.EVENT_COMPONENT},
        "reportingComponent": names.EVENT_COMPONENT,
        "reportingInstance": names.EVENT_COMPONENT,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }


def _is_ready(status: ChatModelStatus) -> bool:
    return any(c.type == "Ready" and c.status is ConditionStatus.TRUE for c in status.conditions)
