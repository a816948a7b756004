"""Requests of an encoder share batches within the token budget; none is lost, and none waits for a long list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale_server.engine import encoder_scheduler
from chatscale_server.engine.encoder_loop import EncoderLoop
from chatscale_server.engine.encoder_scheduler import EncoderScheduler, Row
from chatscale_server.engine.request import FinishReason, Output, Request, StepReport


def a_list(name: str, *lengths: int, queued_s: float = 95.0) -> Request:
    """A request whose inputs have these lengths. Every token is the number of its input."""
    prompt = tuple(at for at, length in enumerate(lengths) for _ in range(length))
    return Request(id=name, prompt=prompt, max_tokens=0, input_lengths=lengths, queued_s=queued_s)


def names(rows: tuple[Row, ...]) -> list[tuple[str, int]]:
    return [(row.job.request.id, row.at) for row in rows]


class FakeEncoder:
    """The vector of an input is its tokens. Inputs of `broken` lengths fail."""

    def __init__(self, *broken: int) -> None:
        self.broken = set(broken)
        self.batches: list[list[int]] = []

    def embed(self, inputs):
        self.batches.append([len(tokens) for tokens in inputs])
        if self.broken & {len(tokens) for tokens in inputs}:
            raise RuntimeError("no")
        return [bytes(tokens) for tokens in inputs]


def a_loop(engine: FakeEncoder, *, slots: int = 8, tokens: int = 100) -> tuple[EncoderLoop, list[StepReport]]:
    reports: list[StepReport] = []
    scheduler = EncoderScheduler(slots, tokens, queue_timeout_s=10)
    return EncoderLoop(engine, scheduler, reports.append, clock=lambda: 100.0), reports


def outputs(reports: list[StepReport]) -> list[Output]:
    return [output for report in reports for output in report.outputs]


def test_a_short_query_joins_the_next_batch_beside_a_long_list():
    scheduler = EncoderScheduler(4, tokens_per_step=30, queue_timeout_s=10)
    scheduler.submit(a_list("long", *[10] * 100))
    assert names(scheduler.plan().rows) == [("long", 0), ("long", 1), ("long", 2)]
    scheduler.submit(a_list("short", 10))
    assert ("short", 0) in names(scheduler.plan().rows)


def test_requests_take_turns_across_steps():
    scheduler = EncoderScheduler(4, tokens_per_step=10, queue_timeout_s=10)
    for name in "abc":
        scheduler.submit(a_list(name, 10, 10))
    found = [names(scheduler.plan().rows)[0] for _ in range(6)]
    assert found == [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("b", 1), ("c", 1)]


def test_requests_beyond_the_slots_wait_in_order():
    scheduler = EncoderScheduler(1, tokens_per_step=100, queue_timeout_s=10)
    scheduler.submit(a_list("a", 1))
    scheduler.submit(a_list("b", 1))
    assert [request.id for request in scheduler.plan().started] == ["a"]
    assert scheduler.remove("a")
    assert [request.id for request in scheduler.plan().started] == ["b"]


def test_the_token_ids_of_running_requests_are_bounded(monkeypatch):
    monkeypatch.setattr(encoder_scheduler, "MAX_RUNNING_TOKENS", 50)
    scheduler = EncoderScheduler(8, tokens_per_step=10, queue_timeout_s=10)
    for name in "abc":
        scheduler.submit(a_list(name, 10, 10, 10))
    assert [request.id for request in scheduler.plan().started] == ["a"]


def test_an_input_longer_than_the_budget_is_a_batch_of_its_own():
    scheduler = EncoderScheduler(4, tokens_per_step=10, queue_timeout_s=10)
    scheduler.submit(a_list("a", 3, 50, 3))
    assert [names(scheduler.plan().rows) for _ in range(3)] == [[("a", 0)], [("a", 1)], [("a", 2)]]


lists = st.lists(st.lists(st.integers(1, 20), min_size=1, max_size=9), max_size=9)


@given(lists, st.integers(1, 4), st.integers(1, 40))
def test_every_input_is_computed_once_and_the_budget_is_kept(requests, slots, budget):
    engine = FakeEncoder()
    loop, reports = a_loop(engine, slots=slots, tokens=budget)
    commands = [a_list(str(at), *lengths) for at, lengths in enumerate(requests)]
    while loop.run_step(commands):
        commands = []
    assert {output.request_id: output.vectors for output in outputs(reports)} == {
        str(at): tuple(bytes([number] * length) for number, length in enumerate(lengths))
        for at, lengths in enumerate(requests)
    }
    assert all(sum(batch) <= budget or len(batch) == 1 for batch in engine.batches)
    assert sum(report.prompt_tokens for report in reports) == sum(map(sum, requests))


def test_an_input_that_fails_ends_its_own_request_only():
    engine = FakeEncoder(7)
    loop, reports = a_loop(engine)
    loop.run_step(
        [a_list("good", 2, 3, queued_s=100), a_list("bad", 2, 7, queued_s=100), a_list("also", 4, queued_s=100)]
    )
    finished = {output.request_id: output.finish for output in outputs(reports)}
    assert finished == {"good": FinishReason.STOP, "bad": FinishReason.FAILED, "also": FinishReason.STOP}
    assert engine.batches[-1] == [1]  # the probe
    assert not loop.run_step([])


def test_an_engine_that_cannot_compute_one_token_ends_with_its_error():
    loop, _reports = a_loop(FakeEncoder(1, 2))
    with pytest.raises(RuntimeError, match="no"):
        loop.run_step([a_list("a", 2)])


def test_cancelled_and_expired_requests_end_before_the_next_batch():
    loop, reports = a_loop(FakeEncoder(), slots=1, tokens=10)
    loop.run_step(
        [a_list("runs", 10, 10, queued_s=95), a_list("waits", 10, queued_s=95), a_list("late", 10, queued_s=1)]
    )
    loop.run_step(["runs", "unknown"])
    found = {output.request_id: output.finish for output in outputs(reports)}
    # `late` is behind `waits`, which has waited for less time, so it expires with the queue.
    assert found["runs"] is FinishReason.CANCELLED
    assert found["waits"] is FinishReason.STOP
