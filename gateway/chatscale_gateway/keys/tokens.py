"""Verification of JSON Web Tokens. Pure: key set and time are arguments.

Only asymmetric algorithms count: with a symmetric one, a public key that everybody can read would be the secret
(RFC 8725, section 2.1).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from joserfc import jwk, jws, jwt
from joserfc.errors import JoseError

ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519",
)  # fmt: skip
LEEWAY_S: Final = 30
"""Clocks of the provider and of the gateway may differ by this much."""
_ASYMMETRIC: Final = frozenset({"RSA", "EC", "OKP"})
_PARTS: Final = 2
"""Dots in a token."""

PublicKey = jwk.RSAKey | jwk.ECKey | jwk.OKPKey


class InvalidTokenError(Exception):
    """The token is not valid. No client sees why."""


@dataclass(frozen=True, slots=True)
class TokenRules:
    """Which tokens count."""

    issuer: str
    audience: str


def read_key_id(token: str) -> str | None:
    """`kid` of the token's header, empty if it has none; None for a text that is no JWT."""
    if token.count(".") != _PARTS:
        return None
    try:
        found = jws.extract_compact(token.encode()).headers().get("kid", "")
    except (JoseError, ValueError, RecursionError):
        return None
    return found if isinstance(found, str) else None


def read_key_set(document: object) -> dict[str, PublicKey]:
    """The public keys for signatures in a JWKS document, by `kid`. Others are left out.

    Raises ValueError for a document that is no JWKS.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("the key set has no list `keys`")  # noqa: TRY004 - the document is wrong, not the call
    found: dict[str, PublicKey] = {}
    for entry in entries:
        if isinstance(entry, dict) and entry.get("kty") in _ASYMMETRIC and entry.get("use", "sig") == "sig":
            try:
                key = jwk.import_key(entry)
            except (JoseError, ValueError, TypeError):
                continue
            if isinstance(key, jwk.RSAKey | jwk.ECKey | jwk.OKPKey):
                found[str(entry.get("kid", ""))] = key
    return found


def verify_token(token: str, key: PublicKey, rules: TokenRules, wall_now: datetime) -> Mapping[str, Any]:
    """The claims of a token that is signed with the key and valid now. Raises InvalidTokenError."""
    try:
        claims = jwt.decode(token, key, algorithms=ALGORITHMS).claims
        jwt.JWTClaimsRegistry(
            now=int(wall_now.timestamp()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": rules.issuer},
            aud={"essential": True, "value": rules.audience},
            exp={"essential": True},
            sub={"essential": True},
        ).validate(claims)
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise InvalidTokenError from error
    return claims
