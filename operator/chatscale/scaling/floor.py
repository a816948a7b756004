"""The least count that holds now: `minReplicas`, or more while an announced event is near or under way. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from chatscale.api.v1alpha1 import AnnouncedEvent, AutoscalingSpec
from chatscale.scaling.tuning import DECISION_DELAY, LAST_OF_MANY


@dataclass(frozen=True, slots=True)
class Floor:
    """Never fewer replicas than this."""

    replicas: int
    because: str
    """Whose word it is, such as `minReplicas is 2`."""
    event: str | None = None
    """Name of the event that asks for it; None if minReplicas does."""


def floor_at(spec: AutoscalingSpec, cold_start_s: float, now: datetime) -> Floor:
    """Of `minReplicas` and the events that count at `now` the largest, never above maxReplicas.

    An event counts from its lead before `start` on, and no longer at `end`.
    """
    floor = Floor(spec.min_replicas, f"minReplicas is {spec.min_replicas}")
    for event in spec.events:
        if event.start - lead_of(event, cold_start_s) <= now < event.end and event.min_replicas > floor.replicas:
            floor = Floor(event.min_replicas, _told(event, now), event.name)
    most = spec.max_replicas or floor.replicas
    return floor if floor.replicas <= most else Floor(most, f"{floor.because}, maxReplicas is {most}", floor.event)


def lead_of(event: AnnouncedEvent, cold_start_s: float) -> timedelta:
    """How long before `start` its pods are asked for."""
    if event.lead_seconds is not None:
        return timedelta(seconds=event.lead_seconds)
    return timedelta(seconds=LAST_OF_MANY * cold_start_s) + DECISION_DELAY


def _told(event: AnnouncedEvent, now: datetime) -> str:
    when = f"from {event.start.isoformat()} on" if now < event.start else f"until {event.end.isoformat()}"
    return f"event {event.name} asks for {event.min_replicas} {when}"
