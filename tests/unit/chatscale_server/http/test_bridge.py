"""Admission, delivery and accounting, one engine report at a time."""

from dataclasses import replace

import pytest

from chatscale_contract.openai.errors import ApiError
from chatscale_contract.server.metrics import RejectReason
from chatscale_server.engine.request import FinishReason, Output, StepReport
from chatscale_server.http.bridge import MAX_UNREAD_TOKENS, STUCK_AFTER_S
from chatscale_server.http.in_flight import read_deltas
from chatscale_server.metrics import State
from tests.unit.chatscale_server.builders import a_request
from tests.unit.chatscale_server.http.bridge_harness import INFO, BridgeHarness


async def test_the_queue_holds_requests_without_a_slot():
    harness = BridgeHarness()
    for at, name in enumerate("abcd"):
        harness.now_s = float(at)
        harness.submit(a_request(name, arrived_s=harness.now_s))
    harness.step(started="ab", kv_usage_ratio=0.5)
    harness.now_s = 10.0
    assert harness.bridge.state(draining=False) == State(
        queue_depth=2, requests_running=2, slots=2, queue_capacity=2, oldest_waiting_s=8.0,
        kv_cache_usage_ratio=0.5, last_step_timestamp_s=1003.0,
    )  # fmt: skip
    harness.step(tokens="ab", finished="a")
    assert (harness.bridge.in_flight, harness.bridge.counts.finished["stop"]) == (3, 1)


async def test_one_request_more_than_slots_and_queue_is_rejected():
    harness = BridgeHarness(slots=1, max_queue=1)
    harness.submit(a_request("a"))
    harness.submit(a_request("b"))
    with pytest.raises(ApiError) as caught:
        harness.submit(a_request("c"))
    assert (caught.value.status, caught.value.code, caught.value.retry_after_s) == (429, "queue_full", 5)
    assert (harness.port.submitted, harness.bridge.counts.rejected[RejectReason.QUEUE_FULL]) == (["a", "b"], 1)


async def test_prompts_beyond_the_waiting_limit_are_rejected_until_others_get_a_slot():
    harness = BridgeHarness(max_queue=100, max_waiting_prompt_tokens=100)
    harness.submit(a_request("alone", prompt=500))  # nobody waits before it: it is not too much
    with pytest.raises(ApiError, match=r"the queue is full \(500 prompt tokens waiting\)") as caught:
        harness.submit(a_request("behind", prompt=1))
    assert (caught.value.status, caught.value.code, caught.value.retry_after_s) == (429, "queue_full", 5)
    harness.step(started=["alone"])
    harness.submit(a_request("a", prompt=60))
    harness.submit(a_request("b", prompt=40))
    with pytest.raises(ApiError):
        harness.submit(a_request("c", prompt=1))
    harness.bridge._on_step(StepReport(outputs=(Output("a", "", 0, FinishReason.DEADLINE),)), harness.now_s)
    harness.submit(a_request("d", prompt=60))
    assert harness.port.submitted == ["alone", "a", "b", "d"]
    assert harness.bridge.counts.rejected[RejectReason.QUEUE_FULL] == 2


async def test_by_default_as_much_may_wait_as_can_be_prefilled_in_time():
    harness = BridgeHarness(max_queue=100, queue_timeout_s=2.0)
    harness.bridge._on_loaded(INFO)
    harness.submit(a_request("a", prompt=512))
    with pytest.raises(ApiError, match="512 prompt tokens waiting"):
        harness.submit(a_request("b", prompt=1))


async def test_prompt_tokens_found_in_the_cache_are_counted():
    harness = BridgeHarness()
    for _ in range(2):
        harness.step(prompt_tokens=10, prefix_queries=10, prefix_hits=4)
    counts = harness.bridge.counts
    assert (counts.prompt_tokens, counts.prefix_queries, counts.prefix_hits) == (20, 20, 8)


@pytest.mark.parametrize(
    ("seconds_per_request", "waiting", "retry_after_s"),
    [(0.1, 4, 1), (2.0, 4, 8), (60.0, 4, 30), (2.0, 0, 2)],
)
async def test_retry_after_is_the_time_the_queue_needs_to_drain(seconds_per_request, waiting, retry_after_s):
    harness = BridgeHarness(slots=1, max_queue=100)
    harness.work_off(10, seconds_per_request, waiting)
    assert harness.bridge.retry_after_s() == retry_after_s


