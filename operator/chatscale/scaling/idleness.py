"""How long a model has had no request, at any gateway and in any replica. Pure; it recommends nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from chatscale.scaling.load import LoadSummary
from chatscale.scaling.signals import ClientDemand, Observation, ReplicaPhase


@dataclass(frozen=True, slots=True)
class Idleness:
    """What is kept of a model between two decisions."""

    idle_s: float = 0.0
    """Seconds without a request in which every gateway and every replica could be read."""
    has_been_ready: bool = False
    """Whether a replica has been Ready since the model was last at 0 replicas."""
    read_at: datetime | None = None
    """Time of the last complete reading; None after an incomplete one."""
    requests: int | None = None
    """Requests that arrived at the gateways and may wake the model; None before the first reading."""
    refused: int | None = None
    served: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Requests that each replica has finished or refused, by name: some may not come through a gateway."""
    no_wake_placed: int = 0
    """Attempts of requests whose key has `wake: false`, as the gateways counted them."""
    no_wake_in_flight: int = 0
    """Such requests that replicas worked on."""
    no_wake_unserved: int = 0
    """Such attempts that replicas have not reported as finished yet."""
    was_refused: bool = False
    """At 0 replicas: a gateway has refused a request since then, because it holds none or no more."""
    unread_since: datetime | None = None
    """At 0 replicas: since when no gateway can be read; None while one can."""


def count_idleness(
    before: Idleness, current: int, seen: Observation, load: LoadSummary, gap: timedelta, now: datetime
) -> Idleness:
    """Add one observation. current: the present replica count.

    gap: after a longer time between two observations the time between them does not count.
    """
    clients = seen.clients
    counters = clients.counters if clients is not None else None
    requests = None if counters is None else counters.arrived - counters.no_wake_arrived
    refused = None if counters is None else counters.refused
    if current == 0:
        is_read = clients is not None and clients.gateways > 0
        return Idleness(
            refused=refused,
            was_refused=before.was_refused or _differs(before.refused, refused),
            unread_since=None if is_read else before.unread_since or now,
        )
    has_been_ready = before.has_been_ready or load.ready > 0
    served = _served(seen)
    is_complete = clients is not None and clients.is_current and load.read == load.ready
    background = _count_background(before, clients, served)
    is_busy = (
        (clients is not None and clients.waking_held + clients.waking_in_flight > 0)
        or load.active > background.most_active
        or _differs(before.requests, requests)
        or (before.requests is not None and background.has_other_requests)
    )
    idle_s = 0.0 if is_busy or not has_been_ready else before.idle_s
    if idle_s == before.idle_s and not is_busy and has_been_ready and is_complete and before.read_at is not None:
        elapsed = now - before.read_at
        idle_s += elapsed.total_seconds() if timedelta(0) < elapsed <= gap else 0.0
    return Idleness(
        idle_s=idle_s,
        has_been_ready=has_been_ready,
        read_at=now if is_complete and has_been_ready else None,
        requests=requests if requests is not None else before.requests,
        refused=refused,
        served=MappingProxyType(served),
        no_wake_placed=background.placed,
        no_wake_in_flight=background.in_flight,
        no_wake_unserved=background.unserved,
    )


@dataclass(frozen=True, slots=True)
class _Background:
    """Requests whose key has `wake: false`, since the last observation."""

    placed: int
    in_flight: int
    unserved: int
    most_active: int
    """Up to this load, the replicas may have worked on nothing else."""
    has_other_requests: bool
    """A replica has finished or refused more requests than these."""


def _count_background(before: Idleness, clients: ClientDemand | None, served: Mapping[str, float]) -> _Background:
    """Gateways and replicas are read up to a second apart, so a request counts until both have reported its end."""
    differences = [count - before.served.get(name, 0.0) for name, count in served.items()]
    if clients is None:
        placed, in_flight, held, new = before.no_wake_placed, 0, 0, 0
    else:
        placed, in_flight, held = clients.counters.no_wake_placed, clients.no_wake_in_flight, clients.no_wake_held
        new = max(0, placed - before.no_wake_placed) if before.requests is not None else 0
    unserved = before.no_wake_unserved + new - sum(differences)
    return _Background(
        placed=placed,
        in_flight=in_flight,
        # A request whose client left may be in no replica's count.
        unserved=int(max(0, min(unserved, max(before.no_wake_in_flight, in_flight) + new))),
        most_active=held + max(before.no_wake_in_flight + new, in_flight),
        has_other_requests=unserved < 0 or any(difference < 0 for difference in differences),
    )


def _differs(before: int | None, now: int | None) -> bool:
    return before is not None and now is not None and before != now


def _served(seen: Observation) -> dict[str, float]:
    return {
        replica.name: replica.sample.rejected_total + (replica.sample.work.finished if replica.sample.work else 0.0)
        for replica in seen.in_phase(ReplicaPhase.READY)
        if replica.sample is not None
    }
