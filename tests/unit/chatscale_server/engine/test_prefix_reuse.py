"""What prompts have in common is computed once; a copy never reads what is not there, and nobody waits for ever."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from chatscale_server.engine.prefixes import SMALL_TAIL_TOKENS, Copy, SlotContents, common_prefix
from chatscale_server.engine.request import Request
from chatscale_server.engine.scheduler import MIN_FOLLOW_TOKENS, MIN_PREFILL_TOKENS
from chatscale_server.engine.sequence import Sequence, StepPlan
from tests.unit.chatscale_server.builders import a_scheduler

SYSTEM = tuple(range(1000, 1200))
"""The instruction that every customer's chat begins with."""


@dataclass
class World:
    """A scheduler and the cache that its plans would make: by slot, or by page, which token is in which column."""

    slots: int = 4
    tokens_per_step: int = 512
    reuse: bool = True
    computed: int = 0
    page_tokens: int | None = None
    capacity: int | None = None
    pauses: int = 0
    cache: dict[tuple[int, int], int] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.scheduler = a_scheduler(
            self.slots, self.capacity or self.slots * 1000, self.tokens_per_step, 1e9,
            page_tokens=self.page_tokens, reuse_prefixes=self.reuse,
        )  # fmt: skip

    def place(self, sequence: Sequence, column: int) -> tuple[int, int]:
        """Where the token of a column is."""
        if self.page_tokens is None:
            return sequence.slot, column
        return sequence.pages[column // self.page_tokens], column % self.page_tokens

    def submit(self, name: str, prompt: tuple[int, ...], max_tokens: int = 3) -> None:
        self.scheduler.submit(Request(id=name, prompt=prompt, max_tokens=max_tokens))

    def step(self) -> StepPlan:
        """Plan, and do what it says; any read of a column that holds another token fails."""
        plan = self.scheduler.plan()
        assert sum(c.end - c.start for c in plan.chunks) <= max(
            MIN_PREFILL_TOKENS, self.tokens_per_step - len(plan.decodes)
        )
        self.pauses += plan.paused
        for copy in plan.copies:
            for column in range(copy.tokens):
                self.cache[copy.target, column] = self.cache[copy.source, column]
        for chunk in plan.chunks:
            tokens = chunk.sequence.tokens
            self.expect(chunk.sequence, tokens[: chunk.start])
            self.cache |= {self.place(chunk.sequence, at): tokens[at] for at in range(chunk.start, chunk.end)}
            self.computed += chunk.end - chunk.start
        for sequence in plan.decodes:
            self.expect(sequence, sequence.tokens[: sequence.held_tokens])
            self.cache[self.place(sequence, sequence.held_tokens)] = sequence.tokens[-1]
        for sequence in (*plan.decodes, *(chunk.sequence for chunk in plan.chunks if chunk.last)):
            sequence.append(7 * sequence.generated + len(sequence.tokens) % 3)
            if sequence.generated == sequence.request.max_tokens:
                self.finished.add(sequence.request.id)
                self.scheduler.remove(sequence.request.id)
        return plan

    def expect(self, sequence: Sequence, tokens: list[int]) -> None:
        assert [self.cache.get(self.place(sequence, at)) for at in range(len(tokens))] == tokens

    def run(self, limit: int = 10_000) -> int:
        """Step until nobody is left; how many prompt tokens were computed on the way."""
        before = self.computed
        for _ in range(limit):
            if not self.scheduler.running and not self.scheduler.waiting:
                return self.computed - before
            assert self.step().batch_size > 0
        raise AssertionError("requests are left")


def prompts() -> st.SearchStrategy[tuple[int, ...]]:
    """Begin with one of two instructions, or a part of it, and go on with few different tokens."""
    return st.builds(
        lambda which, length, rest: (tuple(range(which, which + length)) + tuple(rest)) or (5,),
        st.sampled_from((1000, 2000)), st.integers(0, 200), st.lists(st.integers(0, 1), max_size=60),
    )  # fmt: skip


events = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), prompts(), st.integers(1, 6)),
        st.tuples(st.just("cancel"), st.integers(0, 30), st.none()),
        st.tuples(st.just("step"), st.integers(1, 4), st.none()),
    ),
    min_size=1,
    max_size=40,
)


