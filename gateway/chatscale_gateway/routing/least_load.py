"""LeastLoad: the replica with the fewest requests for its slots."""

from collections.abc import Iterable
from typing import TypeVar

from chatscale_gateway.routing.candidates import Candidate, Rng

C = TypeVar("C", bound=Candidate)


def choose_least_loaded(candidates: Iterable[C], rng: Rng) -> C | None:
    """The replica with the lowest load per slot among those with a free place; None if no place is free.

    Ties are broken by the power of two choices: of two random replicas the one with more free places. Without the
    random choice all gateways would send their next request to the same replica.
    """
    ties: list[C] = []
    lowest = float("inf")
    for candidate in candidates:
        if candidate.free <= 0:
            continue
        load_per_slot = candidate.load / candidate.slots
        if load_per_slot < lowest:
            lowest = load_per_slot
            ties = [candidate]
        elif load_per_slot == lowest:
            ties.append(candidate)
    match len(ties):
        case 0:
            return None
        case 1:
            return ties[0]
        case count:
            first = rng.randrange(count)
            second = (first + 1 + rng.randrange(count - 1)) % count
            return max(ties[first], ties[second], key=lambda each: each.free)
