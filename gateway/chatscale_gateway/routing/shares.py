"""How many requests each gateway may send to one replica.

Over all gateways a replica gets at most `place_cap(slots)` requests. Each gateway computes the shares of all from the
same numbers: the demand for the model in every gateway, as last reported. There are three exceptions:

- With more gateways than places, each gateway keeps one place. A held request that never gets a place is worse than a
  few requests that wait in the replica.
- Reports are up to one reading interval old, so gateways can disagree about the shares for that long.
- A share that becomes smaller ends no request. Until the surplus requests end, the other gateways leave as many places
  free, but each keeps one.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

SLOTS_BEFORE_FIRST_READING: Final = 4
"""Assumed for a ready replica whose load has not been read yet. A guess: few enough that no herd of held requests
waits in a new replica, and replaced by the first reading, which takes about a second."""
SLOTS_WITHOUT_REPORT: Final = 256
"""Assumed for a replica that answers but does not report slots: vLLM's default of `--max-num-seqs`."""


def place_cap(slots: int) -> int:
    """Maximum requests on a replica over all gateways: ceil(1.1 * slots)."""
    return -(-11 * slots // 10)


def background_cap(slots: int) -> int:
    """Maximum load of a replica that gets a request of a priority below 0: nine tenths of its slots, at least 1.

    The rest is kept for other requests, which then need not wait until one of these ends. It also keeps them out of the
    replica's own queue, which has no priorities.
    """
    return max(1, slots - -(-slots // 10))


def divide_places(cap: int, pod_uid: str, demands: Mapping[str, int]) -> dict[str, int]:
    """The share of every gateway in the `cap` places of one pod.

    demands: held + in-flight requests for the model by gateway.
    One place each, so that an idle gateway can send its first request at once. The rest is divided in proportion to
    the demand, by the largest remainder. Equal remainders are ordered by a hash of pod and gateway: the extra places of
    several pods then go to different gateways. The sum is max(cap, number of gateways).
    """
    shares = dict.fromkeys(demands, 1)
    rest = cap - len(demands)
    if rest <= 0:
        return shares
    total = sum(demands.values())
    weights = demands if total else dict.fromkeys(demands, 1)
    total = total or len(demands)
    for gateway, weight in weights.items():
        shares[gateway] += rest * weight // total
    left = cap - sum(shares.values())
    by_remainder = sorted(
        weights, key=lambda gateway: (-(rest * weights[gateway] % total), _tie_order(pod_uid, gateway), gateway)
    )
    for gateway in by_remainder[:left]:
        shares[gateway] += 1
    return shares


def place_limit(own: str, pod_uid: str, slots: int, demands: Mapping[str, int], in_flight: Mapping[str, int]) -> int:
    """Maximum requests that gateway `own` may have on one pod, at least 1.

    demands: see `divide_places`; includes `own`.  in_flight: requests on this pod by other gateways.
    """
    shares = divide_places(place_cap(slots), pod_uid, demands)
    surplus = sum(max(0, count - shares.get(gateway, 0)) for gateway, count in in_flight.items() if gateway != own)
    return max(1, shares[own] - surplus)


def background_limit(own: str, pod_uid: str, slots: int, demands: Mapping[str, int]) -> int:
    """Maximum requests of gateway `own` on one pod while it sends it a request of a priority below 0, at least 1.

    The load of a pod lacks what other gateways have sent since its last reading: without shares all of them would use
    the same free slots. demands: see `divide_places`; includes `own`.
    """
    return divide_places(background_cap(slots), pod_uid, demands)[own]


def _tie_order(pod_uid: str, gateway: str) -> bytes:
    return blake2b(f"{pod_uid}\0{gateway}".encode(), digest_size=8).digest()
