"""Opening hours."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from chatscale.api.v1alpha1.shopassistant import OpeningHours
from chatscale_assistant.desk.hours import UnknownTimeZoneError, is_open, next_opening

PARIS = ZoneInfo("Europe/Paris")


def hours(**more):
    return OpeningHours.model_validate({"timeZone": "Europe/Paris", **more})


@pytest.mark.parametrize(
    ("now", "more", "opens"),
    [
        pytest.param("2026-03-02T12:00", {}, None, id="Monday noon"),
        pytest.param("2026-03-02T08:59", {}, "2026-03-02T09:00", id="before"),
        pytest.param("2026-03-06T18:00", {}, "2026-03-09T09:00", id="Friday evening"),
        pytest.param("2026-03-03T01:00", {"open": "22:00", "close": "06:00", "days": [1]}, None, id="over midnight"),
        pytest.param(
            "2026-03-03T07:00",
            {"open": "22:00", "close": "06:00", "days": [1]},
            "2026-03-09T22:00",
            id="one day a week",
        ),
        pytest.param("2026-03-29T03:30", {"days": [7]}, "2026-03-29T09:00", id="the clock changes"),
    ],
)
def test_says_when_people_answer_again(now, more, opens):
    at = datetime.fromisoformat(now).replace(tzinfo=PARIS)

    assert next_opening(hours(**more), at) == (datetime.fromisoformat(opens).replace(tzinfo=PARIS) if opens else None)
    assert is_open(hours(**more), at) is (opens is None)


def test_without_hours_people_always_answer():
    at = datetime(2026, 3, 1, 3, tzinfo=PARIS)

    assert is_open(None, at)
    assert next_opening(None, at) is None


def test_an_unknown_zone_is_named():
    with pytest.raises(UnknownTimeZoneError, match="Mars/Crater"):
        is_open(OpeningHours.model_validate({"timeZone": "Mars/Crater"}), datetime(2026, 3, 1, tzinfo=PARIS))
