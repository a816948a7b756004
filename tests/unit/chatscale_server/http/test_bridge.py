"""Admission, delivery and accounting, one engine report at a time."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from chatscale_contract.openai.errors import ApiError
from chatscale_contract.server.metrics import RejectReason, SloObjective
from chatscale_server.engine.protocol import ModelInfo
from chatscale_server.engine.request import FinishReason, Output, Request, StepReport
from chatscale_server.http.bridge import MAX_UNREAD_TOKENS, STUCK_AFTER_S, Bridge
from chatscale_server.http.slo import Slo
from chatscale_server.http.ticket import Ticket, read_together
from chatscale_server.metrics import State
from tests.unit.chatscale_server.builders import a_request

INFO = ModelInfo(max_model_len=512, kv_capacity_tokens=1024, tokens_per_step=64, max_tokens_per_second=256.0,
                 vocab_size=9, end_tokens=frozenset())  # fmt: skip


class Port:
    """The worker's side, as far as the bridge knows it."""

    def __init__(self) -> None:
        self.submitted: list[str] = []
        self.cancelled: list[str] = []

    def submit(self, request: Request) -> None:
        self.submitted.append(request.id)

    def submit_search(self, search: tuple[Request, ...]) -> None:
        self.submitted.append("+".join(request.id for request in search))

    def cancel(self, request_id: str) -> None:
        self.cancelled.append(request_id)


class Desk:
    """A bridge, its port and its clock."""

    def __init__(self, *, slots: int = 2, max_queue: int = 2, **settings: Any) -> None:
        self.now_s = 0.0
        self.port = Port()
        self.bridge = Bridge(
            slots, max_queue, clock=lambda: self.now_s, wall_clock=lambda: 1000.0 + self.now_s, **settings
        )
        self.bridge._port = self.port

    def submit(self, request: Request) -> Ticket:
        """One request alone."""
        return self.bridge.submit([request])[0]

    def step(self, *, started: Iterable[str] = "", tokens: str = "", finished: str = "", **report: float) -> None:
        outputs = [Output(name, name, 1, FinishReason.STOP if name in finished else None) for name in tokens]
        self.bridge._on_step(StepReport(started=tuple(started), outputs=tuple(outputs), batch_size=1, **report))

    def work_off(self, count: int, seconds_each: float, waiting: int) -> None:
        """Finish requests one after the other while others wait."""
        for at in range(waiting):
            self.submit(a_request(f"w{at}"))
        self.submit(a_request("long"))
        self.step(started=["long"])
        for _ in range(count):
            self.now_s += seconds_each
            self.submit(a_request("a", arrived_s=self.now_s))
            self.step(started="a", tokens="a", finished="a")


async def test_the_queue_is_what_has_no_slot_yet():
    desk = Desk()
    for at, name in enumerate("abcd"):
        desk.now_s = float(at)
        desk.submit(a_request(name, arrived_s=desk.now_s))
    desk.step(started="ab", kv_usage_ratio=0.5)
    desk.now_s = 10.0
    assert desk.bridge.state(draining=False) == State(
        queue_depth=2, requests_running=2, slots=2, queue_capacity=2, oldest_waiting_s=8.0,
        kv_cache_usage_ratio=0.5, last_step_timestamp_s=1003.0,
    )  # fmt: skip
    desk.step(tokens="ab", finished="a")
    assert (desk.bridge.in_system, desk.bridge.counts.finished["stop"]) == (3, 1)


async def test_one_more_than_slots_and_queue_is_refused():
    desk = Desk(slots=1, max_queue=1)
    desk.submit(a_request("a"))
    desk.submit(a_request("b"))
    with pytest.raises(ApiError) as caught:
        desk.submit(a_request("c"))
    assert (caught.value.status, caught.value.code, caught.value.retry_after_s) == (429, "queue_full", 5)
    assert (desk.port.submitted, desk.bridge.counts.rejected[RejectReason.QUEUE_FULL]) == (["a", "b"], 1)


