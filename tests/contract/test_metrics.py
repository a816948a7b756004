"""The operator, prometheus-adapter and the HPA read metrics that the server exposes."""

import re

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from chatscale.desired.autoscaler import build_hpa
from chatscale.observe.dialects.chatscale_server import CHATSCALE_SERVER
from chatscale.observe.exposition import read_series
from chatscale.scaling.signals import ReplicaSample
from chatscale.scaling.totals import Totals
from chatscale_contract.server.metrics import CHATMODEL_LABEL, MODEL_NAME_LABEL, Metric, RejectReason
from chatscale_contract.server.slo import LatencyObjectives
from chatscale_server.engine.request import FinishReason, Output, StepReport
from chatscale_server.metrics import Counts, State, build_registry, render
from hack.paths import ROOT
from tests.support.builders import START, a_chatmodel
from tests.unit.chatscale_server.builders import a_request
from tests.unit.chatscale_server.http.bridge_harness import INFO, BridgeHarness


def exposition(counts: Counts | None = None, state: State | None = None) -> str:
    registry = build_registry(counts or Counts(), lambda: state or State(), model_name="m", chatmodel="tiny")
    return render(registry).decode()


def test_operator_reads_the_load_of_a_busy_server():
    counts = Counts()
    counts.rejected[RejectReason.QUEUE_FULL] = 5
    counts.rejected[RejectReason.DRAINING] = 7
    state = State(queue_depth=3, requests_running=8, slots=8, queue_capacity=64, kv_cache_usage_ratio=0.25)

    series = read_series(exposition(counts, state), CHATSCALE_SERVER.names)
    assert CHATSCALE_SERVER.to_sample(series, START) == ReplicaSample(
        taken_at=START, queue_depth=3, running=8, slots=8, kv_cache_usage_ratio=0.25, rejected_total=5.0
    )


def test_ten_prompts_with_a_shared_prefix_are_the_work_that_was_computed():
    counts = Counts(prompt_tokens=15_500, prefix_queries=15_500, prefix_hits=13_500)

    series = read_series(exposition(counts, State(max_tokens_per_second=1000.0)), CHATSCALE_SERVER.names)
    work = CHATSCALE_SERVER.to_sample(series, START).work

    assert work is not None
    assert work.prompt_tokens == 2000


async def test_abandoned_requests_are_demand_and_misses_and_do_not_change_the_mean_prompt():
    """Four prompts of 100 tokens. Two are answered, one is abandoned in the queue, one during its prefill."""
    harness = BridgeHarness(objectives=LatencyObjectives(ttft_s=2.0, tpot_s=0.1))
    harness.bridge._on_loaded(INFO)
    requests = [harness.submit(a_request(name, prompt=100)) for name in "abcd"]
    harness.step(started="ab", tokens="ab", finished="ab", prompt_tokens=200)
    harness.step(started="c")
    harness.now_s = 30.0
    harness.bridge.abandon(requests[2:3])
    harness.bridge.abandon(requests[3:])
    left = tuple(Output(name, "", 0, FinishReason.CANCELLED) for name in "cd")
    harness.bridge._on_step(StepReport(outputs=left), harness.now_s)

    text = exposition(harness.bridge.counts, harness.bridge.state(draining=False))
    totals = Totals.of(CHATSCALE_SERVER.to_sample(read_series(text, CHATSCALE_SERVER.names), START))

    assert (totals.requests, totals.misses, totals.prompt_tokens / totals.started) == (4, 2, 100)


def test_a_server_that_has_just_started_reports_every_metric_of_the_contract():
    families = list(text_string_to_metric_families(exposition()))
    exposed = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}

    assert set(Metric) - exposed == set()


def test_every_inference_series_has_its_model_and_chatmodel():
    nameless = [
        sample.name
        for family in text_string_to_metric_families(exposition())
        for sample in family.samples
        if sample.name.startswith("inference_")
        and not {MODEL_NAME_LABEL: "m", CHATMODEL_LABEL: "tiny"}.items() <= sample.labels.items()
    ]

    assert nameless == []


@pytest.mark.parametrize("metric", ["QueueDepth", "ActiveRequests", "KVCacheUtilization"])
def test_an_hpa_reads_metrics_that_servers_expose_and_the_adapter_serves(metric: str):
    chatmodel = a_chatmodel().in_mode("HPA", metrics=[{"type": metric, "target": 4}]).build()
    hpa = build_hpa(chatmodel, 1)
    assert hpa is not None
    asked = {entry["external"]["metric"]["name"] for entry in hpa["spec"]["metrics"]}
    config = yaml.safe_load((ROOT / "manifests/kind/prometheus-adapter.config.yaml").read_text())
    served = {re.split(r"[{(]", rule["seriesQuery"])[0] for rule in config["externalRules"]}

    assert asked <= set(Metric)
    assert asked <= served
