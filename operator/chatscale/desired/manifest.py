"""Shared parts of the children of a custom resource: identity, owner, labels, and a hash to detect changes."""

import hashlib
import json
from typing import Any, NamedTuple

from typing_extensions import override

from chatscale import names
from chatscale.api.v1alpha1 import ChatModel, ShopAssistant

Manifest = dict[str, Any]
"""A Kubernetes object as JSON."""

Owner = ChatModel | ShopAssistant
"""What the operator creates children for."""

HASH_LENGTH = 16
"""Hexadecimal digits of a SHA-256: 64 bits are enough to tell two templates apart."""


class ObjectKey(NamedTuple):
    """Identifies an object within one cluster and API group."""

    kind: str
    namespace: str
    name: str

    @override
    def __str__(self) -> str:
        """E.g. `Deployment demo/tiny`, for messages."""
        return f"{self.kind} {self.namespace}/{self.name}"


def key_of(manifest: Manifest) -> ObjectKey:
    """The identity of a manifest."""
    metadata = manifest["metadata"]
    return ObjectKey(manifest["kind"], metadata["namespace"], metadata["name"])


def kind_of(owner: Owner) -> names.CustomKind:
    """The names of the owner's kind."""
    return names.SHOPASSISTANT if isinstance(owner, ShopAssistant) else names.CHATMODEL


def child_metadata(owner: Owner, child: str | None = None) -> Manifest:
    """Metadata of a child. The garbage collector deletes it with its owner.

    child: its name; None means the owner's name.
    """
    kind, name = kind_of(owner), owner.metadata.name
    return {
        "name": child or name,
        "namespace": owner.metadata.namespace,
        "labels": {
            **kind.pod_labels(name),
            names.INSTANCE_LABEL: name,
            names.MANAGED_BY_LABEL: names.MANAGED_BY,
        },
        "ownerReferences": [
            {
                "apiVersion": names.API_VERSION,
                "kind": kind.kind,
                "name": name,
                "uid": owner.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def with_template_hash(manifest: Manifest) -> Manifest:
    """The manifest with an annotation that changes exactly when another part of the manifest changes."""
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:HASH_LENGTH]
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), names.TEMPLATE_HASH_ANNOTATION: digest}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def template_hash_of(manifest: Manifest) -> str | None:
    """The hash that `with_template_hash` wrote; None if there is none."""
    annotations: dict[str, str] = manifest["metadata"].get("annotations") or {}
    return annotations.get(names.TEMPLATE_HASH_ANNOTATION)
