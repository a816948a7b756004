"""The flags of `chatscale key`."""

import argparse
from datetime import UTC, datetime, timedelta, timezone

import pytest

from chatscale_cli.__main__ import main
from chatscale_cli.keys.options import duration, expiry


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("30d", timedelta(days=30), id="days"),
        pytest.param("90m", timedelta(minutes=90), id="minutes"),
        pytest.param("1d12h", timedelta(hours=36), id="days and hours"),
        pytest.param("0s", timedelta(0), id="nothing"),
    ],
)
def test_a_duration_is_a_number_with_its_unit(text: str, expected: timedelta):
    assert duration(text) == expected
    assert expiry(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2026-12-31T23:59:59Z", datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), id="UTC"),
        pytest.param(
            "2026-12-31T23:59:59+01:00",
            datetime(2026, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=1))),
            id="offset",
        ),
    ],
)
def test_an_expiry_is_a_time_with_its_zone(text: str, expected: datetime):
    assert expiry(text) == expected


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1w", "1.5h", "999999999d", "1d1d1d1d1d"])
def test_a_bad_duration_is_named(text: str):
    with pytest.raises(argparse.ArgumentTypeError, match="found"):
        duration(text)


@pytest.mark.parametrize("text", ["tomorrow", "2026-12-31", "2026-12-31T23:59:59", "2026-13-31T23:59:59Z"])
def test_a_time_without_zone_or_of_no_calendar_is_refused(text: str):
    with pytest.raises(argparse.ArgumentTypeError, match="2026-12-31T23:59:59Z"):
        expiry(text)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        pytest.param("--requests-per-minute", "0", id="zero"),
        pytest.param("--max-concurrency", "-3", id="negative"),
        pytest.param("--input-tokens-per-minute", "1e6", id="not whole"),
        pytest.param("--output-tokens-per-minute", "1000000000001", id="too many"),
        pytest.param("--priority", "101", id="priority above"),
        pytest.param("--priority", "-101", id="priority below"),
    ],
)
def test_a_bad_flag_is_named_before_the_cluster_is_needed(flag: str, value: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["key", "create", "shop", flag, value])
    assert ended.value.code == 2
    assert f"argument {flag}: must be a whole number" in capsys.readouterr().err
