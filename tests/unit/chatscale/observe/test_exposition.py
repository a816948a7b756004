"""A replica's /metrics: read whole, or not at all."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale.errors import MetricsUnavailableError
from chatscale.observe import exposition
from chatscale.observe.exposition import parse_exposition
from chatscale.scaling.signals import ReplicaSample, WorkCounters
from chatscale_contract.server.metrics import Metric
from tests.support.builders import an_exposition, at


def test_reads_what_the_policy_needs_and_skips_the_rest():
    text = an_exposition(queue=3, running=8, slots=8, kv=0.5, rejected=2)
    assert parse_exposition(text, at(5)) == ReplicaSample(
        taken_at=at(5), queue_depth=3, running=8, slots=8, kv_cache_usage_ratio=0.5, rejected_total=2.0
    )


WORK = """
inference_max_tokens_per_second 8400
inference_prompt_tokens_total 9000
inference_generated_tokens_total 700
inference_requests_total{finish_reason="stop"} 8
inference_requests_total{finish_reason="length"} 2
inference_slo_misses_total{objective="ttft"} 3
inference_slo_misses_total{objective="tpot"} 1
"""


def test_reads_the_work_of_a_replica_that_counts_it():
    assert parse_exposition(an_exposition() + WORK.lstrip(), at(5)).work == WorkCounters(
        max_tokens_per_second=8400, prompt_tokens=9000, generated_tokens=700, finished=10, slo_misses=4
    )


@pytest.mark.parametrize("name", [metric.value for metric in exposition.WORK])
def test_work_that_is_told_by_half_is_not_known(name: str):
    rest = "".join(line for line in WORK.lstrip().splitlines(keepends=True) if not line.startswith(name))
    assert parse_exposition(an_exposition() + rest, at(5)).work is None


def test_a_replica_that_does_not_know_its_speed_yet_tells_no_work():
    text = an_exposition() + WORK.lstrip().replace(" 8400", " 0")
    assert parse_exposition(text, at(5)).work is None


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
        pytest.param(an_exposition(queue=-1), "inference_queue_depth is -1.0, expected a number from 0", id="negative"),
        pytest.param(an_exposition(running=float("inf")), "inference_requests_running is inf", id="infinite"),
        pytest.param(an_exposition(slots=1e12), "inference_slots is 1000000000000.0, expected at most", id="absurd"),
        pytest.param(an_exposition().replace("inference_slots", "other_slots"), "no inference_slots", id="one missing"),
        pytest.param(f"inference_slots {'9' * 400}\n", "not a Prometheus exposition", id="beyond what a float holds"),
        pytest.param('x{a="' + '\\"' * 1100 + '"} 1\n', "a line has more than 2048 characters", id="a hostile line"),
    ],
)
def test_what_is_not_whole_is_unknown_and_not_zero(text: str, message: str):
    with pytest.raises(MetricsUnavailableError, match=message):
        parse_exposition(text, at(0))


@given(st.text())
def test_no_text_brings_the_operator_down(text: str):
    with suppress(MetricsUnavailableError):
        parse_exposition(text, at(0))
