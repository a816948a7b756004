"""Secrets of keys: new ones, rotated ones, and what a list shows of them. Pure."""

import base64
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from chatscale_cli.errors import CommandError
from chatscale_cli.keys.interface import Manifest
from chatscale_contract.gateway.key_secret import MalformedKeyError, StoredKey, decode_data, key_data, parse_key_data
from chatscale_contract.gateway.keys import KEY_LABEL, KEY_LABEL_VALUE, KeyId, KeyPolicy

SELECTOR: Final = f"{KEY_LABEL}={KEY_LABEL_VALUE}"
_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NAMESPACE: Final = re.compile(_LABEL)
_MAX_NAME: Final = 253
_MAX_NAMESPACE: Final = 63


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key of a list."""

    key: KeyId
    policy: KeyPolicy | None
    """None: malformed."""
    state: str


def check_namespace(namespace: str) -> None:
    """Raises CommandError if Kubernetes cannot have this namespace."""
    if len(namespace) > _MAX_NAMESPACE or not _NAMESPACE.fullmatch(namespace):
        raise CommandError(
            f"a namespace must have at most {_MAX_NAMESPACE} lower-case letters, digits and '-', found {namespace!r}"
        )


def check_name(key: KeyId) -> None:
    """Raises CommandError if Kubernetes cannot have a Secret of this name."""
    if len(key.name) > _MAX_NAME or not _NAME.fullmatch(key.name):
        raise CommandError(
            f"the name of a key must have at most {_MAX_NAME} lower-case letters, digits, '-' and '.', "
            f"found {key.name!r}"
        )


def new_secret(key: KeyId, sha256: str, policy: KeyPolicy) -> Manifest:
    """The Secret of a new key. Raises CommandError if the policy is not valid."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": key.namespace, "name": key.name, "labels": {KEY_LABEL: KEY_LABEL_VALUE}},
        "type": "Opaque",
        "data": _encode(StoredKey(sha256, policy)),
    }


def rotated_secret(
    secret: Manifest, sha256: str, overlap: timedelta, now: datetime, *, force: bool = False
) -> tuple[Manifest, datetime | None]:
    """The Secret with a new hash, and the end of the old key; None if it ends at once.

    The policy, further metadata and the resourceVersion stay. Raises CommandError if the Secret is malformed, has
    expired or is immutable, or if an earlier rotation still overlaps and not `force`.
    """
    key = id_of(secret)
    if secret.get("immutable"):
        raise CommandError(f"Secret {key} is immutable: create another key and revoke this one")
    try:
        stored = parse_key_data(decode_data(secret.get("data")))
    except MalformedKeyError as error:
        raise CommandError(f"Secret {key} is malformed and cannot be rotated: {error}") from error
    if stored.policy.expires is not None and stored.policy.expires <= now:
        raise CommandError(f"key {key} expired at {format_time(stored.policy.expires)}: create another one")
    if not force and (until := _overlaps_until(stored, now)) is not None:
        raise CommandError(
            f"key {key} was rotated before, and its old key is valid until {format_time(until)}: "
            "wait, or end that key at once with --force"
        )
    until = (now + overlap).replace(microsecond=0) if overlap else None
    previous = None if until is None else stored.sha256
    changed = replace(stored, sha256=sha256, previous_sha256=previous, previous_expires=until)
    return {**secret, "data": _encode(changed)}, until


def check_label(secret: Manifest) -> None:
    """Raises CommandError for a Secret that is not a key: no command changes it."""
    labels = secret["metadata"].get("labels") or {}
    if labels.get(KEY_LABEL) != KEY_LABEL_VALUE:
        raise CommandError(f"Secret {id_of(secret)} is not an API key: it does not have the label {SELECTOR}")


def has_hash(secret: Manifest, sha256: str) -> bool:
    """Whether this is the current hash of the Secret."""
    data: Mapping[str, Any] = secret.get("data") or {}
    return data.get("sha256") == base64.b64encode(sha256.encode()).decode()


def describe(secrets: Iterable[Manifest], now: datetime) -> list[KeyRow]:
    """The rows of a list, in order of namespace and name. They contain no hash.

    Secrets that share a hash are all off. Only those within the list are found.
    """
    found = sorted(((id_of(secret), _parse(secret)) for secret in secrets), key=lambda pair: pair[0])
    uses = Counter(each for _, stored in found if isinstance(stored, StoredKey) for each in _hashes(stored))
    rows = []
    for key, stored in found:
        if isinstance(stored, str):
            rows.append(KeyRow(key, None, f"malformed: {stored}"))
        elif any(uses[each] > 1 for each in _hashes(stored)):
            rows.append(KeyRow(key, stored.policy, "off: another Secret has a key with the same hash"))
        else:
            rows.append(KeyRow(key, stored.policy, _state(stored, now)))
    return rows


def id_of(secret: Manifest) -> KeyId:
    """Namespace and name."""
    metadata = secret["metadata"]
    return KeyId(metadata["namespace"], metadata["name"])


def format_time(value: datetime) -> str:
    """RFC 3339 in UTC, without fractions of a second."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _parse(secret: Manifest) -> StoredKey | str:
    """The key, or why the Secret is malformed."""
    try:
        return parse_key_data(decode_data(secret.get("data")))
    except MalformedKeyError as error:
        return str(error)


def _hashes(stored: StoredKey) -> list[str]:
    return [each for each in (stored.sha256, stored.previous_sha256) if each is not None]


def _state(stored: StoredKey, now: datetime) -> str:
    if stored.policy.expires is not None and stored.policy.expires <= now:
        return "expired"
    until = _overlaps_until(stored, now)
    return "active" if until is None else f"rotating until {format_time(until)}"


def _overlaps_until(stored: StoredKey, now: datetime) -> datetime | None:
    until = stored.previous_expires
    return until if until is not None and until > now else None


def _encode(stored: StoredKey) -> dict[str, str]:
    """Raises CommandError if the gateway would not read this data."""
    data = key_data(stored)
    try:
        parse_key_data(data)
    except MalformedKeyError as error:
        raise CommandError(str(error)) from error
    return {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
