"""The exposition: every promised name, both label sets, right values, present from the start."""

from prometheus_client.parser import text_string_to_metric_families

from chatscale_server.metrics import Counts, Histogram, State, build_registry, render
from chatscale_server.wire import Metric, RejectReason

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


def test_every_metric_of_the_contract_is_there_before_anything_has_happened():
    found = {name for name, _ in scrape(Counts(), State())}
    assert {metric for metric in Metric if not {metric, f"{metric}_count"} & found} == set()
    assert scrape(Counts(), State())[key(Metric.QUEUE_DEPTH, **LABELS)] == 0


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


def test_refusals_are_counted_by_reason():
    counts = Counts()
    counts.rejected[RejectReason.QUEUE_FULL] = 5
    found = scrape(counts, State())
    by_reason = {reason: found[key(Metric.REQUESTS_REJECTED_TOTAL, reason=reason, **LABELS)] for reason in RejectReason}
    assert by_reason == {reason: 5.0 if reason is RejectReason.QUEUE_FULL else 0.0 for reason in RejectReason}


def test_a_value_on_a_bucket_s_limit_belongs_to_the_bucket():
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 3.0):
        histogram.observe(value)
    assert histogram.cumulative() == [("1.0", 2.0), ("2.0", 4.0), ("+Inf", 5.0)]
    assert histogram.total == 8.0
