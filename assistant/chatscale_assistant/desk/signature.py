"""HMAC-SHA256 over a timestamp and a body, as this desk's webhook and Chatwoot's webhooks have it. Pure."""

import hashlib
import hmac
from typing import Final

MAX_AGE_S: Final = 300
"""Difference between the timestamp and the clock. A recorded request cannot be sent again later."""
_PREFIX: Final = "sha256="
_MAX_TIMESTAMP_LENGTH: Final = 12


def sign(key: str, timestamp: str, body: bytes) -> str:
    """`sha256=` and the hexadecimal HMAC of `TIMESTAMP.BODY`."""
    return _PREFIX + hmac.new(key.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def is_signed(key: str, timestamp: str, body: bytes, signature: str, *, now_s: float) -> bool:
    """Whether the signature fits and the timestamp (Unix seconds) is current. An empty key fits nothing."""
    if not key or not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > _MAX_TIMESTAMP_LENGTH:
        return False
    fits = hmac.compare_digest(sign(key, timestamp, body).encode(), signature.encode("utf-8", "replace"))
    return fits and abs(now_s - int(timestamp)) <= MAX_AGE_S
