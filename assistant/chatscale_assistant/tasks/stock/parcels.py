"""Late parcels: the promised day against now and the carrier's events."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

SILENT_AFTER: Final = timedelta(days=3)
"""Without an event for this long a parcel needs a look, also before its promised day. A guess: carriers scan daily."""


class ParcelState(StrEnum):
    """Where a parcel stands against the promised time."""

    DELIVERED = "delivered"
    DELIVERED_LATE = "delivered_late"
    ON_TIME = "on_time"
    AT_RISK = "at_risk"
    LATE = "late"


class ParcelCause(StrEnum):
    """What the state is based on."""

    DELIVERY = "delivery"
    PROMISE_PASSED = "promise_passed"
    EXCEPTION = "exception"
    SILENCE = "silence"
    NOT_SHIPPED = "not_shipped"
    NONE = "none"


class EventKind(StrEnum):
    """Kind of a carrier's event."""

    SHIPPED = "shipped"
    IN_TRANSIT = "in_transit"
    OUT_FOR_DELIVERY = "out_for_delivery"
    EXCEPTION = "exception"
    DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class Progress:
    """State of one parcel."""

    state: ParcelState
    cause: ParcelCause
    late_hours: float
    """Hours after the promised time, so far or at the delivery; 0 if not late."""
    event: int | None
    """Position of the event that the state is based on."""


def judge_parcel(promised: datetime, events: Sequence[tuple[datetime, EventKind]], now: datetime) -> Progress:
    """All times with zone. Events may come in any order; events after `now` do not count."""
    past = sorted((at, position, kind) for position, (at, kind) in enumerate(events) if at <= now)
    delivered = next(((at, position) for at, position, kind in past if kind is EventKind.DELIVERED), None)
    if delivered is not None:
        at, position = delivered
        late = at > promised
        state = ParcelState.DELIVERED_LATE if late else ParcelState.DELIVERED
        return Progress(state, ParcelCause.DELIVERY, _hours(at - promised) if late else 0.0, position)
    last = past[-1] if past else None
    cause, event = ParcelCause.NOT_SHIPPED, None
    if last is not None:
        at, event, kind = last
        if kind is EventKind.EXCEPTION:
            cause = ParcelCause.EXCEPTION
        else:
            cause = ParcelCause.SILENCE if now - at >= SILENT_AFTER else ParcelCause.NONE
    if now > promised:
        passed = ParcelCause.PROMISE_PASSED if cause is ParcelCause.NONE else cause
        return Progress(ParcelState.LATE, passed, _hours(now - promised), event)
    not_shipped_soon = cause is ParcelCause.NOT_SHIPPED and promised - now <= timedelta(days=1)
    if cause in (ParcelCause.EXCEPTION, ParcelCause.SILENCE) or not_shipped_soon:
        return Progress(ParcelState.AT_RISK, cause, 0.0, event)
    return Progress(ParcelState.ON_TIME, ParcelCause.NONE, 0.0, event)


def _hours(span: timedelta) -> float:
    return round(span / timedelta(hours=1), 1)
