"""The text exposition of an untrusted pod: wanted lines only, within limits."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale.errors import MetricsUnavailableError
from chatscale.observe import exposition
from chatscale.observe.dialects.dialect import Series
from chatscale.observe.exposition import read_series

NAMES = ("slots", "requests_total")


def test_reads_wanted_series_with_their_labels():
    text = '# TYPE slots gauge\nslots 8\nrequests_total{reason="stop",note="a\\"b"} 2 1700000000\n'
    assert read_series(text, NAMES) == [
        Series("slots", {}, 8.0),
        Series("requests_total", {"reason": "stop", "note": 'a"b'}, 2.0),
    ]


def test_skips_other_series_even_if_their_names_begin_alike():
    assert read_series("slots_free 1\nother 2\nslots 8\n", NAMES) == [Series("slots", {}, 8.0)]


def test_lines_of_other_metrics_are_never_parsed():
    assert read_series('other{a="' + '\\"' * 500_000 + '"} 1\n<html>\nslots 8\n', NAMES) == [Series("slots", {}, 8.0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("slots eight\n", "not a Prometheus exposition", id="not a number"),
        pytest.param(f"slots {'9' * 400}\n", "not a Prometheus exposition", id="larger than a float"),
        pytest.param('slots{a="1} 8\n', "not a Prometheus exposition", id="an open quote"),
    ],
)
def test_a_broken_line_of_a_wanted_metric_is_an_error(text: str, message: str):
    with pytest.raises(MetricsUnavailableError, match=message):
        read_series(text, NAMES)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('slots{a="' + '\\"' * exposition.LONGEST_LINE + '"} 1\n', id="one long line"),
        pytest.param("slots 8\n" * exposition.MOST_CHARACTERS, id="many lines"),
    ],
)
def test_text_beyond_the_limits_is_an_error(text: str):
    with pytest.raises(MetricsUnavailableError, match="expected lines of at most 2048 characters and 65536"):
        read_series(text, NAMES)


@given(st.text(), st.sampled_from(["", "slots", "slots{", 'slots{a="', "requests_total "]))
def test_no_text_raises_anything_else(text: str, start: str):
    with suppress(MetricsUnavailableError):
        read_series(start + text, NAMES)
