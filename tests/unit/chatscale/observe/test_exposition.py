"""A replica's /metrics: read whole, or not at all."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale.errors import MetricsUnavailableError
from chatscale.observe.exposition import parse_exposition
from chatscale.scaling.signals import ReplicaSample
from chatscale_server.wire import Metric
from tests.support.builders import an_exposition, at


def test_reads_what_the_policy_needs_and_skips_the_rest():
    text = an_exposition(queue=3, running=8, slots=8, kv=0.5, rejected=2)
    assert parse_exposition(text, at(5)) == ReplicaSample(
        taken_at=at(5), queue_depth=3, running=8, slots=8, kv_cache_usage_ratio=0.5, rejected_total=2.0
    )


def test_only_refusals_for_want_of_room_count():
    name = Metric.REQUESTS_REJECTED_TOTAL.value
    lines = [f'{name}{{reason="{reason}"}} 5' for reason in ("deadline", "too_long", "draining", "loading")]
    assert parse_exposition(an_exposition(rejected=2) + "\n".join(lines) + "\n", at(0)).rejected_total == 7.0


def test_a_replica_that_has_refused_nothing_yet_has_no_such_series():
    text = "\n".join(line for line in an_exposition().splitlines() if "rejected" not in line) + "\n"
    assert parse_exposition(text, at(0)).rejected_total == 0.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "no inference_queue_depth, inference_requests_running", id="empty"),
        pytest.param("<html>502 Bad Gateway</html>", "not a Prometheus exposition", id="a proxy's page"),
        pytest.param(an_exposition(queue=float("nan")), "inference_queue_depth is nan", id="not a number"),
        pytest.param(an_exposition(queue=-1), "inference_queue_depth is -1, expected a number from 0", id="negative"),
        pytest.param(an_exposition(running=float("inf")), "inference_requests_running is inf", id="infinite"),
        pytest.param(an_exposition(slots=1e12), "inference_slots is 1000000000000.0, expected at most", id="absurd"),
        pytest.param(an_exposition().replace("inference_slots", "other_slots"), "no inference_slots", id="one missing"),
    ],
)
def test_what_is_not_whole_is_unknown_and_not_zero(text: str, message: str):
    with pytest.raises(MetricsUnavailableError, match=message):
        parse_exposition(text, at(0))


@given(st.text())
def test_no_text_brings_the_operator_down(text: str):
    with suppress(MetricsUnavailableError):
        parse_exposition(text, at(0))
