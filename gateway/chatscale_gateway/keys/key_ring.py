"""All valid keys at one time, and the check of one key. Pure.

The check hashes the key and looks the hash up in a dict, so it costs the same for every key and every number of
Secrets. A lookup that takes slightly longer for some hashes shows nothing useful: a client cannot choose the hash of
what it sends, and no part of a hash leads to its key.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from chatscale_contract.gateway.key_secret import StoredKey
from chatscale_contract.gateway.keys import KeyId, hash_key
from chatscale_gateway.keys.caller import OIDC_PREFIX, Caller


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A valid Secret."""

    id: KeyId
    stored: StoredKey

    @property
    def hashes(self) -> tuple[str, ...]:
        """The current hash, and the one before the last rotation."""
        previous = self.stored.previous_sha256
        return (self.stored.sha256,) if previous is None else (self.stored.sha256, previous)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one hash opens."""

    caller: Caller
    expires: datetime | None = field(default=None)
    """Of this hash. The policy's expiry counts as well."""


class KeyRing:
    """The keys by hash.

    own_namespace: of the gateway. Its keys open ChatModels of all namespaces, others those of the Secret's namespace.
    """

    __slots__ = ("_by_id", "_entries", "duplicates")

    def __init__(self, keys: Iterable[FoundKey], own_namespace: str) -> None:
        found = tuple(keys)
        uses = Counter(each for key in found for each in key.hashes)
        self.duplicates: Final = frozenset(key.id for key in found if any(uses[each] > 1 for each in key.hashes))
        """Secrets that share a hash with another one. All of them are off: the key has no single owner."""
        self._entries: Final[dict[str, _Entry]] = {}
        self._by_id: Final[dict[KeyId, Caller]] = {}
        for key in found:
            if key.id in self.duplicates:
                continue
            caller = Caller(key.id, key.stored.policy, opens_all=key.id.namespace == own_namespace)
            self._entries[key.stored.sha256] = _Entry(caller)
            self._by_id[key.id] = caller
            if key.stored.previous_sha256 is not None:
                self._entries[key.stored.previous_sha256] = _Entry(caller, key.stored.previous_expires)

    def __len__(self) -> int:
        """Number of valid hashes; a rotated key has two."""
        return len(self._entries)

    def authenticate(self, token: str, wall_now: datetime) -> Caller | None:
        """The owner of the key, or None if no Secret has it or it has expired. wall_now: with a time zone."""
        entry = self._entries.get(hash_key(token))
        if entry is None:
            return None
        ends = (entry.expires, entry.caller.policy.expires)
        return None if any(_has_passed(end, wall_now) for end in ends) else entry.caller

    def current(self, caller: Caller, wall_now: datetime) -> Caller | None:
        """The caller as its Secret is now; None if the Secret is gone or off, or the key has expired.

        caller: of a request that was authenticated before. The owner of a token stays as it is.
        """
        if caller.key is not None and not caller.key.name.startswith(OIDC_PREFIX):
            found = self._by_id.get(caller.key)
        else:
            found = caller
        return None if found is None or _has_passed(found.policy.expires, wall_now) else found


def _has_passed(end: datetime | None, wall_now: datetime) -> bool:
    return end is not None and end <= wall_now
