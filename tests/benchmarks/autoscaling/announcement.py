"""What a team would announce of a spike: its quarter hours, and the replicas that a fixed fleet would have."""

import math
from functools import lru_cache
from typing import Final

from chatscale_simulator.inputs.events import Event
from chatscale_simulator.inputs.traces import HOUR_S, Traffic, load
from chatscale_simulator.policy_choice import MAX_REPLICAS
from chatscale_simulator.simulation.profiles import SERVERS, SloTarget
from chatscale_simulator.simulation.sizing import BUCKET_S, offered_rps, size

_CROWD: Final = 2.0
"""Times the mean load: what is above it around the peak belongs to the spike."""
_STEP_H: Final = 0.25
"""People announce in quarter hours."""


@lru_cache(maxsize=8)
def announce(traffic: Traffic, profile: str, seed: int) -> Event:
    """The spike around the busiest five minutes of what is played, sized as `static-peak` is: on paper."""
    workload = load(traffic, seed)
    rates = offered_rps(workload)
    crowd = rates > _CROWD * rates.mean()
    first = last = int(rates.argmax())
    while first > 0 and crowd[first - 1]:
        first -= 1
    while last + 1 < len(crowd) and crowd[last + 1]:
        last += 1
    return Event(
        from_h=math.floor(first * BUCKET_S / HOUR_S / _STEP_H) * _STEP_H,
        to_h=math.ceil((last + 1) * BUCKET_S / HOUR_S / _STEP_H) * _STEP_H,
        replicas=min(size(workload, SERVERS[profile], SloTarget()).peak, MAX_REPLICAS),
    )
