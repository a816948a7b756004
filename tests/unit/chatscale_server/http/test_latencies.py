"""Latencies, and the objectives that a request misses, are measured from its arrival."""

from dataclasses import replace

import pytest

from chatscale_contract.openai.errors import ApiError
from chatscale_contract.server.metrics import RejectReason, SloObjective
from chatscale_contract.server.slo import LatencyObjectives
from chatscale_server.engine.request import FinishReason, Output, StepReport
from tests.unit.chatscale_server.builders import a_request
from tests.unit.chatscale_server.http.bridge_harness import INFO, BridgeHarness


async def test_latencies_are_measured_from_arrival():
    harness = BridgeHarness()
    request = harness.submit(a_request("a", arrived_s=0.0))
    for now_s, report in ((3.0, {"started": "a", "tokens": "a", "duration_s": 1.0}), (3.5, {"tokens": "a"}),
                          (4.5, {"tokens": "a", "finished": "a"})):  # fmt: skip
        harness.now_s = now_s
        harness.step(**report)
    counts = harness.bridge.counts
    assert (
        counts.queue_time_s.total, counts.time_to_first_token_s.total, counts.inter_token_s.total,
        counts.request_duration_s.total, counts.generated_tokens, counts.prefill_time_s.total,
        counts.decode_time_s.total, counts.request_prompt_tokens.total, counts.request_generated_tokens.total,
    ) == (2.0, 3.0, 1.5, 4.5, 3, 1.0, 1.5, 3, 3)  # fmt: skip
    assert (request.take_delta().text, request.finish, request.generated) == ("aaa", FinishReason.STOP, 3)


@pytest.mark.parametrize(
    ("token_times_s", "mean_s"),
    [
        pytest.param((2.0, 2.25, 3.0), 0.5, id="the-first-token-has-a-metric-of-its-own"),
        pytest.param((2.0,), 0.0, id="as-vllm-counts-a-single-token"),
    ],
)
async def test_time_per_output_token_is_one_mean_per_answered_request(token_times_s, mean_s):
    harness = BridgeHarness()
    harness.submit(a_request("a"))
    harness.submit(a_request("cut"))
    harness.step(started=["a", "cut"], tokens="")
    for at, harness.now_s in enumerate(token_times_s, start=1):
        harness.step(tokens="a", finished="a" if at == len(token_times_s) else "")
    harness.bridge._on_step(StepReport(outputs=(Output("cut", "", 0, FinishReason.CANCELLED),)), harness.now_s)
    times = harness.bridge.counts.time_per_output_token_s
    assert (sum(times.counts), times.total) == (1, mean_s)


async def test_a_beam_search_has_no_time_between_its_tokens():
    harness = BridgeHarness()
    harness.bridge.submit([replace(a_request("a"), beams=4)])
    harness.step(started="a")
    harness.bridge._on_step(StepReport(outputs=(Output("a", "whole", 9, FinishReason.STOP),)), harness.now_s)
    assert (harness.bridge.counts.generated_tokens, sum(harness.bridge.counts.time_per_output_token_s.counts)) == (9, 0)


def misses(harness: BridgeHarness) -> tuple[int, int]:
    missed = harness.bridge.counts.slo_misses
    return missed[SloObjective.TTFT], missed[SloObjective.TPOT]


@pytest.mark.parametrize(
    ("first_s", "prompt", "loaded", "missed"),
    [
        pytest.param(2.0, 3, True, 0, id="in-time"),
        pytest.param(2.5, 3, True, 1, id="late"),
        pytest.param(6.0, 512, True, 0, id="three-times-its-prefill"),
        pytest.param(6.5, 512, True, 1, id="later-than-its-prompt-allows"),
        pytest.param(6.0, 512, False, 1, id="speed-unknown"),
    ],
)
async def test_the_limit_of_the_first_token_depends_on_the_prompt(first_s, prompt, loaded, missed):
    harness = BridgeHarness(objectives=LatencyObjectives(ttft_s=2.0, tpot_s=0.25))
    if loaded:
        harness.bridge._on_loaded(INFO)
    harness.submit(a_request("a", prompt=prompt))
    harness.now_s = first_s
    harness.step(started="a", tokens="a")
    assert misses(harness) == (missed, 0)
    harness.bridge._on_step(StepReport(outputs=(Output("a", "", 0, FinishReason.CANCELLED),)), harness.now_s)
    assert misses(harness) == (missed, 0)


