"""The exposition: every promised name, both label sets, right values, present from the start."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from chatscale_contract.server.metrics import Metric, RejectReason, SloObjective
from chatscale_server.metrics import Counts, Histogram, State, build_registry, render

LABELS = {"model_name": "m", "chatmodel": "c"}
VLLM = {"model_name": "m", "engine": "0"}


def scrape(counts: Counts, state: State) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = render(build_registry(counts, lambda: state, model_name="m", chatmodel="c")).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


def test_every_metric_of_the_contract_but_the_decode_times_is_there_before_anything_has_happened():
    found = {name for name, _ in scrape(Counts(), State())}
    missing = {metric for metric in Metric if not {metric, f"{metric}_count"} & found}
    assert missing == {Metric.DECODE_STEP_SECONDS}
    assert scrape(Counts(), State())[key(Metric.QUEUE_DEPTH, **LABELS)] == 0


def test_decode_step_times_have_one_series_for_each_batch_size():
    found = scrape(Counts(), State(decode_step_s={1: 0.02, 4: 0.03}))
    by_size = {size: found[key(Metric.DECODE_STEP_SECONDS, batch_size=size, **LABELS)] for size in ("1", "4")}
    assert by_size == {"1": 0.02, "4": 0.03}


def test_twins_carry_the_same_values_under_vllm_s_names():
    counts = Counts(prompt_tokens=7, prefix_queries=6, prefix_hits=5, generated_tokens=9)
    counts.finished["cancelled"] = 2
    counts.time_to_first_token_s.observe(0.3)
    found = scrape(counts, State(queue_depth=3, requests_running=2, kv_cache_usage_ratio=0.25))
    for own, twin, value in (
        (Metric.QUEUE_DEPTH, "vllm:num_requests_waiting", 3),
        (Metric.REQUESTS_RUNNING, "vllm:num_requests_running", 2),
        (Metric.KV_CACHE_USAGE_RATIO, "vllm:kv_cache_usage_perc", 0.25),
        (Metric.PROMPT_TOKENS_TOTAL, "vllm:prompt_tokens_total", 7),
        (Metric.PREFIX_CACHE_QUERIES_TOTAL, "vllm:prefix_cache_queries_total", 6),
        (Metric.PREFIX_CACHE_HITS_TOTAL, "vllm:prefix_cache_hits_total", 5),
        (Metric.GENERATED_TOKENS_TOTAL, "vllm:generation_tokens_total", 9),
        (f"{Metric.TIME_TO_FIRST_TOKEN_SECONDS}_sum", "vllm:time_to_first_token_seconds_sum", 0.3),
        (f"{Metric.REQUEST_DURATION_SECONDS}_count", "vllm:e2e_request_latency_seconds_count", 0),
    ):
        assert (found[key(own, **LABELS)], found[key(twin, **VLLM)]) == (value, value)
    assert found[key("vllm:request_success_total", finished_reason="abort", **VLLM)] == 2


VLLM_TTFT_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0,
               40.0, 80.0, 160.0, 640.0, 2560.0)  # fmt: skip
VLLM_LATENCY_S = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0,
                  480.0, 960.0, 1920.0, 7680.0)  # fmt: skip
VLLM_ITL_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0,
              80.0)  # fmt: skip


def bounds_of(name: str) -> tuple[float, ...]:
    """Upper limits of a histogram's buckets, the infinite one left out."""
    found = scrape(Counts(), State())
    limits = sorted(float(dict(labels)["le"]) for sample, labels in found if sample == f"{name}_bucket")
    return tuple(limits[:-1])


@pytest.mark.parametrize(
    ("twin", "bounds_s"),
    [
        ("vllm:time_to_first_token_seconds", VLLM_TTFT_S),
        ("vllm:inter_token_latency_seconds", VLLM_ITL_S),
        ("vllm:request_time_per_output_token_seconds", VLLM_ITL_S),
        ("vllm:request_queue_time_seconds", VLLM_LATENCY_S),
        ("vllm:request_prefill_time_seconds", VLLM_LATENCY_S),
        ("vllm:request_decode_time_seconds", VLLM_LATENCY_S),
        ("vllm:e2e_request_latency_seconds", VLLM_LATENCY_S),
    ],
)
def test_twins_have_vllm_s_buckets(twin, bounds_s):
    assert bounds_of(twin) == bounds_s


@pytest.mark.parametrize(
    ("metric", "promises_s"),
    [
        (Metric.TIME_TO_FIRST_TOKEN_SECONDS, {0.5, 1.0, 2.0, 3.0}),
        (Metric.TIME_PER_OUTPUT_TOKEN_SECONDS, {0.05, 0.1}),
    ],
)
def test_typical_latency_objectives_are_bucket_bounds(metric, promises_s):
    assert promises_s - set(bounds_of(metric)) == set()


def test_a_twin_with_fewer_buckets_counts_the_same_values():
    counts = Counts()
    for value in (0.3, 1.5, 2.0, 2.2, 3.0, 9999.0):
        counts.time_to_first_token_s.observe(value)
    found = scrape(counts, State())
    own = {le: found[key(f"{Metric.TIME_TO_FIRST_TOKEN_SECONDS}_bucket", le=le, **LABELS)] for le in ("2.0", "3.0")}
    twin = {le: found[key("vllm:time_to_first_token_seconds_bucket", le=le, **VLLM)] for le in ("1.0", "2.5", "+Inf")}
    assert (own, twin) == ({"2.0": 3.0, "3.0": 5.0}, {"1.0": 1.0, "2.5": 4.0, "+Inf": 6.0})


def test_refusals_are_counted_by_reason():
    counts = Counts()
    counts.rejected[RejectReason.QUEUE_FULL] = 5
    found = scrape(counts, State())
    by_reason = {reason: found[key(Metric.REQUESTS_REJECTED_TOTAL, reason=reason, **LABELS)] for reason in RejectReason}
    assert by_reason == {reason: 5.0 if reason is RejectReason.QUEUE_FULL else 0.0 for reason in RejectReason}


def test_missed_objectives_are_there_from_the_start_and_counted_apart():
    counts = Counts()
    before = scrape(counts, State())
    counts.slo_misses[SloObjective.TPOT] = 2
    after = scrape(counts, State())
    series = [key(Metric.SLO_MISSES_TOTAL, objective=objective, **LABELS) for objective in ("ttft", "tpot")]
    assert ([before[one] for one in series], [after[one] for one in series]) == ([0.0, 0.0], [0.0, 2.0])


def test_a_value_equal_to_a_bucket_s_bound_belongs_to_the_bucket():
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 3.0):
        histogram.observe(value)
    assert histogram.cumulative() == [("1.0", 2.0), ("2.0", 4.0), ("+Inf", 5.0)]
    assert histogram.total == 8.0
