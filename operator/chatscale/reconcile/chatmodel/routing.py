"""Whether requests can reach a ChatModel through the gateway: unique names, and gateways that can be read. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from chatscale.api.v1alpha1 import ChatModel
from chatscale.reconcile.chatmodel.watches import aliases_of, own_names

_NAMED: Final = 3
"""Conflicts that a message names; more would not help to resolve them."""


def find_alias_conflict(chatmodel: ChatModel, others: Iterable[Mapping[str, Any]]) -> str | None:
    """One sentence about the aliases that mean two ChatModels; None if there is none.

    others: the other ChatModels, of all namespaces, since the gateway serves all of them under one address. Equal names
    in two namespaces are no conflict: the gateway asks for namespace/name.
    """
    mine = chatmodel.spec.routing.aliases
    meta = chatmodel.metadata
    my_names = {meta.name, chatmodel.key, chatmodel.served_name}
    found: list[str] = []
    for other in sorted(others, key=_key):
        theirs, their_names = aliases_of(other), own_names(other)
        key = _key(other)
        found += [
            f"ChatModels {chatmodel.key} and {key} have the alias {alias}: it belongs to neither"
            for alias in sorted(set(mine) & set(theirs))
        ]
        found += [_shadowed(chatmodel.key, alias, key) for alias in sorted(set(mine) & their_names)]
        found += [_shadowed(key, alias, chatmodel.key) for alias in sorted(set(theirs) & my_names)]
    if not found:
        return None
    more = f"; {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return "; ".join(found[:_NAMED]) + more


def _shadowed(owner: str, alias: str, named: str) -> str:
    return f"the alias {alias} of ChatModel {owner} is a name of ChatModel {named}, which takes precedence"


def _key(manifest: Mapping[str, Any]) -> str:
    return f"{manifest['metadata']['namespace']}/{manifest['metadata']['name']}"
