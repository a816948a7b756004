"""Pages of the KV cache follow the tokens in use: none is lost, none is written by two, and memory decides who runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale_server.engine.pages import NO_PAGE, PagePool
from tests.unit.chatscale_server.builders import a_request, a_scheduler
from tests.unit.chatscale_server.engine.test_prefix_reuse import SYSTEM, World
from tests.unit.chatscale_server.engine.test_scheduler import advance


@given(st.lists(st.tuples(st.sampled_from(["take", "share", "end", "drop"]), st.integers(0, 9)), max_size=60))
def test_a_page_is_free_running_or_kept(actions):
    pool = PagePool(9, 4)
    running: list[list[int]] = []
    kept: list[list[int]] = []
    for action, at in actions:
        if action == "take" and at <= pool.free:
            running.append(pool.take(at))
        elif action == "share" and running + kept:
            running.append(pool.share((running + kept)[at % len(running + kept)]))
        elif action == "end" and running:
            pages = running.pop(at % len(running))
            pool.park(pages)
            kept.append(pages)
        elif action == "drop" and kept:
            pool.drop(kept.pop(at % len(kept)))
        in_use = {page for pages in running for page in pages}
        assert pool.free == 8 - len(in_use | {page for pages in kept for page in pages})
        assert pool.available == 8 - len(in_use)
        assert NO_PAGE not in in_use


def test_more_pages_than_there_are_is_an_error_that_changes_nothing():
    pool = PagePool(3, 4)
    with pytest.raises(MemoryError, match="3 pages of the KV cache are needed, 2 are free"):
        pool.take(3)
    assert pool.free == 2
    with pytest.raises(ValueError, match="page 1 of the KV cache is free"):
        pool.share([1])


def test_requests_without_a_limit_run_together_as_long_as_their_tokens_fit():
    """As with reservations only one of them would run: each may become as long as the cache."""
    scheduler = a_scheduler(slots=4, capacity=64, page_tokens=4)
    for name in "abcd":
        scheduler.submit(a_request(name, prompt=5, max_tokens=50))
    assert [sequence.request.id for sequence in scheduler.plan().started] == list("abcd")


def test_the_youngest_request_is_paused_when_memory_is_full_and_finishes_later():
    scheduler = a_scheduler(slots=3, capacity=64, page_tokens=4)
    for name in "abc":
        scheduler.submit(a_request(name, prompt=5, max_tokens=40))
    finished, paused = [], 0
    for _ in range(200):
        plan = scheduler.plan()
        paused += plan.paused
        states = [sequence.paused for sequence in scheduler.running]
        assert states == sorted(states)  # the running ones are older than the paused ones
        finished += advance(scheduler, plan)
        if not scheduler.running:
            break
    assert (sorted(finished), finished[0]) == (["a", "b", "c"], "a")
    assert paused >= 1
    assert scheduler.memory.pool.available == 16


def test_nothing_new_starts_before_a_paused_request():
    scheduler = a_scheduler(slots=3, capacity=32, page_tokens=4)
    for name in "ab":
        scheduler.submit(a_request(name, prompt=5, max_tokens=25))
    while not any(sequence.paused for sequence in scheduler.running):
        advance(scheduler, scheduler.plan())
    scheduler.submit(a_request("new", prompt=1, max_tokens=1))
    while any(sequence.paused for sequence in scheduler.running):
        plan = scheduler.plan()
        assert not plan.started or not any(sequence.paused for sequence in scheduler.running)
        advance(scheduler, plan)
    while scheduler.running or scheduler.waiting:
        advance(scheduler, scheduler.plan())
    assert scheduler.memory.pool.available == 8


def test_prompt_tokens_that_are_computed_again_after_a_pause_count_once():
    world = World(slots=3, capacity=260, page_tokens=4)
    prompts = [tuple(range(100 * at, 100 * at + 60)) for at in range(3)]
    for at, prompt in enumerate(prompts):
        world.submit(str(at), prompt, max_tokens=60)
    counted = 0
    while world.scheduler.running or world.scheduler.waiting:
        counted += world.step().prompt_tokens
    assert world.pauses > 0
    assert counted == 180 < world.computed


def test_a_common_prefix_is_in_memory_once():
    world = World(slots=4, page_tokens=8)
    world.submit("first", SYSTEM, max_tokens=1)
    world.run()
    for at in range(3):
        world.submit(str(at), (*SYSTEM, at, at), max_tokens=9)
    world.step()
    pages = [sequence.pages for sequence in world.scheduler.running]
    assert all(one[:25] == pages[0][:25] for one in pages)
    assert len({page for one in pages for page in one}) == 25 + 3


def test_cached_prefixes_make_room_for_running_requests_oldest_first():
    world = World(slots=3, capacity=36, page_tokens=4)
    for name, start in (("old", 0), ("new", 100)):
        world.submit(name, tuple(range(start, start + 11)), max_tokens=1)
        world.run()
    world.submit("long", tuple(range(200, 219)), max_tokens=1)
    world.run()
    computed = world.computed
    world.submit("again", tuple(range(100, 111)), max_tokens=1)
    world.run()
    assert world.computed - computed == 3
    world.submit("gone", tuple(range(11)), max_tokens=1)
    world.run()
    assert world.computed - computed == 3 + 11
