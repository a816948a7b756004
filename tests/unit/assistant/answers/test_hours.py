"""Opening hours with a time zone that does not exist count in UTC and say so."""

from datetime import UTC, datetime

import pytest

from chatscale.api.v1alpha1.shopassistant import OpeningHours
from chatscale_assistant.answers.hours import is_open, next_opening, zone_problem

SATURDAY = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize("name", ["Europe/Pariss", "Europe", "UTC+3", "../../etc/passwd", "/etc", "zone.tab"])
def test_a_bad_time_zone_is_reported_and_breaks_no_answer(name):
    hours = OpeningHours.model_validate({"timeZone": name})

    assert not is_open(hours, SATURDAY)
    assert next_opening(hours, SATURDAY) == datetime(2026, 11, 30, 9, tzinfo=UTC)
    assert zone_problem(hours) == (
        f"timeZone: expected an IANA time zone such as Europe/Paris, found {name!r}; UTC is used"
    )


def test_a_good_time_zone_counts_and_has_no_problem():
    hours = OpeningHours.model_validate({"timeZone": "Asia/Shanghai"})

    assert next_opening(hours, SATURDAY).isoformat() == "2026-11-30T09:00:00+08:00"
    assert zone_problem(hours) == ""
