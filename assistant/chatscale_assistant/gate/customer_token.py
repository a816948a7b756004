"""Verification of the shop's token for a customer (JWT). Pure: keys and time are arguments.

A shop signs either with a shared secret (HS256) or with keys of a key set (asymmetric). The two never mix: with a key
set, no symmetric algorithm counts, so that a public key cannot serve as a secret (RFC 8725, section 2.1).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from joserfc import jwk, jws, jwt
from joserfc.errors import JoseError

from chatscale_assistant.domain.conversation import Customer

ASYMMETRIC: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519",
)  # fmt: skip
SYMMETRIC: Final = ("HS256",)
LEEWAY_S: Final = 30
"""The clocks of the shop and of the assistant may differ by this much."""
MAX_TOKEN_CHARACTERS: Final = 8192
MIN_SECRET_BYTES: Final = 32
MAX_ID_CHARACTERS: Final = 256
_KINDS: Final = frozenset({"RSA", "EC", "OKP"})
_DOTS: Final = 2

PublicKey = jwk.RSAKey | jwk.ECKey | jwk.OKPKey


class InvalidCustomerTokenError(Exception):
    """The token does not prove who the customer is. The message is for the log and has nothing of the token."""


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """Which tokens count."""

    audience: str
    customer_claim: str = "sub"


@dataclass(frozen=True, slots=True)
class SecretKeys:
    """The shop signs with a shared secret."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Raises ValueError for a secret of fewer than `MIN_SECRET_BYTES` bytes."""
        if len(self.secret) < MIN_SECRET_BYTES:
            raise ValueError(f"the secret has {len(self.secret)} bytes, expected at least {MIN_SECRET_BYTES}")


@dataclass(frozen=True, slots=True)
class KeySet:
    """The shop signs with one of these keys, by `kid`."""

    keys: Mapping[str, PublicKey] = field(default_factory=dict)


def read_key_set(document: object) -> KeySet:
    """The public keys for signatures in a JWKS document. Others are left out, and so is a `kid` that two keys have.

    Raises ValueError for a document that is no JWKS.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("the key set has no list `keys`")  # noqa: TRY004 - the document is wrong, not the call
    keys: dict[str, PublicKey] = {}
    twice: set[str] = set()
    for entry in entries:
        key = _read_key(entry)
        if key is None:
            continue
        key_id = entry.get("kid", "")
        if key_id in keys:
            twice.add(key_id)
        keys[key_id] = key
    return KeySet({key_id: key for key_id, key in keys.items() if key_id not in twice})


def _read_key(entry: object) -> PublicKey | None:
    """None for a key that is symmetric, malformed or not for signatures."""
    if not isinstance(entry, dict) or not all(isinstance(entry.get(name, ""), str) for name in ("kty", "kid", "use")):
        return None
    if entry.get("kty") not in _KINDS or entry.get("use", "sig") != "sig":
        return None
    try:
        key = jwk.import_key(entry)
    except (JoseError, ValueError, TypeError, LookupError, AttributeError):  # whatever the library meets first
        return None
    return key if isinstance(key, jwk.RSAKey | jwk.ECKey | jwk.OKPKey) else None


def read_key_id(token: str) -> str | None:
    """`kid` of the token's header, empty if it has none; None for a text that is no JWT."""
    if len(token) > MAX_TOKEN_CHARACTERS or token.count(".") != _DOTS:
        return None
    try:
        found = jws.extract_compact(token.encode()).headers().get("kid", "")
    except (JoseError, ValueError, RecursionError):
        return None
    return found if isinstance(found, str) else None


def verify_customer(token: str, keys: SecretKeys | KeySet, rules: IdentityRules, wall_now: datetime) -> Customer:
    """The customer of a token that the shop has signed and that is valid now. Raises InvalidCustomerTokenError.

    `exp`, `aud` and the customer's claim must be there; `nbf` and `iat` count if they are there.
    """
    key_id = read_key_id(token)
    if key_id is None:
        raise InvalidCustomerTokenError("the token is no JWT")
    try:
        match keys:
            case SecretKeys():
                found = jwt.decode(token, jwk.OctKey.import_key(keys.secret), algorithms=list(SYMMETRIC))
            case KeySet():
                found = jwt.decode(token, _key_of(keys, key_id), algorithms=list(ASYMMETRIC))
        claims = found.claims
        jwt.JWTClaimsRegistry(
            now=int(wall_now.timestamp()),
            leeway=LEEWAY_S,
            aud={"essential": True, "value": rules.audience},
            exp={"essential": True},
        ).validate(claims)
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise InvalidCustomerTokenError(f"the token is not valid: {type(error).__name__}") from error
    return Customer(_customer_id(claims, rules), dict(claims))


def _key_of(keys: KeySet, key_id: str) -> PublicKey:
    """The key with this id. A token without an id is accepted only if the set has one key."""
    if not key_id and len(keys.keys) == 1:
        return next(iter(keys.keys.values()))
    found = keys.keys.get(key_id)
    if found is None:
        raise InvalidCustomerTokenError("the token's key is not in the key set")
    return found


def _customer_id(claims: Mapping[str, Any], rules: IdentityRules) -> str:
    found = claims.get(rules.customer_claim)
    value = str(found) if type(found) is int else found
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_CHARACTERS or not value.isprintable():
        raise InvalidCustomerTokenError(f"claim {rules.customer_claim} is no id")
    return value