async def test_idle_time_does_not_change_the_estimate():
    harness = BridgeHarness(slots=1, max_queue=100)
    harness.submit(a_request("a"))
    harness.step(started="a", tokens="a", finished="a")
    harness.now_s += 3600
    harness.work_off(10, 0.5, 4)
    assert harness.bridge.retry_after_s() == 2


async def test_what_the_replica_can_do_is_known_once_it_has_loaded():
    harness = BridgeHarness()
    assert harness.bridge.state(draining=False) == State(slots=2, queue_capacity=2)
    harness.bridge._on_loaded(INFO)
    assert harness.bridge.state(draining=False) == State(
        slots=2, queue_capacity=2, max_tokens_per_step=64, max_tokens_per_second=256.0, last_step_timestamp_s=1000.0
    )


async def test_a_slow_upload_does_not_count_as_time_in_the_queue():
    harness = BridgeHarness()
    harness.now_s = 30.0
    request = harness.submit(a_request("a", arrived_s=0.0))
    assert (request.engine_request.queued_s, harness.bridge.state(draining=False).oldest_waiting_s) == (30.0, 0.0)
    harness.now_s = 31.0
    harness.step(started="a", tokens="a", finished="a")
    counts = harness.bridge.counts
    assert (counts.queue_time_s.total, counts.time_to_first_token_s.total) == (1.0, 31.0)


async def test_a_slot_counts_as_occupied_until_the_engine_reports_it_free():
    harness = BridgeHarness()
    request = harness.submit(a_request("a"))
    harness.step(started="a", tokens="a")
    harness.bridge.abandon([request])
    assert (harness.port.cancelled, harness.bridge.in_flight) == (["a"], 1)
    harness.bridge._on_step(StepReport(outputs=(Output("a", "", 0, FinishReason.CANCELLED),)), harness.now_s)
    assert (harness.bridge.in_flight, harness.bridge.counts.finished["cancelled"]) == (0, 1)
    assert harness.bridge.counts.client_disconnects == 1


async def test_an_answered_request_is_not_a_disconnect():
    harness = BridgeHarness()
    request = harness.submit(a_request("a"))
    harness.step(started="a", tokens="a", finished="a")
    harness.bridge.abandon([request])
    assert (harness.port.cancelled, harness.bridge.counts.client_disconnects) == ([], 0)


async def test_a_reader_that_falls_behind_is_cancelled():
    harness = BridgeHarness()
    harness.submit(a_request("a"))
    harness.step(started="a")
    for _ in range(MAX_UNREAD_TOKENS):
        harness.step(tokens="a")
    assert harness.port.cancelled == []
    harness.step(tokens="a")
    assert harness.port.cancelled == ["a"]


async def test_the_queue_deadline_is_a_503_and_counts_as_a_refusal():
    harness = BridgeHarness()
    request = harness.submit(a_request("a"))
    harness.bridge._on_step(StepReport(outputs=(Output("a", "", 0, FinishReason.DEADLINE),)), harness.now_s)
    with pytest.raises(ApiError) as caught:
        request.take_delta()
    assert (caught.value.status, caught.value.retry_after_s) == (503, 5)
    assert harness.bridge.counts.rejected[RejectReason.DEADLINE] == 1
    assert sum(harness.bridge.counts.finished.values()) == 0


async def test_a_failed_engine_ends_every_request_once():
    harness = BridgeHarness()
    waiting, running = harness.submit(a_request("a")), harness.submit(a_request("b"))
    harness.step(started="b", tokens="b")
    harness.bridge._on_failed(RuntimeError("boom"))
    assert running.take_delta().text == "b"
    for request in (waiting, running):
        with pytest.raises(ApiError, match="the engine failed"):
            request.take_delta()
    assert (harness.bridge.in_flight, harness.bridge.counts.finished["error"]) == (0, 2)