async def test_prompts_beyond_what_may_wait_are_refused_until_others_have_a_slot():
    desk = Desk(max_queue=100, max_waiting_prompt_tokens=100)
    desk.submit(a_request("alone", prompt=500))  # nobody waits before it: it is not too much
    with pytest.raises(ApiError, match=r"the queue is full \(500 prompt tokens waiting\)") as caught:
        desk.submit(a_request("behind", prompt=1))
    assert (caught.value.status, caught.value.code, caught.value.retry_after_s) == (429, "queue_full", 5)
    desk.step(started=["alone"])
    desk.submit(a_request("a", prompt=60))
    desk.submit(a_request("b", prompt=40))
    with pytest.raises(ApiError):
        desk.submit(a_request("c", prompt=1))
    desk.bridge._on_step(StepReport(outputs=(Output("a", "", 0, FinishReason.DEADLINE),)))
    desk.submit(a_request("d", prompt=60))
    assert desk.port.submitted == ["alone", "a", "b", "d"]
    assert desk.bridge.counts.rejected[RejectReason.QUEUE_FULL] == 2


async def test_by_default_as_much_may_wait_as_can_be_prefilled_in_time():
    desk = Desk(max_queue=100, queue_timeout_s=2.0)
    desk.bridge._on_loaded(INFO)
    desk.submit(a_request("a", prompt=512))
    with pytest.raises(ApiError, match="512 prompt tokens waiting"):
        desk.submit(a_request("b", prompt=1))


async def test_what_the_cache_spared_is_counted():
    desk = Desk()
    for _ in range(2):
        desk.step(prompt_tokens=10, prefix_queries=10, prefix_hits=4)
    counts = desk.bridge.counts
    assert (counts.prompt_tokens, counts.prefix_queries, counts.prefix_hits) == (20, 20, 8)


@pytest.mark.parametrize(
    ("seconds_per_request", "waiting", "retry_after_s"),
    [(0.1, 4, 1), (2.0, 4, 8), (60.0, 4, 30), (2.0, 0, 2)],
)
async def test_retry_after_is_the_time_the_queue_needs_to_drain(seconds_per_request, waiting, retry_after_s):
    desk = Desk(slots=1, max_queue=100)
    desk.work_off(10, seconds_per_request, waiting)
    assert desk.bridge.retry_after_s() == retry_after_s


async def test_a_quiet_hour_does_not_slow_down_the_estimate():
    desk = Desk(slots=1, max_queue=100)
    desk.submit(a_request("a"))
    desk.step(started="a", tokens="a", finished="a")
    desk.now_s += 3600
    desk.work_off(10, 0.5, 4)
    assert desk.bridge.retry_after_s() == 2


async def test_latencies_are_measured_from_arrival():
    desk = Desk()
    ticket = desk.submit(a_request("a", arrived_s=0.0))
    for now_s, report in ((3.0, {"started": "a", "tokens": "a", "duration_s": 1.0}), (3.5, {"tokens": "a"}),
                          (4.5, {"tokens": "a", "finished": "a"})):  # fmt: skip
        desk.now_s = now_s
        desk.step(**report)
    counts = desk.bridge.counts
    assert (
        counts.queue_time_s.total, counts.time_to_first_token_s.total, counts.inter_token_s.total,
        counts.request_duration_s.total, counts.generated_tokens, counts.prefill_time_s.total,
        counts.decode_time_s.total, counts.request_prompt_tokens.total, counts.request_generated_tokens.total,
    ) == (2.0, 3.0, 1.5, 4.5, 3, 1.0, 1.5, 3, 3)  # fmt: skip
    assert (ticket.take().text, ticket.finish, ticket.generated) == ("aaa", FinishReason.STOP, 3)


async def test_what_the_replica_can_do_is_known_once_it_has_loaded():
    desk = Desk()
    assert desk.bridge.state(draining=False) == State(slots=2, queue_capacity=2)
    desk.bridge._on_loaded(INFO)
    assert desk.bridge.state(draining=False) == State(
        slots=2, queue_capacity=2, max_tokens_per_step=64, max_tokens_per_second=256.0, last_step_timestamp_s=1000.0
    )


@pytest.mark.parametrize(
    ("token_times_s", "mean_s"),
    [
        pytest.param((2.0, 2.25, 3.0), 0.5, id="the-first-token-has-a-metric-of-its-own"),
        pytest.param((2.0,), 0.0, id="as-vllm-counts-a-single-token"),
    ],
)
async def test_time_per_output_token_is_one_mean_per_answered_request(token_times_s, mean_s):
    desk = Desk()
    desk.submit(a_request("a"))
    desk.submit(a_request("cut"))
    desk.step(started=["a", "cut"], tokens="")
    for at, desk.now_s in enumerate(token_times_s, start=1):
        desk.step(tokens="a", finished="a" if at == len(token_times_s) else "")
    desk.bridge._on_step(StepReport(outputs=(Output("cut", "", 0, FinishReason.CANCELLED),)))
    times = desk.bridge.counts.time_per_output_token_s
    assert (sum(times.counts), times.total) == (1, mean_s)


