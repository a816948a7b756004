"""The requests that gateways count: arrivals and SLO misses as the clients see them. Pure.

Gateways hold requests that no replica has seen, so their arrivals replace the arrivals at the replicas. Requests that
do not come through a gateway (by the Service, or through a gateway that cannot be read) still count: those that the
replicas got beyond what the gateways sent.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from chatscale.scaling.signals import ClientCounters, ClientDemand

_SETTLING_S: Final = 60.0
"""Time constant in which an excess that came and went is forgotten. Replicas and gateways are read up to a second
apart, and counts of a replica that ended are lost."""


@dataclass(frozen=True, slots=True)
class CountedClients:
    """The last counted reading of the gateways."""

    taken_at: datetime
    counters: ClientCounters
    excess: float = 0.0
    """Requests that the replicas got, minus those that gateways sent them, since the first reading."""
    highest_excess: float = 0.0
    """Up to this excess, the requests have been counted."""


@dataclass(frozen=True, slots=True)
class ClientGrowth:
    """What came between two readings."""

    seconds: float
    requests: float
    """Arrivals at the gateways, and requests that did not come through one."""
    misses: float | None
    """SLO misses, refused requests included; without those of a wake from zero. None: no request came through a
    gateway, so the replicas' own count is the only one."""


def count_clients(
    before: CountedClients | None, clients: ClientDemand | None, at_replicas: float
) -> tuple[CountedClients | None, ClientGrowth | None]:
    """Add one reading. at_replicas: growth of the requests that the replicas counted.

    No growth without two readings: then the replicas' own counts apply.
    """
    if clients is None or clients.gateways == 0:
        return None, None
    now = clients.counters
    if before is None or clients.taken_at <= before.taken_at:
        return before or CountedClients(clients.taken_at, now), None
    then, seconds = before.counters, (clients.taken_at - before.taken_at).total_seconds()
    refused = now.refused - then.refused
    arrived = now.arrived - then.arrived
    excess = before.excess + at_replicas - (now.sent - then.sent)
    beside = max(excess - before.highest_excess, 0.0)
    fallen = (before.highest_excess + beside - excess) * math.exp(-seconds / _SETTLING_S)
    through_gateway = arrived > 0 or now.sent > then.sent
    growth = ClientGrowth(
        seconds=seconds,
        requests=arrived + beside,
        misses=now.slo_misses - then.slo_misses + refused if through_gateway else None,
    )
    return CountedClients(clients.taken_at, now, excess, excess + fallen), growth


def skip_clients(clients: ClientDemand | None) -> CountedClients | None:
    """The reading from which to count again: misses while no replica was ready must not raise the reserve."""
    if clients is None or clients.gateways == 0:
        return None
    return CountedClients(clients.taken_at, clients.counters)
