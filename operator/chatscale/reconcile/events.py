"""Kubernetes Events about custom resources, as core/v1 manifests. Pure."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from chatscale import names
from chatscale.api.v1alpha1 import ObjectMeta

MESSAGE_BYTES: Final = 1000
"""The API server refuses messages of more than 1024 bytes."""
_NAME_HASH_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class EventDraft:
    """An Event before it has an object and a time."""

    reason: str
    message: str
    warning: bool = False


def build_events(
    kind: names.CustomKind, meta: ObjectMeta, drafts: Iterable[EventDraft], now: datetime
) -> list[dict[str, Any]]:
    """The drafts as core/v1 Events, which every version of kubectl lists with their age."""
    return [_event(kind, meta, draft, now) for draft in drafts]


def _event(kind: names.CustomKind, meta: ObjectMeta, draft: EventDraft, now: datetime) -> dict[str, Any]:
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
            "kind": kind.kind,
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