async def test_a_beam_search_has_no_time_between_its_tokens():
    desk = Desk()
    desk.bridge.submit([replace(a_request("a"), beams=4)])
    desk.step(started="a")
    desk.bridge._on_step(StepReport(outputs=(Output("a", "whole", 9, FinishReason.STOP),)))
    assert (desk.bridge.counts.generated_tokens, sum(desk.bridge.counts.time_per_output_token_s.counts)) == (9, 0)


def misses(desk: Desk) -> tuple[int, int]:
    missed = desk.bridge.counts.slo_misses
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
async def test_a_first_token_is_late_by_what_its_own_prompt_allows(first_s, prompt, loaded, missed):
    desk = Desk(slo=Slo(ttft_s=2.0, tpot_s=0.25))
    if loaded:
        desk.bridge._on_loaded(INFO)
    desk.submit(a_request("a", prompt=prompt))
    desk.now_s = first_s
    desk.step(started="a", tokens="a")
    assert misses(desk) == (missed, 0)
    desk.bridge._on_step(StepReport(outputs=(Output("a", "", 0, FinishReason.CANCELLED),)))
    assert misses(desk) == (missed, 0)


@pytest.mark.parametrize(
    ("token_times_s", "missed"),
    [
        pytest.param((1.0, 1.5, 1.5), 0, id="as-promised-in-the-mean"),
        pytest.param((1.0, 1.25, 1.75), 1, id="too-slow"),
        pytest.param((1.0,), 0, id="one-token-has-no-time-between"),
    ],
)
async def test_an_answer_is_slow_by_its_mean_time_per_token_after_the_first(token_times_s, missed):
    desk = Desk(slo=Slo(ttft_s=2.0, tpot_s=0.25))
    desk.submit(a_request("a"))
    desk.submit(a_request("b"))
    for at, desk.now_s in enumerate(token_times_s, start=1):
        desk.step(started="a" if at == 1 else "", tokens="a", finished="a" if at == len(token_times_s) else "")
    assert misses(desk) == (0, missed)


async def test_who_never_had_a_token_misses_no_objective():
    desk = Desk(slots=1, max_queue=1, slo=Slo(ttft_s=2.0, tpot_s=0.25))
    for name in "ab":
        desk.submit(a_request(name))
    with pytest.raises(ApiError):
        desk.submit(a_request("refused"))
    desk.now_s = 60.0
    desk.bridge._on_step(StepReport(outputs=(Output("a", "", 0, FinishReason.DEADLINE),)))
    desk.bridge._on_step(StepReport(outputs=(Output("b", "", 0, FinishReason.CANCELLED),)))
    assert misses(desk) == (0, 0)


async def test_a_beam_search_is_promised_nothing():
    desk = Desk(slo=Slo(ttft_s=2.0, tpot_s=0.25))
    desk.bridge.submit([replace(a_request("a"), beams=4)])
    desk.now_s = 60.0
    desk.step(started="a")
    desk.bridge._on_step(StepReport(outputs=(Output("a", "whole", 9, FinishReason.STOP),)))
    assert misses(desk) == (0, 0)


async def test_a_slow_upload_is_waited_for_by_the_client_and_not_by_the_queue():
    desk = Desk()
    desk.now_s = 30.0
    ticket = desk.submit(a_request("a", arrived_s=0.0))
    assert (ticket.request.queued_s, desk.bridge.state(draining=False).oldest_waiting_s) == (30.0, 0.0)
    desk.now_s = 31.0
    desk.step(started="a", tokens="a", finished="a")
    counts = desk.bridge.counts
    assert (counts.queue_time_s.total, counts.time_to_first_token_s.total) == (1.0, 31.0)


async def test_a_slot_counts_as_taken_until_the_engine_has_freed_it():
    desk = Desk()
    ticket = desk.submit(a_request("a"))
    desk.step(started="a")
    desk.bridge.abandon([ticket])
    assert (desk.port.cancelled, desk.bridge.in_system) == (["a"], 1)
    desk.bridge._on_step(StepReport(outputs=(Output("a", "", 0, FinishReason.CANCELLED),)))
    assert (desk.bridge.in_system, desk.bridge.counts.finished["cancelled"]) == (0, 1)
    assert desk.bridge.counts.client_disconnects == 1


async def test_an_answered_request_is_not_a_disconnect():
    desk = Desk()
    ticket = desk.submit(a_request("a"))
    desk.step(started="a", tokens="a", finished="a")
    desk.bridge.abandon([ticket])
    assert (desk.port.cancelled, desk.bridge.counts.client_disconnects) == ([], 0)


