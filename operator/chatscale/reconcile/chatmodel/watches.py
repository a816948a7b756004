"""What a pass over a ChatModel reads, and which ChatModels a change concerns. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from chatscale import names
from chatscale.cluster.interface import (
    AUTOSCALER,
    CHATMODEL,
    CONFIGMAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    NETWORK_POLICY,
    POD,
    SERVICE,
    SHOPASSISTANT,
    Watch,
)
from chatscale.desired.manifest import ObjectKey

WATCHES: Final = (
    Watch(CHATMODEL),
    Watch(DEPLOYMENT, selector=names.OUR_CHILDREN),
    Watch(SERVICE, selector=names.OUR_CHILDREN),
    Watch(CONFIGMAP, selector=names.OUR_CHILDREN),
    Watch(DISRUPTION_BUDGET, selector=names.OUR_CHILDREN),
    Watch(NETWORK_POLICY, selector=names.OUR_CHILDREN),
    Watch(POD, selector=names.OUR_CHILDREN),
    # All HPAs: an HPA without our label can scale a ChatModel or its Deployment.
    Watch(AUTOSCALER),
)


_SERVING: Final = "#serving"
"""No name at the gateway contains `#`."""


def chatmodel_key(namespace: str, name: str) -> ObjectKey:
    """The key of a ChatModel."""
    return ObjectKey(CHATMODEL.name, namespace, name)


def routing_key(name: str) -> ObjectKey:
    """The key under which the cache lists the ChatModels that have this name at the gateway."""
    return ObjectKey(names.ROUTING_NAME, "", name)


def routing_names(manifest: Mapping[str, Any]) -> set[str]:
    """All values of `model` in requests that may mean this ChatModel, and the name of its fallback.

    The spec need not be valid.
    """
    fallback = fallback_of(manifest)
    return {*own_names(manifest), *aliases_of(manifest), *([fallback] if fallback else [])}


def own_names(manifest: Mapping[str, Any]) -> set[str]:
    """Name, namespace/name and served name of a ChatModel."""
    return {*object_names(manifest), *served_names(manifest)}


def object_names(manifest: Mapping[str, Any]) -> set[str]:
    """Name and namespace/name of a ChatModel or ShopAssistant."""
    meta = manifest["metadata"]
    return {meta["name"], f"{meta['namespace']}/{meta['name']}"}


def served_names(manifest: Mapping[str, Any]) -> set[str]:
    """`spec.model.servedName`, if it is set and is not a name of the object."""
    served = ((manifest.get("spec") or {}).get("model") or {}).get("servedName")
    return {served} - object_names(manifest) if served else set()


def aliases_of(manifest: Mapping[str, Any]) -> list[str]:
    """`spec.routing.aliases`."""
    return list(((manifest.get("spec") or {}).get("routing") or {}).get("aliases") or ())


def fallback_of(manifest: Mapping[str, Any]) -> str | None:
    """namespace/name of `spec.routing.overload.fallback`; None if there is none."""
    routing = (manifest.get("spec") or {}).get("routing") or {}
    name = (routing.get("overload") or {}).get("fallback")
    return f"{manifest['metadata']['namespace']}/{name}" if name else None


def is_stopped(manifest: Mapping[str, Any]) -> bool:
    """Whether the ChatModel stays at 0 replicas, whatever requests arrive."""
    spec = manifest.get("spec") or {}
    return spec.get("replicas") == 0 and (spec.get("autoscaling") or {}).get("scaleToZero") is None


def _shared_names(manifest: Mapping[str, Any]) -> set[str]:
    """Routing names, and a mark of ChatModels that serve: a fallback that stops or starts loses or gains it."""
    meta, fallback = manifest["metadata"], fallback_of(manifest)
    serving = [] if is_stopped(manifest) else [f"{meta['namespace']}/{meta['name']}"]
    return routing_names(manifest) | {f"{name}{_SERVING}" for name in (*serving, fallback) if name}


def chatmodels_concerned(manifest: Mapping[str, Any]) -> set[ObjectKey]:
    """The ChatModels whose pass depends on this object; some of them may not exist.

    A ChatModel concerns itself, and through the keys of its names the ChatModels with an equal name and those whose
    fallback it is. A child and a pod
    concern the ChatModel of their label. An HPA also concerns its target and a ChatModel of its own name, which needs
    that name in mode HPA.
    """
    meta = manifest["metadata"]
    if manifest["kind"] == SHOPASSISTANT.name:
        # Its name takes precedence over aliases and served names.
        return {*map(routing_key, object_names(manifest))}
    if manifest["kind"] == CHATMODEL.name:
        return {chatmodel_key(meta["namespace"], meta["name"]), *map(routing_key, _shared_names(manifest))}
    concerned = {(meta.get("labels") or {}).get(names.CHATMODEL.label)}
    if manifest["kind"] == AUTOSCALER.name:
        target = manifest["spec"]["scaleTargetRef"]
        concerned |= {meta["name"], target["name"] if target["kind"] in (CHATMODEL.name, DEPLOYMENT.name) else None}
    return {chatmodel_key(meta["namespace"], name) for name in concerned if name}
