"""The least count that holds now: `minReplicas`, or more while an announced event is near or under way. Pure."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from chatscale.api.v1alpha1 import AnnouncedEvent, AutoscalingSpec
from chatscale.scaling.tuning import DECISION_DELAY, LAST_OF_MANY, LONGEST_COLD_START

_LONGEST_LEAD: Final = LAST_OF_MANY * LONGEST_COLD_START + DECISION_DELAY


@dataclass(frozen=True, slots=True)
class Floor:
    """Never fewer replicas than this."""

    replicas: int
    because: str
    """Whose word it is, such as `minReplicas is 2`."""
    event: str | None = None
    """Name of the event that asks for it; None if minReplicas does."""
    due_in: timedelta | None = None
    """Until the next time that an event begins or ends to count; None if none does."""
    events: frozenset[str] = frozenset()
    """All that count now."""


def floor_at(spec: AutoscalingSpec, cold_start_s: float, now: datetime, begun: Collection[str] = ()) -> Floor:
    """Of `minReplicas` and the events that count at `now` the largest, never above maxReplicas.

    An event counts from its lead before `start` on, and no longer at `end`. begun: those that counted a moment
    ago; their own pods may have come faster than was thought; that must not send them away again before the start.
    """
    floor = Floor(spec.min_replicas, f"minReplicas is {spec.min_replicas}")
    turns: list[timedelta] = []
    counting: list[AnnouncedEvent] = []
    for event in spec.events:
        # Differences, as a start in the year 1 has nothing before it.
        lead, left = lead_of(event, cold_start_s, begun=event.name in begun), event.end - now
        if left <= timedelta(0):
            continue
        ahead = event.start - now - lead
        turns.append(ahead if ahead > timedelta(0) else left)
        if ahead <= timedelta(0):
            counting.append(event)
    for event in counting:
        if event.min_replicas > floor.replicas:
            floor = Floor(event.min_replicas, _told(event, now), event.name)
    most = spec.max_replicas or floor.replicas
    if floor.replicas > most:
        floor = Floor(most, f"{floor.because}, maxReplicas is {most}", floor.event)
    return replace(floor, due_in=min(turns, default=None), events=frozenset(event.name for event in counting))


def lead_of(event: AnnouncedEvent, cold_start_s: float, *, begun: bool = False) -> timedelta:
    """How long before `start` its pods are asked for; for one that has begun, how long before it may go on."""
    if event.lead_seconds is not None:
        return timedelta(seconds=event.lead_seconds)
    if begun:
        return _LONGEST_LEAD
    return timedelta(seconds=LAST_OF_MANY * cold_start_s) + DECISION_DELAY


def _told(event: AnnouncedEvent, now: datetime) -> str:
    when = f"from {event.start.isoformat()} on" if now < event.start else f"until {event.end.isoformat()}"
    return f"event {event.name} asks for {event.min_replicas} {when}"
