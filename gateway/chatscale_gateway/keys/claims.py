"""How the claims of a token become a caller with a policy. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from chatscale_contract.gateway.key_secret import MalformedKeyError, parse_policy
from chatscale_contract.gateway.keys import KeyId
from chatscale_gateway.keys.caller import OIDC_PREFIX, Caller

_SAFE: Final = "-._~@|+"
_MAX_NAME: Final = 200
_MODELS: Final = "models"


@dataclass(frozen=True, slots=True)
class ClaimMapping:
    """What an identity provider's tokens mean here."""

    namespace: str
    """Of the gateway: callers are in it, so they may use ChatModels of all namespaces that their policy names."""
    claims: Mapping[str, str] = field(default_factory=dict)
    """Field of a policy, as in a Secret, to the name of the claim that sets it."""
    default_policy: Mapping[str, str] = field(default_factory=dict)
    """Fields of a policy, as in a Secret, where a token has no claim for them."""


def read_caller(claims: Mapping[str, Any], mapping: ClaimMapping) -> Caller:
    """The caller whom a verified token describes. Raises MalformedKeyError for claims that are no policy.

    If a claim sets the models, a token without it opens the models of the default policy; without these it opens none,
    and is malformed.
    """
    found = dict(mapping.default_policy)
    for name, claim in mapping.claims.items():
        if (value := claims.get(claim)) is not None:
            found[name] = _text(value)
    if _MODELS in mapping.claims and _MODELS not in found:
        raise MalformedKeyError(f"{_MODELS} must be in the claim {mapping.claims[_MODELS]}, found nothing")
    return Caller(KeyId(mapping.namespace, _name(claims.get("sub"))), parse_policy(found), opens_all=True)


def _name(subject: object) -> str:
    """The subject as ASCII without spaces and quotes, different for different subjects."""
    if not isinstance(subject, str) or not subject:
        raise MalformedKeyError("sub must be a text, found nothing")
    name = OIDC_PREFIX + quote(subject, safe=_SAFE, errors="replace")
    if len(name) > _MAX_NAME:
        raise MalformedKeyError(f"sub must have at most {_MAX_NAME} characters in a URL, found {len(name)}")
    return name


def _text(value: object) -> str:
    """As it is in a Secret. Raises MalformedKeyError."""
    match value:
        case bool():
            return "true" if value else "false"
        case list():
            entries = [str(entry) for entry in value]
            if any("," in entry or len(entry.split()) != 1 for entry in entries):
                # One group named `a,b` must not be the groups `a` and `b`.
                raise MalformedKeyError("an entry of a list must have no comma and no space, found one")
            return ",".join(entries)
        case _:
            return str(value)