@pytest.mark.parametrize(
    ("token_times_s", "missed"),
    [
        pytest.param((1.0, 1.5, 1.5), 0, id="as-promised-in-the-mean"),
        pytest.param((1.0, 1.25, 1.75), 1, id="too-slow"),
        pytest.param((1.0,), 0, id="one-token-has-no-time-between"),
    ],
)
async def test_tpot_is_the_mean_time_per_token_after_the_first(token_times_s, missed):
    harness = BridgeHarness(objectives=LatencyObjectives(ttft_s=2.0, tpot_s=0.25))
    harness.submit(a_request("a"))
    harness.submit(a_request("b"))
    for at, harness.now_s in enumerate(token_times_s, start=1):
        harness.step(started="a" if at == 1 else "", tokens="a", finished="a" if at == len(token_times_s) else "")
    assert misses(harness) == (0, missed)


async def test_a_request_without_a_token_misses_no_objective():
    harness = BridgeHarness(slots=1, max_queue=1, objectives=LatencyObjectives(ttft_s=2.0, tpot_s=0.25))
    for name in "ab":
        harness.submit(a_request(name))
    with pytest.raises(ApiError):
        harness.submit(a_request("refused"))
    harness.now_s = 60.0
    harness.bridge._on_step(StepReport(outputs=(Output("a", "", 0, FinishReason.DEADLINE),)), harness.now_s)
    harness.bridge._on_step(StepReport(outputs=(Output("b", "", 0, FinishReason.CANCELLED),)), harness.now_s)
    assert misses(harness) == (0, 0)


@pytest.mark.parametrize(
    ("left_s", "reason"),
    [
        pytest.param(2.0, RejectReason.CANCELLED, id="within-the-limit"),
        pytest.param(2.5, RejectReason.ABANDONED, id="after-the-limit"),
    ],
)
@pytest.mark.parametrize("started", ["", "a"], ids=["waiting", "in-a-slot"])
async def test_a_client_that_leaves_before_its_first_token_is_judged_by_the_time_it_left(left_s, reason, started):
    harness = BridgeHarness(objectives=LatencyObjectives(ttft_s=2.0, tpot_s=0.25))
    request = harness.submit(a_request("a"))
    harness.step(started=started)
    harness.now_s = left_s
    harness.bridge.abandon([request])
    harness.now_s = 60.0
    harness.bridge._on_step(StepReport(outputs=(Output("a", "", 0, FinishReason.CANCELLED),)), harness.now_s)
    counts = harness.bridge.counts
    assert {name: count for name, count in counts.rejected.items() if count} == {reason: 1}
    assert (sum(counts.finished.values()), counts.aborted, misses(harness)) == (0, 1, (0, 0))


@pytest.mark.parametrize(("left_s", "missed"), [(2.0, 0), (2.5, 1)])
async def test_a_token_that_comes_after_its_client_left_changes_no_judgement(left_s, missed):
    harness = BridgeHarness(objectives=LatencyObjectives(ttft_s=2.0, tpot_s=0.25))
    request = harness.submit(a_request("a"))
    harness.step(started="a")
    harness.now_s = left_s
    harness.bridge.abandon([request])
    for harness.now_s in (60.0, 90.0):
        harness.step(tokens="a", finished="a" if harness.now_s == 90.0 else "")
    assert misses(harness) == (missed, 0)
    assert sum(harness.bridge.counts.rejected.values()) == 0


async def test_a_client_that_leaves_during_its_answer_misses_nothing_more():
    harness = BridgeHarness(objectives=LatencyObjectives(ttft_s=2.0, tpot_s=0.25))
    request = harness.submit(a_request("a"))
    harness.step(started="a", tokens="a")
    harness.bridge.abandon([request])
    harness.now_s = 60.0
    harness.bridge._on_step(StepReport(outputs=(Output("a", "", 0, FinishReason.CANCELLED),)), harness.now_s)
    assert (misses(harness), harness.bridge.counts.finished["cancelled"]) == ((0, 0), 1)


async def test_latency_objectives_do_not_apply_to_beam_searches():
    harness = BridgeHarness(objectives=LatencyObjectives(ttft_s=2.0, tpot_s=0.25))
    harness.bridge.submit([replace(a_request("a"), beams=4)])
    harness.now_s = 60.0
    harness.step(started="a")
    harness.bridge._on_step(StepReport(outputs=(Output("a", "whole", 9, FinishReason.STOP),)), harness.now_s)
    assert misses(harness) == (0, 0)
