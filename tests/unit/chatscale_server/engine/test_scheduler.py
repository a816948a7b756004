"""The scheduler keeps its budget, loses and starves nobody, and never stalls a running stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale_server.engine.scheduler import MIN_PREFILL_TOKENS, Scheduler
from chatscale_server.engine.sequence import StepPlan
from tests.unit.chatscale_server.builders import a_request, a_scheduler


def advance(scheduler: Scheduler, plan: StepPlan) -> list[str]:
    """What the worker does after a step: one token each, and out at the limit. Gives who finished."""
    finished = []
    for sequence in (*plan.decodes, *(chunk.sequence for chunk in plan.chunks if chunk.last)):
        sequence.append(0)
        if sequence.generated == sequence.request.max_tokens:
            scheduler.remove(sequence.request.id)
            finished.append(sequence.request.id)
    return finished


requests = st.lists(st.tuples(st.integers(1, 120), st.integers(1, 12)), min_size=1, max_size=25)


@given(
    requests=requests, slots=st.integers(1, 6), capacity=st.integers(132, 600), budget=st.integers(1, 80),
    burst=st.integers(1, 8),
)  # fmt: skip
def test_every_request_finishes_in_order_of_start_and_the_budget_is_never_exceeded(
    requests, slots, capacity, budget, burst
):
    scheduler = a_scheduler(slots=slots, capacity=capacity, tokens_per_step=budget, burst_factor=burst)
    for at, (prompt, max_tokens) in enumerate(requests):
        scheduler.submit(a_request(str(at), prompt=prompt, max_tokens=max_tokens))
    started: list[str] = []
    finished: list[str] = []
    for _ in range(sum(prompt + max_tokens for prompt, max_tokens in requests) + 1):
        plan = scheduler.plan()
        running = scheduler.running
        assert len({sequence.slot for sequence in running}) == len(running) <= slots
        assert sum(sequence.request.reserved_tokens for sequence in running) == scheduler.memory.reserved_tokens
        assert scheduler.memory.reserved_tokens <= capacity
        prefilled = sum(chunk.end - chunk.start for chunk in plan.chunks)
        assert prefilled <= max(MIN_PREFILL_TOKENS, burst * budget - len(plan.decodes))
        if len(running) - len(plan.decodes) < 4 * (len(plan.decodes) or 0.5):
            assert prefilled <= max(MIN_PREFILL_TOKENS, 3 * budget - len(plan.decodes))
        if len(running) < 3 * len(plan.decodes):
            assert prefilled <= max(MIN_PREFILL_TOKENS, budget - len(plan.decodes))
        started += [sequence.request.id for sequence in plan.started]
        finished += advance(scheduler, plan)
        if not scheduler.running and not scheduler.waiting:
            break
    assert started == [str(at) for at in range(len(requests))]
    assert sorted(finished, key=int) == started
    assert scheduler.memory.reserved_tokens == 0


@given(requests=requests, gone=st.sets(st.integers(0, 24)), after=st.integers(0, 5))
def test_removed_requests_leave_nothing_behind(requests, gone, after):
    scheduler = a_scheduler(slots=3, capacity=2000)
    for at, (prompt, max_tokens) in enumerate(requests):
        scheduler.submit(a_request(str(at), prompt=prompt, max_tokens=max_tokens))
    finished: set[str] = set()
    for _ in range(after):
        finished |= set(advance(scheduler, scheduler.plan()))
    for at in gone:
        known = at < len(requests) and str(at) not in finished
        assert scheduler.remove(str(at)) is known
    left = {*(r.id for r in scheduler.waiting), *(s.request.id for s in scheduler.running)}
    assert left == {str(at) for at in range(len(requests)) if at not in gone} - finished


def test_running_streams_decode_in_every_step_beside_a_long_prompt():
    scheduler = a_scheduler(slots=2, tokens_per_step=32)
    scheduler.submit(a_request("stream", prompt=4, max_tokens=50))
    advance(scheduler, scheduler.plan())
    scheduler.submit(a_request("long", prompt=100, max_tokens=5))
    sizes = []
    for _ in range(4):
        plan = scheduler.plan()
        assert [sequence.request.id for sequence in plan.decodes] == ["stream"]
        sizes += [(chunk.start, chunk.end, chunk.last) for chunk in plan.chunks]
        advance(scheduler, plan)
    assert sizes == [(0, 31, False), (31, 62, False), (62, 93, False), (93, 100, True)]


@pytest.mark.parametrize(
    ("streams", "prompts", "read"),
    [
        pytest.param(1, 7, 7 * 30, id="a crowd beside one stream is read in one step"),
        pytest.param(2, 6, 3 * 40 - 2, id="by as many budgets as it outnumbers the streams"),
        pytest.param(4, 4, 40 - 4, id="not where streams are as many"),
        pytest.param(0, 8, 8 * 30, id="where no stream waits"),
        pytest.param(0, 3, 2 * 40 + 10, id="even a few"),
    ],
)
def test_many_prompts_get_a_larger_budget_if_few_streams_run(streams, prompts, read):
    scheduler = a_scheduler(slots=8, tokens_per_step=40, burst_factor=8)
    for at in range(streams):
        scheduler.submit(a_request(f"stream {at}", prompt=1, max_tokens=50))
    advance(scheduler, scheduler.plan())
    for at in range(prompts):
        scheduler.submit(a_request(f"prompt {at}", prompt=30, max_tokens=5))
    plan = scheduler.plan()
    assert len(plan.decodes) == streams
    assert sum(chunk.end - chunk.start for chunk in plan.chunks) == read


def test_no_request_overtakes_one_that_does_not_fit_yet():
    scheduler = a_scheduler(slots=3, capacity=100)
    for request in (a_request("a", prompt=50), a_request("big", prompt=60), a_request("small", prompt=1)):
        scheduler.submit(request)
    assert [sequence.request.id for sequence in scheduler.plan().started] == ["a"]
    scheduler.remove("a")
    assert [sequence.request.id for sequence in scheduler.plan().started] == ["big", "small"]


def test_the_lowest_free_slot_is_taken_so_that_batches_stay_dense():
    scheduler = a_scheduler(slots=3)
    for name in "abc":
        scheduler.submit(a_request(name))
    scheduler.plan()
    scheduler.remove("b")
    scheduler.submit(a_request("d"))
    assert [(s.request.id, s.slot) for s in scheduler.plan().started] == [("d", 1)]


def test_requests_that_waited_too_long_expire_oldest_first():
    scheduler = a_scheduler(timeout_s=10.0)
    for name, queued_s in (("old", 0.0), ("edge", 5.0), ("new", 9.0)):
        scheduler.submit(a_request(name, queued_s=queued_s))
    assert [request.id for request in scheduler.expire(15.0)] == ["old"]
    assert [request.id for request in scheduler.waiting] == ["edge", "new"]


def test_cache_usage_counts_tokens_held_not_tokens_promised():
    scheduler = a_scheduler(capacity=100)
    scheduler.submit(a_request(prompt=10, max_tokens=40))
    advance(scheduler, scheduler.plan())
    assert scheduler.kv_usage_ratio == 0.10
    advance(scheduler, scheduler.plan())
    assert scheduler.kv_usage_ratio == 0.11


@pytest.mark.parametrize(("prompt", "max_tokens"), [(0, 4), (3, 0), (90, 11)])
def test_refuses_what_can_never_run(prompt, max_tokens):
    with pytest.raises(ValueError, match="request r: prompt of"):
        a_scheduler(capacity=100).submit(a_request(prompt=prompt, max_tokens=max_tokens))
