"""PrefixHash and session affinity: requests with equal keys go to the same replica, unless it is overloaded.

Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, 2016). Gateways with the same catalog compute
the same order of replicas, so they agree without shared state.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Final, Generic, TypeVar

from chatscale_gateway.routing.candidates import Candidate, Rng
from chatscale_gateway.routing.catalog import ModelKey
from chatscale_gateway.routing.least_load import choose_least_loaded

C = TypeVar("C", bound=Candidate)

_VIRTUAL_NODES: Final = 160
"""Points of one replica on the ring. With 160 the replicas' parts of the ring differ by about 8 % (1/sqrt(160))."""
_BOUND_QUARTERS: Final = 5
"""The load of a replica may be 5/4 of the mean. Integer arithmetic, so that all gateways compute the same bound."""


class PrefixChoice(StrEnum):
    """Why a replica was chosen for a key."""

    HOME = "home"
    """The first replica in the key's order."""
    SPREAD = "spread"
    """The first replica was at its bound or had no free place, and another one was idle."""
    SPILLED = "spilled"
    """The first replica was at its bound or had no free place, and no replica was idle."""


@dataclass(frozen=True, slots=True)
class Chosen(Generic[C]):
    """A replica and the reason."""

    candidate: C
    choice: PrefixChoice


class HashRing:
    """A ring of pod UIDs. A pod that joins or leaves moves only the keys of its own part."""

    __slots__ = ("_count", "_owners", "_points")

    def __init__(self, uids: Iterable[str]) -> None:
        points = sorted((point, uid) for uid in set(uids) for point in _points_of(uid))
        self._points: Final = [point for point, _ in points]
        self._owners: Final = [uid for _, uid in points]
        self._count: Final = len(points) // _VIRTUAL_NODES

    def order(self, key: int) -> Iterator[str]:
        """All UIDs, the home of the key first. key: 64 bits, see `prefix_key`."""
        owners = self._owners
        start = bisect_right(self._points, key)
        seen: set[str] = set()
        for index in range(start, start + len(owners)):
            uid = owners[index % len(owners)]
            if uid not in seen:
                yield uid
                seen.add(uid)
                if len(seen) == self._count:
                    return


def prefix_key(model: ModelKey, prefix: bytes) -> int:
    """Position of a prefix on the ring of its model."""
    return _hash64(f"{model}\0".encode() + prefix)


def session_order(session: str, uids: Iterable[str]) -> list[str]:
    """All UIDs in the order for one session (rendezvous hashing): a pod that leaves moves only its own sessions."""
    key = session.encode()
    return sorted(uids, key=lambda uid: (_hash64(uid.encode() + b"\0" + key), uid), reverse=True)


def load_bound(loads: Iterable[int], replicas: int) -> int:
    """Maximum load of one of `replicas` after the next request: 1.25 times the mean, rounded up."""
    return -(-_BOUND_QUARTERS * (sum(loads) + 1) // (4 * replicas))


def choose_bounded(order: Iterable[str], candidates: Mapping[str, C], rng: Rng) -> Chosen[C] | None:
    """The first replica of `order` that is below the bound and has a free place; None if no place is free.

    order: UIDs by preference. UIDs that are not in `candidates` are ignored.
    While a replica is idle, requests that leave their home go there, so no replica stays idle beside loaded ones.
    If all replicas below the bound have no place for this gateway, the least loaded replica with a free place gets the
    request: a held request does not wait beside a free place.
    """
    if not candidates:
        return None
    bound = load_bound((each.load for each in candidates.values()), len(candidates))
    first_below: C | None = None
    for position, candidate in enumerate(candidates[uid] for uid in order if uid in candidates):
        if candidate.free > 0 and candidate.load < bound:
            if position == 0:
                return Chosen(candidate, PrefixChoice.HOME)
            if candidate.load == 0:
                return Chosen(candidate, PrefixChoice.SPREAD)
            first_below = first_below or candidate
    chosen = first_below or choose_least_loaded(candidates.values(), rng)
    return None if chosen is None else Chosen(chosen, PrefixChoice.SPILLED)


@lru_cache(maxsize=4096)
def _points_of(uid: str) -> tuple[int, ...]:
    return tuple(_hash64(f"{uid}#{number}".encode()) for number in range(_VIRTUAL_NODES))


def _hash64(value: bytes) -> int:
    return int.from_bytes(blake2b(value, digest_size=8).digest())
