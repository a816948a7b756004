"""Our server's metrics and exit codes: a reading is used whole or not at all."""

import pytest

from chatscale.errors import MetricsUnavailableError
from chatscale.observe.dialects import chatscale_server
from chatscale.observe.dialects.chatscale_server import CHATSCALE_SERVER
from chatscale.observe.exposition import read_series
from chatscale.scaling.signals import ReplicaSample, WorkCounters
from chatscale_contract.server.exit_codes import ExitCode
from chatscale_contract.server.metrics import Metric
from tests.support.builders import an_exposition, at


def sample_of(text: str, seconds: float = 0) -> ReplicaSample:
    return CHATSCALE_SERVER.to_sample(read_series(text, CHATSCALE_SERVER.names), at(seconds))


def test_reads_what_scaling_needs_and_skips_the_rest():
    text = an_exposition(queue=3, running=8, slots=8, kv=0.5, rejected=2)
    assert sample_of(text, 5) == ReplicaSample(
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
    assert sample_of(an_exposition() + WORK.lstrip()).work == WorkCounters(
        max_tokens_per_second=8400, prompt_tokens=9000, generated_tokens=700, finished=10, slo_misses=4
    )


@pytest.mark.parametrize(
    ("hits", "computed"),
    [
        pytest.param("inference_prefix_cache_hits_total 8500\n", 500, id="cached-tokens-are-no-work"),
        pytest.param("", 9000, id="a-server-without-the-counter-found-none"),
        pytest.param("inference_prefix_cache_hits_total 9001\n", 0, id="never-negative"),
    ],
)
def test_work_counts_the_prompt_tokens_that_were_computed(hits: str, computed: float):
    work = sample_of(an_exposition() + WORK.lstrip() + hits).work
    assert work == WorkCounters(
        max_tokens_per_second=8400, prompt_tokens=computed, generated_tokens=700, finished=10, slo_misses=4
    )


STEPS = """
inference_max_tokens_per_step 512
inference_decode_step_seconds{batch_size="1"} 0.01
inference_decode_step_seconds{batch_size="4"} 0.015
inference_decode_step_seconds{batch_size="8"} 0.02
"""


def test_reads_the_decode_step_with_all_slots_in_use():
    work = sample_of(an_exposition(slots=8) + WORK.lstrip() + STEPS.lstrip()).work
    assert work is not None
    assert (work.max_tokens_per_step, work.decode_step_s) == (512, 0.02)


def test_a_decode_step_of_fewer_sequences_than_slots_is_not_used():
    work = sample_of(an_exposition(slots=16) + WORK.lstrip() + STEPS.lstrip()).work
    assert work is not None
    assert work.decode_step_s is None


@pytest.mark.parametrize("name", [metric.value for metric in chatscale_server.WORK])
def test_work_with_a_counter_missing_is_unknown(name: str):
    rest = "".join(line for line in WORK.lstrip().splitlines(keepends=True) if not line.startswith(name))
    assert sample_of(an_exposition() + rest).work is None


def test_work_is_unknown_until_the_replica_has_measured_its_capacity():
    assert sample_of(an_exposition() + WORK.lstrip().replace(" 8400", " 0")).work is None


def test_only_rejections_for_lack_of_capacity_count():
    name = Metric.REQUESTS_REJECTED_TOTAL.value
    reasons = ("deadline", "abandoned", "cancelled", "too_long", "draining", "loading")
    lines = [f'{name}{{reason="{reason}"}} 5' for reason in reasons]
    assert sample_of(an_exposition(rejected=2) + "\n".join(lines) + "\n").rejected_total == 12.0


def test_no_series_of_rejections_means_no_rejections():
    text = "\n".join(line for line in an_exposition().splitlines() if "rejected" not in line) + "\n"
    assert sample_of(text).rejected_total == 0.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "no inference_queue_depth, inference_requests_running", id="empty"),
        pytest.param("<html>502 Bad Gateway</html>", "no inference_queue_depth", id="a proxy's error page"),
        pytest.param(an_exposition(queue=float("nan")), "inference_queue_depth is nan", id="not a number"),
        pytest.param(an_exposition(queue=-1), "inference_queue_depth is -1.0, expected a number from 0", id="negative"),
        pytest.param(an_exposition(running=float("inf")), "inference_requests_running is inf", id="infinite"),
        pytest.param(an_exposition(slots=1e12), "inference_slots is 1000000000000.0, expected at most", id="too large"),
        pytest.param(an_exposition().replace("inference_slots", "other_slots"), "no inference_slots", id="one missing"),
    ],
)
def test_an_incomplete_reading_is_unknown_load_and_not_zero(text: str, message: str):
    with pytest.raises(MetricsUnavailableError, match=message):
        sample_of(text)


def test_every_exit_code_of_the_contract_has_a_meaning():
    assert set(CHATSCALE_SERVER.exit_meanings) == set(ExitCode)
    assert all(CHATSCALE_SERVER.exit_meanings[code].name == code.name for code in ExitCode)
