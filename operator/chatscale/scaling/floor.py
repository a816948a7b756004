"""The lower bound of the count: `minReplicas`, or more while an announced event is near or active. Pure."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from chatscale.api.v1alpha1 import AnnouncedEvent, AutoscalingSpec
from chatscale.scaling.tuning import DECISION_DELAY, MAX_COLD_START, SLOWEST_POD_FACTOR

_LONGEST_LEAD: Final = SLOWEST_POD_FACTOR * MAX_COLD_START + DECISION_DELAY


@dataclass(frozen=True, slots=True)
class Floor:
    """The lower bound at one time."""

    replicas: int
    because: str
    """Which setting gives the bound, such as `minReplicas is 2`."""
    event: str | None = None
    """Name of the event that gives the bound; None if minReplicas does."""
    due_in: timedelta | None = None
    """Until the next event becomes active or ends; None if there is none."""
    events: frozenset[str] = frozenset()
    """Names of all active events."""


def floor_at(spec: AutoscalingSpec, until_ready_s: float, now: datetime, active: Collection[str] = ()) -> Floor:
    """The largest of `minReplicas` and the active events, never above maxReplicas.

    An event is active from its lead time before `start` until `end`. until_ready_s: seconds from the creation of a pod
    until it is Ready, see `ColdStarts`. active: names of the events that were active in the previous decision. They
    stay active even if their own pods start faster, which would move the beginning of their lead time into the future.
    """
    floor = Floor(spec.min_replicas, f"minReplicas is {spec.min_replicas}")
    changes: list[timedelta] = []
    events: list[AnnouncedEvent] = []
    for event in spec.events:
        # Differences of times, because `start` minus the lead time may lie before the year 1.
        lead, left = lead_of(event, until_ready_s, is_active=event.name in active), event.end - now
        if left <= timedelta(0):
            continue
        ahead = event.start - now - lead
        changes.append(ahead if ahead > timedelta(0) else left)
        if ahead <= timedelta(0):
            events.append(event)
    for event in events:
        if event.min_replicas > floor.replicas:
            floor = Floor(event.min_replicas, _explain(event, now), event.name)
    most = spec.max_replicas or floor.replicas
    if floor.replicas > most:
        floor = Floor(most, f"{floor.because}, maxReplicas is {most}", floor.event)
    return replace(floor, due_in=min(changes, default=None), events=frozenset(event.name for event in events))


def lead_of(event: AnnouncedEvent, until_ready_s: float, *, is_active: bool = False) -> timedelta:
    """How long before `start` the event becomes active; for an active event, the longest possible lead time.

    E.g. a scheduling time of 60 s and a cold start of 40 s: 2 x 100 s + 25 s = 225 s.
    """
    if event.lead_seconds is not None:
        return timedelta(seconds=event.lead_seconds)
    if is_active:
        return _LONGEST_LEAD
    return timedelta(seconds=SLOWEST_POD_FACTOR * until_ready_s) + DECISION_DELAY


def _explain(event: AnnouncedEvent, now: datetime) -> str:
    when = f"from {event.start.isoformat()}" if now < event.start else f"until {event.end.isoformat()}"
    return f"minReplicas of event {event.name} is {event.min_replicas} {when}"
