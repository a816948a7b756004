"""Which requests enter the next step: continuous batching in slots, first come first served.

Pure: no torch, no clock, no thread. Running requests decode in every step; prompts are prefilled in
chunks within what is left of the step's token budget, so a long prompt never stalls running streams.
What a prompt has in common with another, running or gone, is copied instead of computed.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from chatscale_server.engine.kv_budget import KvBudget
from chatscale_server.engine.prefixes import Copy, SlotContents, common_prefix
from chatscale_server.engine.request import Request

MIN_PREFILL_TOKENS: Final = 16
"""Prefill allowance of a step whose decodes use up the budget: waiting prompts always move on."""
MIN_FOLLOW_TOKENS: Final = 32
"""A prompt waits for another's prefill to copy from if that saves so much; below, computing is as quick as waiting."""


@dataclass(slots=True, eq=False)
class Sequence:
    """A request in a slot."""

    request: Request
    slot: int
    prefilled: int = 0
    """Prompt tokens in the cache."""
    tokens: list[int] = field(init=False)
    """Prompt and answer so far."""
    leader: "Sequence | None" = None
    """An older sequence that is computing what this one waits to copy."""
    shared: int = 0
    """How much of the prompt is to come from the leader."""

    def __post_init__(self) -> None:
        self.tokens = list(self.request.prompt)

    @property
    def generated(self) -> int:
        """Tokens of the answer so far."""
        return len(self.tokens) - len(self.request.prompt)

    @property
    def decoding(self) -> bool:
        """The whole prompt is in the cache."""
        return self.prefilled == len(self.request.prompt)

    def take(self, token: int) -> None:
        """The answer's next token."""
        self.tokens.append(token)

    @property
    def held_tokens(self) -> int:
        """Tokens in the KV cache; the newest token enters it with the next step."""
        return self.prefilled + max(0, self.generated - 1)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Prompt tokens `start` to `end` of one sequence."""

    sequence: Sequence
    start: int
    end: int

    @property
    def last(self) -> bool:
        """The step yields the sequence's first token."""
        return self.end == len(self.sequence.request.prompt)


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What the engine computes in one step."""

    started: tuple[Sequence, ...] = ()
    copies: tuple[Copy, ...] = ()
    """To be done in their order, before anything is computed."""
    chunks: tuple[Chunk, ...] = ()
    decodes: tuple[Sequence, ...] = ()
    prefix_queries: int = 0
    """Prompt tokens of the requests that start."""
    prefix_hits: int = 0
    """Prompt tokens that were found in the cache."""

    @property
    def prompt_tokens(self) -> int:
        """Of prompts, computed or found."""
        return self.prefix_hits + sum(chunk.end - chunk.start for chunk in self.chunks)

    @property
    def batch_size(self) -> int:
        """Sequences taking part."""
        return len(self.chunks) + len(self.decodes)


@dataclass(slots=True)
class Scheduler:
    """The waiting line and the slots."""

    slots: int
    budget: KvBudget
    tokens_per_step: int
    """Decodes plus prefill tokens of one step."""
    queue_timeout_s: float
    reuse_prefixes: bool = False
    """Only for engines that can copy from slot to slot, with the same result as computing."""
    burst_factor: int = 1
    """How many times `tokens_per_step` prompts may have where they outnumber the streams that wait for them."""
    _waiting: deque[Request] = field(default_factory=deque)
    _running: dict[str, Sequence] = field(default_factory=dict)
    """In order of admission."""
    _contents: SlotContents = field(init=False)

    def __post_init__(self) -> None:
        self._contents = SlotContents(self.slots)

    @property
    def waiting(self) -> tuple[Request, ...]:
        """Oldest first."""
        return tuple(self._waiting)

    @property
    def running(self) -> tuple[Sequence, ...]:
        """Oldest first."""
        return tuple(self._running.values())

    @property
    def kv_usage_ratio(self) -> float:
        """Share of the cache that holds tokens, 0 to 1 (as vLLM counts, not what is reserved)."""
        return sum(sequence.held_tokens for sequence in self._running.values()) / self.budget.capacity_tokens

    def submit(self, request: Request) -> None:
        """Append to the line. The caller has checked that the request can ever fit."""
        if not request.prompt or request.max_tokens < 1 or request.reserved_tokens > self.budget.capacity_tokens:
            raise ValueError(
                f"request {request.id}: prompt of {len(request.prompt)} plus {request.max_tokens} tokens must be "
                f"positive and within {self.budget.capacity_tokens}"
            )
        self._waiting.append(request)

    def remove(self, request_id: str) -> bool:
        """Take a request out, waiting or running; its slot is free for the next plan. False if unknown."""
        if (sequence := self._running.pop(request_id, None)) is not None:
            self._contents.note(sequence.slot, sequence.tokens, sequence.held_tokens)
            self._contents.touch(sequence.slot)
            self.budget.release(request_id)
            return True
        kept = deque(request for request in self._waiting if request.id != request_id)
        found = len(kept) < len(self._waiting)
        self._waiting = kept
        return found

    def expire(self, now_s: float) -> tuple[Request, ...]:
        """Take out those that have waited longer than the queue timeout."""
        expired = []
        while self._waiting and now_s - self._waiting[0].queued_s > self.queue_timeout_s:
            expired.append(self._waiting.popleft())
        return tuple(expired)

    def plan(self) -> StepPlan:
        """Fill free slots, then decode all and prefill what the budget allows. Advances `prefilled`."""
        for sequence in self._running.values():
            self._contents.note(sequence.slot, sequence.tokens, sequence.held_tokens)
        # Before anybody takes a free slot that a follower was to copy from.
        followers = [(one, leader) for one in self._running.values() if (leader := one.leader) is not None]
        before = sum(sequence.prefilled for sequence, _leader in followers)
        copies = [copy for sequence, leader in followers for copy in self._follow(sequence, leader)]
        started: list[Sequence] = []
        while (following := self._next()) is not None:
            copies += self._begin(following)
            started.append(following)
        after = sum(sequence.prefilled for sequence in (*(one for one, _leader in followers), *started))
        decodes = tuple(sequence for sequence in self._running.values() if sequence.decoding)
        return StepPlan(
            started=tuple(started),
            copies=tuple(copies),
            chunks=self._chunks(self._allowance(len(decodes))),
            decodes=decodes,
            prefix_queries=sum(len(sequence.request.prompt) for sequence in started),
            prefix_hits=after - before,
        )

    def _allowance(self, decodes: int) -> int:
        """Prompt tokens of a step beside so many decodes.

        The step's length is what running streams wait for, and shared passes are what prompts wait less by. So a
        crowd of prompts beside few streams has as many times the budget as it outnumbers them, within the factor;
        no stream counts as half of one.
        E.g. with factor 8: 15 prompts beside 1 stream have 8 budgets, 11 beside 21 have one, 1 alone has two.
        """
        prompts = len(self._running) - decodes
        budgets = max(1, min(self.burst_factor, int(prompts / (decodes or 0.5))))
        return max(MIN_PREFILL_TOKENS, budgets * self.tokens_per_step - decodes)

    def _chunks(self, allowance: int) -> tuple[Chunk, ...]:
        """Prompts move on, oldest first, except those that wait for their leader."""
        chunks: list[Chunk] = []
        for sequence in self._running.values():
            if allowance == 0:
                break
            if not sequence.decoding and sequence.leader is None:
                end = min(len(sequence.request.prompt), sequence.prefilled + allowance)
                chunks.append(Chunk(sequence, sequence.prefilled, end))
                allowance -= end - sequence.prefilled
        for chunk in chunks:
            chunk.sequence.prefilled = chunk.end
        return tuple(chunks)

    def _next(self) -> Sequence | None:
        """Give the line's head a slot; nobody overtakes a head that does not fit yet."""
        free = set(range(self.slots)) - {sequence.slot for sequence in self._running.values()}
        if not free or not self._waiting:
            return None
        request = self._waiting[0]
        if not self.budget.reserve(request.id, request.reserved_tokens):
            return None
        self._waiting.popleft()
        sequence = Sequence(request, min(free))
        if self.reuse_prefixes:
            _source, length = self._contents.longest(sequence.tokens)
            sequence.slot = self._contents.place(free, sequence.tokens, length)
        return sequence

    def _begin(self, sequence: Sequence) -> list[Copy]:
        """Enter the slot with what is known of the prompt."""
        copies: list[Copy] = []
        if self.reuse_prefixes:
            copies = self._attach(sequence)
        self._contents.note(sequence.slot, sequence.tokens, sequence.prefilled)
        self._contents.touch(sequence.slot)
        self._running[sequence.request.id] = sequence
        return copies

    def _follow(self, sequence: Sequence, leader: Sequence) -> list[Copy]:
        """Copy once the leader has written what is shared; look around again if it is gone."""
        if self._running.get(leader.request.id) is leader and leader.held_tokens < sequence.shared:
            return []
        sequence.leader = None
        return self._attach(sequence)

    def _attach(self, sequence: Sequence) -> list[Copy]:
        """Take what the cache holds of the prompt, or wait for an older sequence that is computing much more of it."""
        prompt = sequence.tokens
        source, length = self._contents.longest(prompt)
        for other in self._running.values():
            if other is sequence:
                break
            if other.decoding:
                continue
            shared = common_prefix(other.tokens, prompt, min(len(other.tokens), len(prompt) - 1))
            if shared >= length + MIN_FOLLOW_TOKENS:
                length, sequence.leader, sequence.shared = shared, other, shared
        own = self._contents.match(sequence.slot, prompt)
        if sequence.leader is not None or own == length:
            sequence.prefilled = own
            return []
        sequence.prefilled = length
        self._contents.note(sequence.slot, prompt, length)
        self._contents.touch(source)
        return [Copy(source, sequence.slot, length)]
