"""Shared parts of a ChatModel's children: identity, owner, labels, and a hash to detect changes."""

import hashlib
import json
from typing import Any, NamedTuple

from typing_extensions import override

from chatscale import names
from chatscale.api.v1alpha1 import ChatModel

Manifest = dict[str, Any]
"""A Kubernetes object as JSON."""

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


def child_metadata(chatmodel: ChatModel, child: str | None = None) -> Manifest:
    """Metadata of a child. The garbage collector deletes it with the ChatModel.

    child: its name; None means the ChatModel's name.
    """
    name = chatmodel.metadata.name
    return {
        "name": child or name,
        "namespace": chatmodel.metadata.namespace,
        "labels": {
            **names.pod_selector(name),
            names.INSTANCE_LABEL: name,
            names.MANAGED_BY_LABEL: names.MANAGED_BY,
        },
        "ownerReferences": [
            {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "name": name,
                "uid": chatmodel.metadata.uid,
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
