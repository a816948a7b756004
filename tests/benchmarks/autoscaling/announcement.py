"""The event that a team would announce for a spike: its quarter hours, and the replicas of a fixed fleet."""

import math
from functools import lru_cache
from typing import Final

from chatscale_simulator.inputs.events import Event
from chatscale_simulator.inputs.traces import HOUR_S, Traffic, load
from chatscale_simulator.policy_choice import MAX_REPLICAS
from chatscale_simulator.simulation.profiles import SERVERS, SloTarget
from chatscale_simulator.simulation.sizing import BUCKET_S, offered_rps, size

_SPIKE: Final = 2.0
"""Factor on the mean load. The load around the peak that is above it belongs to the spike."""
_STEP_H: Final = 0.25
"""Events are announced in quarter hours."""


@lru_cache(maxsize=8)
def announce(traffic: Traffic, profile: str, seed: int) -> Event:
    """The spike around the busiest five minutes of the traffic, with the estimated replicas of `static-peak`."""
    workload = load(traffic, seed)
    rates = offered_rps(workload)
    spike = rates > _SPIKE * rates.mean()
    first = last = int(rates.argmax())
    while first > 0 and spike[first - 1]:
        first -= 1
    while last + 1 < len(spike) and spike[last + 1]:
        last += 1
    return Event(
        from_h=math.floor(first * BUCKET_S / HOUR_S / _STEP_H) * _STEP_H,
        to_h=math.ceil((last + 1) * BUCKET_S / HOUR_S / _STEP_H) * _STEP_H,
        replicas=min(size(workload, SERVERS[profile], SloTarget()).peak, MAX_REPLICAS),
    )
