"""When people answer. Pure: the time is an argument."""

from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chatscale.api.v1alpha1.shopassistant import OpeningHours


def is_open(hours: OpeningHours, now: datetime) -> bool:
    """Whether people answer at `now` (timezone-aware). An end before the start is after midnight."""
    local = now.astimezone(zone_of(hours))
    return any(start <= local < end for start, end in _periods(hours, local))


def next_opening(hours: OpeningHours, now: datetime) -> datetime:
    """When people answer next, in the shop's time zone; `now` itself while they do."""
    local = now.astimezone(zone_of(hours))
    if is_open(hours, now):
        return local
    return min(start for start, _ in _periods(hours, local) if start > local)


def zone_of(hours: OpeningHours) -> tzinfo:
    """The time zone; UTC for an unknown name, which `zone_problem` reports."""
    return _known_zone(hours.time_zone) or UTC


def zone_problem(hours: OpeningHours) -> str:
    """Why the time zone cannot be used; empty if it can."""
    if _known_zone(hours.time_zone) is not None:
        return ""
    return f"timeZone: expected an IANA time zone such as Europe/Paris, found {hours.time_zone!r}; UTC is used"


def _known_zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of the database, such as Europe
        return None


def _periods(hours: OpeningHours, local: datetime) -> list[tuple[datetime, datetime]]:
    opens, closes = (time.fromisoformat(text) for text in (hours.open, hours.close))
    found = []
    for offset in range(-1, 8):
        day = (local + timedelta(days=offset)).date()
        if day.isoweekday() in hours.days:
            start = datetime.combine(day, opens, local.tzinfo)
            end = datetime.combine(day, closes, local.tzinfo)
            found.append((start, end if closes > opens else end + timedelta(days=1)))
    return found