async def test_stuck_means_pending_work_and_no_step_for_a_long_time():
    harness = BridgeHarness()
    harness.now_s = 1000.0
    assert not harness.bridge.stuck()
    harness.submit(a_request("a", arrived_s=1000.0))
    harness.now_s += STUCK_AFTER_S
    assert not harness.bridge.stuck()
    harness.now_s += 1
    assert harness.bridge.stuck()
    harness.step(started="a")
    assert not harness.bridge.stuck()


async def test_several_requests_are_admitted_together_or_not_at_all():
    harness = BridgeHarness(slots=3, max_queue=0)
    harness.submit(a_request("a"))
    with pytest.raises(ApiError) as caught:
        harness.bridge.submit([a_request(name) for name in "bcd"])
    assert (caught.value.status, harness.port.submitted, harness.bridge.in_flight) == (429, ["a"], 1)
    assert len(harness.bridge.submit([a_request("b"), a_request("c")])) == 2
    assert harness.port.submitted == ["a", "b", "c"]


async def test_choices_beyond_the_slots_are_held_until_others_of_their_response_finish():
    harness = BridgeHarness(slots=2, max_queue=0)
    in_flight = harness.bridge.submit([a_request(name) for name in "abcd"])
    assert (harness.port.submitted, harness.bridge.in_flight) == (["a", "b"], 2)
    assert harness.bridge.state(draining=False).queue_depth == 4
    harness.step(started="ab")
    assert harness.bridge.state(draining=False).queue_depth == 2
    harness.now_s = 7.0
    harness.step(tokens="ab", finished="b")
    assert harness.port.submitted == ["a", "b", "c"]
    assert (in_flight[2].engine_request.arrived_s, in_flight[2].engine_request.queued_s) == (7.0, 7.0)
    harness.bridge.abandon(in_flight)
    assert (harness.port.cancelled, in_flight[3].finish) == (["a", "c"], FinishReason.CANCELLED)
    assert harness.bridge.counts.rejected[RejectReason.ABANDONED] == 1
    assert harness.bridge.counts.client_disconnects == 1
    ended = tuple(Output(name, "", 0, FinishReason.CANCELLED) for name in "ac")
    harness.bridge._on_step(StepReport(outputs=ended), harness.now_s)
    assert (harness.port.submitted, harness.bridge.in_flight) == (["a", "b", "c"], 0)


async def test_the_choices_of_a_beam_search_are_one_command_for_the_engine():
    harness = BridgeHarness()
    in_flight = harness.bridge.submit([replace(a_request(name), beams=4) for name in "ab"])
    assert harness.port.submitted == ["a+b"]
    harness.step(started="ab")
    harness.step(tokens="ab", finished="ab")
    assert [request.take_delta().finish for request in in_flight] == [FinishReason.STOP] * 2
    assert harness.bridge.in_flight == 0


async def test_requests_of_one_response_are_read_as_their_output_arrives():
    harness = BridgeHarness()
    in_flight = harness.bridge.submit([a_request("a"), a_request("b")])
    deltas = read_deltas(in_flight)
    harness.step(started="ab", tokens="ab")
    assert [(await anext(deltas))[0] for _ in range(2)] == [0, 1]
    harness.step(tokens="b")
    assert [(at, delta.text) async for at, delta in _until(deltas, 1)] == [(1, "b")]
    harness.step(tokens="ab", finished="ab")
    assert [(at, delta.text, delta.finish) async for at, delta in deltas] == [
        (0, "a", FinishReason.STOP), (1, "b", FinishReason.STOP),
    ]  # fmt: skip


async def _until(deltas, count):
    for _ in range(count):
        yield await anext(deltas)


async def test_one_failed_choice_ends_the_whole_response():
    harness = BridgeHarness()
    in_flight = harness.bridge.submit([a_request("a"), a_request("b")])
    harness.step(started="ab", tokens="ab")
    harness.bridge._on_step(StepReport(outputs=(Output("b", "!", 1, FinishReason.ERROR),)), harness.now_s)
    deltas = read_deltas(in_flight)
    assert [(at, delta.text) async for at, delta in _until(deltas, 2)] == [(0, "a"), (1, "b!")]
    with pytest.raises(ApiError):
        await anext(deltas)
    harness.bridge.abandon(in_flight)
    assert (harness.port.cancelled, harness.bridge.counts.client_disconnects) == (["a"], 0)