async def test_a_reader_that_falls_behind_is_cancelled():
    desk = Desk()
    desk.submit(a_request("a"))
    desk.step(started="a")
    for _ in range(MAX_UNREAD_TOKENS):
        desk.step(tokens="a")
    assert desk.port.cancelled == []
    desk.step(tokens="a")
    assert desk.port.cancelled == ["a"]


async def test_the_queue_deadline_is_a_503_and_counts_as_a_refusal():
    desk = Desk()
    ticket = desk.submit(a_request("a"))
    desk.bridge._on_step(StepReport(outputs=(Output("a", "", 0, FinishReason.DEADLINE),)))
    with pytest.raises(ApiError) as caught:
        ticket.take()
    assert (caught.value.status, caught.value.retry_after_s) == (503, 5)
    assert desk.bridge.counts.rejected[RejectReason.DEADLINE] == 1
    assert sum(desk.bridge.counts.finished.values()) == 0


async def test_a_failed_engine_answers_everybody_once():
    desk = Desk()
    waiting, running = desk.submit(a_request("a")), desk.submit(a_request("b"))
    desk.step(started="b", tokens="b")
    desk.bridge._on_failed(RuntimeError("boom"))
    assert running.take().text == "b"
    for ticket in (waiting, running):
        with pytest.raises(ApiError, match="the engine failed"):
            ticket.take()
    assert (desk.bridge.in_system, desk.bridge.counts.finished["error"]) == (0, 2)


async def test_stuck_means_work_pending_and_no_step_for_long():
    desk = Desk()
    desk.now_s = 1000.0
    assert not desk.bridge.stuck()
    desk.submit(a_request("a", arrived_s=1000.0))
    desk.now_s += STUCK_AFTER_S
    assert not desk.bridge.stuck()
    desk.now_s += 1
    assert desk.bridge.stuck()
    desk.step(started="a")
    assert not desk.bridge.stuck()


async def test_several_requests_are_admitted_together_or_not_at_all():
    desk = Desk(slots=1, max_queue=2)
    desk.submit(a_request("a"))
    with pytest.raises(ApiError) as caught:
        desk.bridge.submit([a_request(name) for name in "bcd"])
    assert (caught.value.status, desk.port.submitted, desk.bridge.in_system) == (429, ["a"], 1)
    assert len(desk.bridge.submit([a_request("b"), a_request("c")])) == 2
    assert desk.port.submitted == ["a", "b", "c"]


async def test_the_answers_of_a_beam_search_are_one_job_for_the_engine():
    desk = Desk()
    tickets = desk.bridge.submit([replace(a_request(name), beams=4) for name in "ab"])
    assert desk.port.submitted == ["a+b"]
    desk.step(started="ab")
    desk.step(tokens="ab", finished="ab")
    assert [ticket.take().finish for ticket in tickets] == [FinishReason.STOP] * 2
    assert desk.bridge.in_system == 0


async def test_tickets_that_share_a_bell_are_read_as_their_news_come():
    desk = Desk()
    tickets = desk.bridge.submit([a_request("a"), a_request("b")])
    heard = read_together(tickets)
    desk.step(started="ab", tokens="ab")
    assert [(await anext(heard))[0] for _ in range(2)] == [0, 1]
    desk.step(tokens="b")
    assert [(at, news.text) async for at, news in _until(heard, 1)] == [(1, "b")]
    desk.step(tokens="ab", finished="ab")
    assert [(at, news.text, news.finish) async for at, news in heard] == [
        (0, "a", FinishReason.STOP), (1, "b", FinishReason.STOP),
    ]  # fmt: skip


async def _until(heard, count):
    for _ in range(count):
        yield await anext(heard)


async def test_one_choice_that_fails_is_the_end_of_all():
    desk = Desk()
    tickets = desk.bridge.submit([a_request("a"), a_request("b")])
    desk.step(started="ab", tokens="ab")
    desk.bridge._on_step(StepReport(outputs=(Output("b", "!", 1, FinishReason.ERROR),)))
    heard = read_together(tickets)
    assert [(at, news.text) async for at, news in _until(heard, 2)] == [(0, "a"), (1, "b!")]
    with pytest.raises(ApiError):
        await anext(heard)
    desk.bridge.abandon(tickets)
    assert (desk.port.cancelled, desk.bridge.counts.client_disconnects) == (["a"], 0)
