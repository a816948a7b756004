"""Which ShopAssistants a change concerns. Pure.

An assistant depends on two ChatModels: the one that phrases its answers, and one of its own name, which takes
precedence at the gateway.
"""

from collections.abc import Mapping
from typing import Any, Final

from chatscale import names
from chatscale.cluster.interface import CHATMODEL, SHOPASSISTANT
from chatscale.desired.manifest import ObjectKey

_EXISTS: Final = "#exists"
_READY: Final = "#ready"
"""Marks of a ChatModel. No name at the gateway contains `#`."""


def shopassistant_key(namespace: str, name: str) -> ObjectKey:
    """The key of a ShopAssistant."""
    return ObjectKey(SHOPASSISTANT.name, namespace, name)


def chat_model_of(manifest: Mapping[str, Any]) -> str | None:
    """`spec.model.chatModel`. The spec need not be valid."""
    found = ((manifest.get("spec") or {}).get("model") or {}).get("chatModel")
    return found if isinstance(found, str) else None


def shopassistants_concerned(manifest: Mapping[str, Any]) -> set[ObjectKey]:
    """The ShopAssistants whose pass depends on this object; some of them may not exist.

    A child and a pod concern the ShopAssistant of their label. A ChatModel concerns, through the marks that it shares
    with them, the ShopAssistants that name it and those of its name.
    """
    meta = manifest["metadata"]
    if manifest["kind"] == SHOPASSISTANT.name:
        own = _marked(meta["namespace"], meta["name"], _EXISTS)
        model = chat_model_of(manifest)
        marks = [_marked(meta["namespace"], model, mark) for mark in (_EXISTS, _READY)] if model else []
        return {shopassistant_key(meta["namespace"], meta["name"]), own, *marks}
    if manifest["kind"] == CHATMODEL.name:
        held = (_EXISTS, _READY) if is_ready(manifest) else (_EXISTS,)
        return {_marked(meta["namespace"], meta["name"], mark) for mark in held}
    owner = (meta.get("labels") or {}).get(names.SHOPASSISTANT.label)
    return {shopassistant_key(meta["namespace"], owner)} if owner else set()


def ready_condition(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """The condition Ready of a custom resource; empty if there is none."""
    conditions = (manifest.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == "Ready"), {})


def is_ready(manifest: Mapping[str, Any]) -> bool:
    """Whether the condition Ready of a custom resource is True."""
    return ready_condition(manifest).get("status") == "True"


def _marked(namespace: str, name: str, mark: str) -> ObjectKey:
    return ObjectKey(names.ROUTING_NAME, "", f"{namespace}/{name}{mark}")
