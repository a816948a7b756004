"""When people answer, from `guardrails.handOver.openingHours`. Pure."""

from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chatscale.api.v1alpha1.shopassistant import OpeningHours

_DAYS_AHEAD: Final = 8


class UnknownTimeZoneError(Exception):
    """The zone is not in the time zone database; the message names it."""


def zone_of(hours: OpeningHours) -> ZoneInfo:
    """Raises UnknownTimeZoneError."""
    try:
        return ZoneInfo(hours.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownTimeZoneError(
            f"spec.guardrails.handOver.openingHours.timeZone must be an IANA time zone, found {hours.time_zone!r}"
        ) from error


def is_open(hours: OpeningHours | None, now: datetime) -> bool:
    """Whether people answer at `now`. Without hours they always do."""
    return hours is None or any(start <= now < end for start, end in _periods(hours, now))


def next_opening(hours: OpeningHours | None, now: datetime) -> datetime | None:
    """When people answer again, in the shop's time zone; None if they answer now.

    E.g. Monday to Friday 09:00 to 18:00, Friday 19:00 -> Monday 09:00.
    """
    if hours is None or is_open(hours, now):
        return None
    return min(start for start, _ in _periods(hours, now) if start > now)


def _periods(hours: OpeningHours, now: datetime) -> list[tuple[datetime, datetime]]:
    """The periods from the day before `now` to a week after it. A close at or before open is on the next day."""
    zone = zone_of(hours)
    opens, closes = time.fromisoformat(hours.open), time.fromisoformat(hours.close)
    first = now.astimezone(zone).date() - timedelta(days=1)
    days = [first + timedelta(days=offset) for offset in range(_DAYS_AHEAD + 1)]
    return [
        (_at(day, opens, zone), _at(day if closes > opens else day + timedelta(days=1), closes, zone))
        for day in days
        if day.isoweekday() in hours.days
    ]


def _at(day: date, when: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, when, tzinfo=zone)