memories = st.one_of(
    st.just((None, None)),
    st.integers(1, 70).flatmap(lambda page: st.tuples(st.just(page), st.integers(-(-270 // page), 700 // page))),
)
"""Tokens of a page, and pages: enough for the longest request, and not much more."""


@given(events=events, slots=st.integers(1, 5), tokens_per_step=st.integers(1, 300), memory=memories)
def test_every_prompt_is_computed_on_its_own_tokens_in_any_order_of_requests(events, slots, tokens_per_step, memory):
    page_tokens, pages = memory
    world = World(
        slots=slots, tokens_per_step=tokens_per_step, page_tokens=page_tokens,
        capacity=pages and pages * page_tokens,
    )  # fmt: skip
    submitted, cancelled = 0, set()
    for kind, what, max_tokens in events:
        if kind == "submit":
            world.submit(str(submitted), what, max_tokens)
            submitted += 1
        elif kind == "cancel" and world.scheduler.remove(str(what)):
            cancelled.add(str(what))
        elif kind == "step":
            for _ in range(what):
                world.step()
    world.run()
    assert world.finished == {str(at) for at in range(submitted)} - cancelled
    if page_tokens is None:
        assert world.scheduler.memory.reserved_tokens == 0
    else:
        assert world.scheduler.memory.pool.available == pages


@given(st.lists(prompts(), min_size=1, max_size=12), st.integers(1, 5), st.sampled_from((None, 16)))
def test_what_is_found_and_what_is_computed_add_up_to_the_prompts(prompts, slots, page_tokens):
    world = World(slots=slots, page_tokens=page_tokens)
    for at, prompt in enumerate(prompts):
        world.submit(str(at), prompt)
    plans = []
    while world.scheduler.running or world.scheduler.waiting:
        plans.append(world.step())
    assert sum(plan.prefix_queries for plan in plans) == sum(map(len, prompts))
    assert sum(plan.prefix_hits for plan in plans) + world.computed == sum(map(len, prompts))
    assert sum(plan.prompt_tokens for plan in plans) == sum(map(len, prompts))


def test_equal_prompts_at_once_are_computed_once():
    world = World(slots=8)
    for at in range(8):
        world.submit(str(at), SYSTEM)
    first, second = world.step(), world.step()
    assert [(chunk.sequence.request.id, chunk.start, chunk.end) for chunk in first.chunks] == [("0", 0, 200)]
    assert [sequence.request.id for sequence in first.started] == [str(at) for at in range(8)]
    assert second.copies == tuple(Copy(0, slot, 199) for slot in range(1, 8))
    assert [(chunk.start, chunk.end) for chunk in second.chunks] == [(199, 200)] * 7
    assert world.computed == 200 + 7


def test_prompts_with_a_common_prefix_compute_it_once_over_several_steps():
    world = World(slots=4, tokens_per_step=64)
    for at in range(4):
        world.submit(str(at), SYSTEM + tuple(range(at * 50, at * 50 + 10)))
    assert world.run() == 200 + 4 * 10


def test_without_reuse_every_prompt_is_computed():
    world = World(reuse=False)
    for at in range(4):
        world.submit(str(at), SYSTEM)
    assert world.run() == 4 * 200


def test_if_the_leader_is_cancelled_the_next_sequence_continues_from_the_cached_prefix():
    world = World(slots=3, tokens_per_step=64)
    for name in "abc":
        world.submit(name, SYSTEM)
    world.step()
    world.scheduler.remove("a")
    plan = world.step()
    assert plan.copies == (Copy(0, 1, 64),)
    assert [(chunk.sequence.request.id, chunk.start) for chunk in plan.chunks] == [("b", 64)]
    world.run()
    assert world.finished == {"b", "c"}
    assert world.computed == 200 + 1


def test_what_a_failed_request_left_in_its_slot_is_never_reused():
    world = World(slots=2)
    world.submit("bad", SYSTEM)
    world.scheduler.plan()  # planned, and never computed
    world.scheduler.fail("bad")
    world.submit("same", SYSTEM)
    plan = world.step()
    assert (plan.prefix_hits, plan.copies, world.computed) == (0, (), len(SYSTEM))
    world.scheduler.fail("unknown")
    world.scheduler.clear()
    world.submit("again", SYSTEM)
    assert world.step().prefix_hits == 0


def test_a_short_common_beginning_is_not_worth_waiting_for():
    world = World(slots=2)
    common = SYSTEM[: MIN_FOLLOW_TOKENS - 1]
    world.submit("a", (*common, 1, 2))
    world.submit("b", (*common, 3, 4))
    assert [chunk.sequence.request.id for chunk in world.step().chunks] == ["a", "b"]


def test_a_conversation_goes_on_in_its_own_slot():
    world = World(slots=3)
    world.submit("other", (1, 2, 3))
    world.submit("turn", SYSTEM, max_tokens=4)
    turn = world.step().chunks[1].sequence
    world.run()
    said = tuple(turn.tokens)
    world.submit("next", (*said, 50, 51))
    plan = world.step()
    assert (plan.started[0].slot, plan.copies) == (turn.slot, ())
    assert plan.prefix_hits == len(said) - 1  # the answer's last token never entered the cache
    assert [(chunk.start, chunk.end) for chunk in plan.chunks] == [(len(said) - 1, len(said) + 2)]


def test_a_prompt_that_shares_only_a_prefix_does_not_overwrite_a_conversation():
    world = World(slots=3)
    chat = SYSTEM + tuple(range(SMALL_TAIL_TOKENS + 1))
    world.submit("chat", chat)
    world.run()
    world.submit("new", (*SYSTEM, 99))
    assert world.step().copies == (Copy(0, 1, 200),)
    world.run()
    world.submit("again", (*chat, 98))
    assert world.step().prefix_hits == len(chat)


def test_the_least_recently_used_slot_is_overwritten():
    world = World(slots=3)
    for name, token in (("a", 100), ("b", 200), ("c", 300)):
        world.submit(name, tuple(range(token, token + 50)))
    world.run()
    world.submit("like a", (*range(100, 150), *range(50)))
    world.run()
    world.submit("foreign", (900, 901))
    assert world.step().started[0].slot == 1


def test_the_longest_match_wins_and_leaves_the_last_token_to_compute():
    contents = SlotContents(3)
    contents.note(0, [1, 2, 3, 4], 2)
    contents.note(1, [1, 2, 3, 4], 4)
    assert contents.longest([1, 2, 3, 4]) == (1, 3)
    assert contents.longest([1, 2]) == (0, 1)
    assert contents.longest([9]) == (0, 0)


@given(st.lists(st.integers(0, 1), max_size=200), st.lists(st.integers(0, 1), max_size=200), st.integers(0, 150))
def test_a_common_prefix_is_exactly_that(first, second, shared):
    first, second = [5] * shared + first, [5] * shared + second
    limit = min(len(first), len(second))
    length = common_prefix(first, second, limit)
    assert first[:length] == second[:length]
    assert length == limit or first[length] != second[length]


def test_many_running_slots_stay_side_by_side_while_requests_come_and_go():
    world = World(slots=16)
    submitted = 0
    while submitted < 500:
        while len(world.scheduler.running) + len(world.scheduler.waiting) < 10:
            world.submit(str(submitted), (submitted, 1, 2), max_tokens=5 + submitted % 11)
            submitted += 1
        world.step()
        slots = [sequence.slot for sequence in world.scheduler.running]
        assert max(slots) - min(slots) < 10


def test_conversations_stay_cached_in_all_slots_while_few_slots_run():
    world = World(slots=8)
    world.submit("long", (1, 2, 3), max_tokens=500)
    world.step()
    chats = [tuple(range(100 * chat, 100 * chat + 90)) for chat in range(1, 8)]
    for chat in (*chats, *((*chat, 7) for chat in chats)):
        before = world.computed
        world.submit(str(chat), chat)
        while str(chat) not in world.finished:
            world.step()
        assert len(chat) == 90 or world.computed - before <= 2
