"""Selects the requests of the next step: continuous batching in slots, first come first served.

Pure: no torch, no clock, no thread. All running requests decode in every step. Prompts are prefilled in chunks
within the rest of the step's token budget, so a long prompt does not stall running streams. A prefix that a prompt
shares with an earlier or a running request is copied instead of computed.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from chatscale_server.engine.prefixes import Copy, SlotContents, common_prefix
from chatscale_server.engine.request import Request

MIN_PREFILL_TOKENS: Final = 16
"""Prefill tokens of a step whose decodes use up the budget, so that prompts always make progress."""
MIN_FOLLOW_TOKENS: Final = 32
"""A prompt waits for another prefill if it can then copy this many more tokens. For fewer, computing is as fast."""


@dataclass(slots=True)
class KvBudget:
    """KV cache tokens reserved per request, out of `capacity_tokens`. Never more than the capacity."""

    capacity_tokens: int
    _reserved: dict[str, int] = field(default_factory=dict)
    reserved_tokens: int = 0

    def reserve(self, request_id: str, tokens: int) -> bool:
        """Reserve `tokens`. Returns False and changes nothing if they are not available."""
        if self.reserved_tokens + tokens > self.capacity_tokens:
            return False
        if request_id in self._reserved:
            raise ValueError(f"request {request_id} has a reservation already")
        self._reserved[request_id] = tokens
        self.reserved_tokens += tokens
        return True

    def release(self, request_id: str) -> None:
        """Release the reservation of a request. Does nothing for unknown requests."""
        self.reserved_tokens -= self._reserved.pop(request_id, 0)


@dataclass(slots=True, eq=False)
class Sequence:
    """A request in a slot."""

    request: Request
    slot: int
    prefilled: int = 0
    """Prompt tokens in the cache."""
    tokens: list[int] = field(init=False)
    """Prompt plus output so far."""
    leader: "Sequence | None" = None
    """An older sequence whose prefill this one waits for, to copy the shared prefix."""
    shared: int = 0
    """Prompt tokens that will be copied from the leader."""

    def __post_init__(self) -> None:
        self.tokens = list(self.request.prompt)

    @property
    def generated(self) -> int:
        """Output tokens so far."""
        return len(self.tokens) - len(self.request.prompt)

    @property
    def decoding(self) -> bool:
        """True if the whole prompt is in the cache."""
        return self.prefilled == len(self.request.prompt)

    def append(self, token: int) -> None:
        """Add the next output token."""
        self.tokens.append(token)

    @property
    def held_tokens(self) -> int:
        """Tokens in the KV cache. The newest token enters it with the next step."""
        return self.prefilled + max(0, self.generated - 1)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Prompt tokens `start` to `end` of one sequence."""

    sequence: Sequence
    start: int
    end: int

    @property
    def last(self) -> bool:
        """True if the step generates the sequence's first token."""
        return self.end == len(self.sequence.request.prompt)


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What the engine computes in one step."""

    started: tuple[Sequence, ...] = ()
    copies: tuple[Copy, ...] = ()
    """Performed in this order, before any forward pass."""
    chunks: tuple[Chunk, ...] = ()
    decodes: tuple[Sequence, ...] = ()
    prefix_queries: int = 0
    """Prompt tokens of the requests that start in this step."""
    prefix_hits: int = 0
    """Prompt tokens that are already in the cache."""

    @property
    def prompt_tokens(self) -> int:
        """Prompt tokens of this step, computed or found in the cache."""
        return self.prefix_hits + sum(chunk.end - chunk.start for chunk in self.chunks)

    @property
    def batch_size(self) -> int:
        """Sequences in this step."""
        return len(self.chunks) + len(self.decodes)


@dataclass(slots=True)
class Scheduler:
    """The waiting queue and the slots."""

    slots: int
    budget: KvBudget
    tokens_per_step: int
    """Decodes plus prefill tokens of one step."""
    queue_timeout_s: float
    reuse_prefixes: bool = False
    """True only for engines that can copy between slots with the same result as computing."""
    burst_factor: int = 1
    """Limit of the prefill budget in multiples of `tokens_per_step`, see `_prefill_tokens`."""
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
        """Share of the cache that holds tokens, 0 to 1. Counts tokens as vLLM does, not reservations."""
        return sum(sequence.held_tokens for sequence in self._running.values()) / self.budget.capacity_tokens

    def submit(self, request: Request) -> None:
        """Append a request to the queue. Raises ValueError if it can never fit."""
        if not request.prompt or request.max_tokens < 1 or request.reserved_tokens > self.budget.capacity_tokens:
            raise ValueError(
                f"request {request.id}: prompt of {len(request.prompt)} plus {request.max_tokens} tokens must be "
                f"positive and within {self.budget.capacity_tokens}"
            )
        self._waiting.append(request)

    def remove(self, request_id: str) -> bool:
        """Remove a waiting or running request; its slot is free for the next plan. False if unknown."""
        if (sequence := self._running.pop(request_id, None)) is not None:
            self._contents.note(sequence.slot, sequence.tokens, sequence.held_tokens)
            self._contents.touch(sequence.slot)
            self.budget.release(request_id)
            return True
        kept = deque(request for request in self._waiting if request.id != request_id)
        found = len(kept) < len(self._waiting)
        self._waiting = kept
        return found

    def fail(self, request_id: str) -> None:
        """Remove a running request whose step failed, and forget what its slot holds: it may never have been written.

        Does nothing for unknown requests.
        """
        if (sequence := self._running.get(request_id)) is not None:
            self.remove(request_id)
            self.forget(sequence.slot)

    def forget(self, slot: int) -> None:
        """Discard the cached tokens of a free slot."""
        self._contents.note(slot, [], 0)

    def clear(self) -> tuple[Request, ...]:
        """Remove and return all requests, and discard all cached tokens."""
        removed = (*(sequence.request for sequence in self._running.values()), *self._waiting)
        for request in removed:
            self.budget.release(request.id)
        self._running.clear()
        self._waiting.clear()
        self._contents = SlotContents(self.slots)
        return removed

    @property
    def free_slots(self) -> tuple[int, ...]:
        """Slots without a request, ascending."""
        used = {sequence.slot for sequence in self._running.values()}
        return tuple(slot for slot in range(self.slots) if slot not in used)

    def expire(self, now_s: float) -> tuple[Request, ...]:
        """Remove and return the requests that have waited longer than the queue timeout."""
        expired = []
        while self._waiting and now_s - self._waiting[0].queued_s > self.queue_timeout_s:
            expired.append(self._waiting.popleft())
        return tuple(expired)

    def plan(self) -> StepPlan:
        """Fill free slots, then decode all sequences and prefill within the budget. Advances `prefilled`."""
        for sequence in self._running.values():
            self._contents.note(sequence.slot, sequence.tokens, sequence.held_tokens)
        # First the followers: a new request may overwrite a free slot that a follower copies from.
        followers = [(one, leader) for one in self._running.values() if (leader := one.leader) is not None]
        before = sum(sequence.prefilled for sequence, _leader in followers)
        copies = [copy for sequence, leader in followers for copy in self._follow(sequence, leader)]
        started: list[Sequence] = []
        while (following := self._admit_next()) is not None:
            copies += self._begin(following)
            started.append(following)
        after = sum(sequence.prefilled for sequence in (*(one for one, _leader in followers), *started))
        decodes = tuple(sequence for sequence in self._running.values() if sequence.decoding)
        return StepPlan(
            started=tuple(started),
            copies=tuple(copies),
            chunks=self._chunks(self._prefill_tokens(len(decodes))),
            decodes=decodes,
            prefix_queries=sum(len(sequence.request.prompt) for sequence in started),
            prefix_hits=after - before,
        )

    def _prefill_tokens(self, decodes: int) -> int:
        """Prefill tokens of a step with `decodes` decoding sequences.

        Streams wait for the whole step, while prompts profit from a shared forward pass. The budget is therefore
        multiplied by the ratio of prompts to streams, from 1 to `burst_factor`. No stream counts as half a stream.
        E.g. with factor 8: 15 prompts and 1 stream get 8 budgets, 11 and 21 get one, 1 prompt alone gets two.
        """
        prompts = len(self._running) - decodes
        budgets = max(1, min(self.burst_factor, int(prompts / (decodes or 0.5))))
        return max(MIN_PREFILL_TOKENS, budgets * self.tokens_per_step - decodes)

    def _chunks(self, available: int) -> tuple[Chunk, ...]:
        """Prefill chunks, oldest sequence first. Sequences that wait for their leader get none."""
        chunks: list[Chunk] = []
        for sequence in self._running.values():
            if available == 0:
                break
            if not sequence.decoding and sequence.leader is None:
                end = min(len(sequence.request.prompt), sequence.prefilled + available)
                chunks.append(Chunk(sequence, sequence.prefilled, end))
                available -= end - sequence.prefilled
        for chunk in chunks:
            chunk.sequence.prefilled = chunk.end
        return tuple(chunks)

    def _admit_next(self) -> Sequence | None:
        """Give the oldest waiting request a slot. Newer requests do not overtake it if it does not fit yet."""
        free = self.free_slots
        if not free or not self._waiting:
            return None
        request = self._waiting[0]
        if not self.budget.reserve(request.id, request.reserved_tokens):
            return None
        self._waiting.popleft()
        sequence = self._running[request.id] = Sequence(request, min(free))
        if self.reuse_prefixes:
            _source, length = self._contents.longest(sequence.tokens)
            sequence.slot = self._contents.place(free, sequence.tokens, length)
        return sequence

    def _begin(self, sequence: Sequence) -> list[Copy]:
        """Put the sequence into its slot, with the cached prefix of its prompt."""
        copies: list[Copy] = []
        if self.reuse_prefixes:
            copies = self._attach(sequence)
        self._contents.note(sequence.slot, sequence.tokens, sequence.prefilled)
        self._contents.touch(sequence.slot)
        return copies

    def _follow(self, sequence: Sequence, leader: Sequence) -> list[Copy]:
        """Copy when the leader has prefilled the shared prefix. Search again if the leader has ended."""
        if self._running.get(leader.request.id) is leader and leader.held_tokens < sequence.shared:
            return []
        sequence.leader = None
        return self._attach(sequence)

    def _attach(self, sequence: Sequence) -> list[Copy]:
        """Copy the longest cached prefix, or wait for an older sequence that is prefilling a much longer one."""
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
