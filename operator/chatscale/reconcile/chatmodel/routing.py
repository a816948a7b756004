"""Whether requests can reach a ChatModel through the gateway: unique names, and gateways that can be read. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from chatscale.api.v1alpha1 import ChatModel
from chatscale.cluster.interface import CHATMODEL
from chatscale.reconcile.chatmodel.watches import aliases_of, is_stopped, object_names, served_names

_NAMED: Final = 3
"""Conflicts that a message names; more would not help to resolve them."""


def find_alias_conflict(chatmodel: ChatModel, others: Iterable[Mapping[str, Any]]) -> str | None:
    """One sentence about each alias or servedName that another ChatModel takes; None if there is none.

    others: the other ChatModels and the ShopAssistants, of all namespaces, since the gateway serves all of them under
    one address. Equal names in two namespaces are no conflict: the gateway requires namespace/name. Nor are two equal
    values of servedName.
    """
    mine = _names_of(chatmodel)
    found: list[str] = []
    for other in sorted(others, key=_key):
        theirs = _names_in(other)
        found += [
            f"ChatModels {mine.key} and {theirs.key} have the alias {alias}: it belongs to neither"
            for alias in sorted(mine.aliases & theirs.aliases)
        ]
        found += [*_shadowed(mine, theirs), *_shadowed(theirs, mine)]
    if not found:
        return None
    more = f"; {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return "; ".join(found[:_NAMED]) + more


def find_fallback_fault(chatmodel: ChatModel, others: Iterable[Mapping[str, Any]]) -> str | None:
    """Why the gateway cannot use the fallback of `spec.routing.overload`; None if it can, or there is none."""
    overload = chatmodel.spec.routing.overload
    if overload is None or overload.fallback is None:
        return None
    key = f"{chatmodel.metadata.namespace}/{overload.fallback}"
    found = next((other for other in others if _key(other) == key and other["kind"] == CHATMODEL.name), None)
    if key == chatmodel.key:
        fault = "is the ChatModel itself"
    elif found is None:
        fault = "does not exist"
    elif is_stopped(found):
        fault = "has 0 replicas and no scaleToZero"
    else:
        return None
    return f"the fallback {key} {fault}: spec.routing.overload is ignored and requests wait"


@dataclass(frozen=True, slots=True)
class _Names:
    """The names of one resource at the gateway. Object names come first, then the served name, then aliases."""

    key: str
    kind: str
    objects: set[str]
    """Name and namespace/name."""
    served: set[str]
    """`spec.model.servedName`, unless it is a name of the object."""
    aliases: set[str]


def _names_of(chatmodel: ChatModel) -> _Names:
    objects = {chatmodel.metadata.name, chatmodel.key}
    return _Names(
        chatmodel.key, CHATMODEL.name, objects, {chatmodel.served_name} - objects, set(chatmodel.spec.routing.aliases)
    )


def _names_in(manifest: Mapping[str, Any]) -> _Names:
    return _Names(
        _key(manifest), manifest["kind"], object_names(manifest), served_names(manifest), set(aliases_of(manifest))
    )


def _shadowed(owner: _Names, named: _Names) -> Iterator[str]:
    """The names of `owner` that requests use for `named` instead."""
    for kind, names in (
        ("alias", owner.aliases & (named.objects | named.served)),
        ("servedName", owner.served & named.objects),
    ):
        for name in sorted(names):
            precedence = f"is a name of {named.kind} {named.key}, which takes precedence"
            yield f"the {kind} {name} of ChatModel {owner.key} {precedence}"


def _key(manifest: Mapping[str, Any]) -> str:
    return f"{manifest['metadata']['namespace']}/{manifest['metadata']['name']}"
