"""API keys: what a client sends, and the Secret that the gateway reads.

A Secret with the label `KEY_LABEL` holds the SHA-256 of one key and the policy of its owner. The key itself is in no
Secret. A key has 256 random bits, so its hash needs no salt and no slow function.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from typing_extensions import override

KEY_LABEL: Final = "chatscale.dev/api-key"
KEY_LABEL_VALUE: Final = "true"
KEY_PREFIX: Final = "csk-"
"""Lets people and secret scanners recognise a key."""
_RANDOM_BYTES: Final = 32


@dataclass(frozen=True, slots=True, order=True)
class KeyId:
    """Identity of a key: the Secret's namespace and name. It is public: it is in logs and metrics."""

    namespace: str
    name: str

    @override
    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """What the owner of a key may do. None: no limit."""

    models: frozenset[str] = frozenset()
    """Names of ChatModels, as `name` or `namespace/name`; empty: all that the Secret's namespace opens."""
    requests_per_minute: int | None = None
    input_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None
    max_concurrency: int | None = None
    """Requests at a time, held ones included, over all gateways."""
    priority: int = 0
    """From -100 to 100; held requests of a higher priority go first. Below 0: they leave a tenth of the slots free."""
    expires: datetime | None = None
    """With a time zone."""
    wake: bool = True
    """Whether its requests may start a model that has 0 replicas."""
    live: bool = False
    """Whether it may see the live page."""


def new_key() -> str:
    """A new key: `KEY_PREFIX` and 43 characters of base64url."""
    return KEY_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def hash_key(key: str) -> str:
    """SHA-256 of the key's UTF-8 bytes as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()
