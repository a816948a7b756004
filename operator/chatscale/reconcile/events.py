"""What happened in this pass, as Kubernetes Events on the ChatModel. Pure: once per change, never per tick."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from chatscale import names
from chatscale.api.v1alpha1 import ChatModel, ChatModelStatus, ConditionStatus, ObjectMeta, ScalingRecord
from chatscale.reconcile.conditions import BAD_REASONS

NOTE_LENGTH: Final = 1000
"""The API server refuses notes of more than 1024 bytes."""
_NAME_HASH_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Note:
    """One thing worth telling."""

    reason: str
    message: str
    warning: bool = False


def scaling_notes(scaled: ScalingRecord | None, chatmodel: ChatModel, overruled: int | None, kept: int) -> list[Note]:
    """A change of the count, and a write of `spec.replicas` that was put back."""
    notes = []
    if overruled is not None:
        mode = chatmodel.spec.autoscaling.mode.value
        message = f"spec.replicas was set to {overruled}; in mode {mode} it has another writer, so {kept} stays"
        notes.append(Note("ReplicasRestored", message, warning=True))
    if scaled is not None:
        direction = "ScaledUp" if scaled.to > scaled.from_ else "ScaledDown"
        notes.append(Note(direction, f"Scaled {scaled.from_} -> {scaled.to}: {scaled.reason}"))
    return notes


def status_notes(before: ChatModelStatus, after: ChatModelStatus) -> list[Note]:
    """Reasons that have turned bad, each once however many conditions give it, and a return to Ready."""
    known = {condition.reason for condition in before.conditions}
    fresh = {c.reason: c.message for c in reversed(after.conditions) if c.reason in BAD_REASONS - known}
    notes = [Note(reason, message, warning=True) for reason, message in fresh.items()]
    if _is_ready(after) and not _is_ready(before):
        notes.append(Note("Ready", f"{after.ready_replicas} of {after.desired_replicas} replicas answer"))
    return notes


def build_events(meta: ObjectMeta, notes: Iterable[Note], now: datetime) -> list[dict[str, Any]]:
    """The notes as core/v1 Events: the kind that every kubectl shows with its age."""
    return [_event(meta, note, now) for note in notes]


def _event(meta: ObjectMeta, note: Note, now: datetime) -> dict[str, Any]:
    # The same pass repeated after a failure makes the same name, and the API server refuses the twin.
    identity = f"{meta.uid} {meta.resource_version} {note.reason} {note.message}"
    suffix = hashlib.blake2s(identity.encode(), digest_size=_NAME_HASH_BYTES).hexdigest()
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta.name}.{suffix}", "namespace": meta.namespace},
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": meta.name,
            "namespace": meta.namespace,
            "uid": meta.uid,
            "resourceVersion": meta.resource_version,
        },
        "type": "Warning" if note.warning else "Normal",
        "reason": note.reason,
        "message": note.message.encode()[:NOTE_LENGTH].decode(errors="ignore"),
        "source": {"component": names.EVENT_COMPONENT},
        "reportingComponent": names.EVENT_COMPONENT,
        "reportingInstance": names.EVENT_COMPONENT,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }


def _is_ready(status: ChatModelStatus) -> bool:
    return any(c.type == "Ready" and c.status is ConditionStatus.TRUE for c in status.conditions)
