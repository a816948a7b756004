"""Which objects belong to a custom resource, and who owns a Deployment's count. Pure."""

from collections.abc import Mapping
from typing import Any

from chatscale import names
from chatscale.api.v1alpha1 import ShopAssistant
from chatscale.cluster.interface import CONFIGMAP
from chatscale.desired.manifest import Owner, kind_of


def child_name(owner: Owner, kind: str) -> str:
    """The name of the owner's child of this kind."""
    name = owner.metadata.name
    if isinstance(owner, ShopAssistant):
        return names.assistant_child(name)
    return names.slo_configmap(name) if kind == CONFIGMAP.name else name


def is_ours(manifest: Mapping[str, Any], owner: Owner) -> bool:
    """Whether this owner has the object by uid, or an earlier owner of the same name left it.

    `kubectl delete --cascade=orphan` leaves children, for example.
    """
    meta, kind = manifest["metadata"], kind_of(owner)
    labels = meta.get("labels") or {}
    identity = (labels.get(kind.label), labels.get(names.MANAGED_BY_LABEL))
    has_name = meta["name"] == child_name(owner, manifest.get("kind", ""))
    owners = meta.get("ownerReferences") or ()
    return (has_name and identity == (owner.metadata.name, names.MANAGED_BY)) or any(
        o.get("uid") == owner.metadata.uid for o in owners
    )


def owns_replicas(manifest: Mapping[str, Any], manager: str) -> bool:
    """Whether the field manager owns `spec.replicas` of the object."""
    return any(entry.get("manager") == manager for entry in owners_of_replicas(manifest))


def owners_of_replicas(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The entries of managedFields that own `spec.replicas`."""
    entries = manifest["metadata"].get("managedFields") or ()
    return [e for e in entries if "f:replicas" in ((e.get("fieldsV1") or {}).get("f:spec") or {})]
