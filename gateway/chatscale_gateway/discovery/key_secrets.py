"""What the gateway keeps of a Secret with a key, and the Events of Secrets whose key is off. Pure.

Of a malformed Secret nothing is kept but the message: neither its data nor an earlier valid state. A limit that
somebody wanted to lower must not stay as it was.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from chatscale_contract.gateway.endpoints import GATEWAY_NAME
from chatscale_contract.gateway.key_secret import MalformedKeyError, decode_data, parse_key_data
from chatscale_contract.gateway.keys import KeyId
from chatscale_gateway.keys.key_ring import FoundKey

MALFORMED: Final = "MalformedApiKey"
DUPLICATE: Final = "DuplicateApiKey"
_MESSAGE_CHARACTERS: Final = 900
"""The API server refuses messages of more than 1,024 bytes."""
_NAME_CHARACTERS: Final = 230
"""An Event's name has at most 253 characters, the suffix included."""


@dataclass(frozen=True, slots=True)
class KeySecret:
    """One Secret that selects itself as a key by its label."""

    id: KeyId
    uid: str
    resource_version: str
    key: FoundKey | None
    """None if the Secret is malformed."""
    fault: str = ""
    """Why it is malformed. Contains neither a key nor a hash."""


@dataclass(frozen=True, slots=True)
class KeyFault:
    """A Secret whose key is off."""

    secret: KeySecret
    reason: str
    message: str


def read_key_secret(manifest: Mapping[str, Any], _before: KeySecret | None = None) -> KeySecret | None:
    """None for a Secret that is being deleted: its key is revoked, whatever a finalizer waits for."""
    meta = manifest["metadata"]
    if meta.get("deletionTimestamp"):
        return None
    key_id = KeyId(meta["namespace"], meta["name"])
    found, fault = None, ""
    try:
        found = FoundKey(key_id, parse_key_data(decode_data(manifest.get("data"))))
    except MalformedKeyError as error:
        fault = str(error)
    return KeySecret(key_id, meta["uid"], meta.get("resourceVersion", ""), found, fault)


def find_faults(secrets: Iterable[KeySecret], duplicates: frozenset[KeyId]) -> Iterator[KeyFault]:
    """The Secrets whose keys are off."""
    for secret in secrets:
        if secret.key is None:
            yield KeyFault(secret, MALFORMED, f"{secret.fault}; the key is off")
        elif secret.id in duplicates:
            text = "another Secret has a key with the same hash; both keys are off"
            yield KeyFault(secret, DUPLICATE, text)


def build_event(fault: KeyFault, now: datetime) -> dict[str, Any]:
    """A core/v1 Event on the Secret.

    All gateways make the same name for one state of a Secret, so the API server refuses all copies but the first.
    """
    secret = fault.secret
    identity = f"{secret.uid} {secret.resource_version} {fault.reason} {fault.message}"
    suffix = hashlib.blake2s(identity.encode(), digest_size=8).hexdigest()
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{secret.id.name[:_NAME_CHARACTERS]}.{suffix}", "namespace": secret.id.namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Secret",
            "name": secret.id.name,
            "namespace": secret.id.namespace,
            "uid": secret.uid,
            "resourceVersion": secret.resource_version,
        },
        "type": "Warning",
        "reason": fault.reason,
        "message": fault.message[:_MESSAGE_CHARACTERS],
        "source": {"component": GATEWAY_NAME},
        "reportingComponent": GATEWAY_NAME,
        "reportingInstance": GATEWAY_NAME,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
