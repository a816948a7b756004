"""Signs the shop's tokens for customers (JWT, HS256), with the standard library."""

import base64
import hashlib
import hmac
import json
from typing import Any


def sign_customer_token(customer: str, secret: bytes, *, audience: str, now_s: int, lifetime_s: int = 3600) -> str:
    """A token that names the customer in `sub`. now_s: seconds since 1970."""
    claims = {"sub": customer, "aud": audience, "iat": now_s, "exp": now_s + lifetime_s}
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
    return f"{signed}.{_encode(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def _part(value: dict[str, Any]) -> str:
    return _encode(json.dumps(value, separators=(",", ":")).encode())


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
