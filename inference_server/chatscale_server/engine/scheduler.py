"""Selects the requests of the next step: continuous batching in slots, first come first served.

Pure: no torch, no clock, no thread. All running requests decode in every step. Prompts are prefilled in chunks
within the rest of the step's token budget, so a long prompt does not stall running streams. A prefix that a prompt
shares with an earlier or a running request is not computed again: its pages are shared, or it is copied between slots.
"""

from collections import deque
from collections.abc import Sequence as Ordered
from dataclasses import dataclass, field
from typing import Final, Protocol

from chatscale_server.engine.prefixes import Copy, SlotContents, common_prefix
from chatscale_server.engine.request import Request
from chatscale_server.engine.sequence import Chunk, Sequence, StepPlan

MIN_PREFILL_TOKENS: Final = 16
"""Prefill tokens of a step whose decodes use up the budget, so that prompts always make progress."""
MIN_FOLLOW_TOKENS: Final = 32
"""A prompt waits for another prefill if it can then use this many more tokens. For fewer, computing is as fast."""


class KvMemory(Protocol):
    """Decides which sequences have memory in the KV cache."""

    @property
    def capacity_tokens(self) -> int:
        """Tokens of the whole cache."""
        ...

    def fits(self, request: Request) -> bool:
        """True if the request can run alone."""
        ...

    def admit(self, sequence: Sequence, running: Ordered[Sequence], source: tuple[int, int]) -> bool:
        """Give a sequence memory for its tokens. False, and nothing changed, if there is none.

        running: the sequences that may need more memory before long.
        source: slot and tokens of a cached prefix of the sequence.
        """
        ...

    def attach(self, sequence: Sequence, source: int, tokens: int) -> list[Copy]:
        """Use the first `tokens` of another slot. Sets `prefilled`. Returns the copies that this takes."""
        ...

    def grow(self, running: Ordered[Sequence]) -> list[Sequence]:
        """Give each sequence memory for its next tokens, oldest first. Returns those that were paused for others."""
        ...

    def release(self, sequence: Sequence) -> None:
        """A sequence has ended. Its tokens stay cached until the memory is needed."""
        ...

    def forget(self, slot: int) -> None:
        """Discard the cached tokens of a free slot."""
        ...


@dataclass(slots=True)
class Scheduler:
    """The waiting queue and the slots."""

    contents: SlotContents
    memory: KvMemory
    """Of the same `contents`."""
    tokens_per_step: int
    """Decodes plus prefill tokens of one step."""
    queue_timeout_s: float
    reuse_prefixes: bool = False
    """True only for engines that compute the same result from reused tokens."""
    burst_factor: int = 1
    """Limit of the prefill budget in multiples of `tokens_per_step`, see `_prefill_tokens`."""
    _waiting: deque[Request] = field(default_factory=deque)
    _running: dict[str, Sequence] = field(default_factory=dict)
    """In order of admission."""

    @property
    def slots(self) -> int:
        """Number of sequences that can run at a time."""
        return self.contents.slots

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
        return sum(sequence.held_tokens for sequence in self._running.values()) / self.memory.capacity_tokens

    def submit(self, request: Request) -> None:
        """Append a request to the queue. Raises ValueError if it can never fit."""
        if not request.prompt or request.max_tokens < 1 or not self.memory.fits(request):
            raise ValueError(
                f"request {request.id}: prompt of {len(request.prompt)} plus {request.max_tokens} tokens must be "
                f"positive and within {self.memory.capacity_tokens}"
            )
        self._waiting.append(request)

    def remove(self, request_id: str) -> bool:
        """Remove a waiting or running request; its slot is free for the next plan. False if unknown."""
        if (sequence := self._running.pop(request_id, None)) is not None:
            self.contents.note(sequence.slot, sequence.tokens, sequence.held_tokens)
            self.contents.touch(sequence.slot)
            self.memory.release(sequence)
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
        self.memory.forget(slot)
        self.contents.note(slot, [], 0)

    def clear(self) -> tuple[Request, ...]:
        """Remove and return all requests, and discard all cached tokens."""
        removed = (*(sequence.request for sequence in self._running.values()), *self._waiting)
        for sequence in self._running.values():
            self.memory.release(sequence)
        self._running.clear()
        self._waiting.clear()
        for slot in range(self.slots):
            self.forget(slot)
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
            self.contents.note(sequence.slot, sequence.tokens, sequence.held_tokens)
        paused = self.memory.grow(self.running)
        # First the followers: a new request may overwrite a free slot that a follower copies from.
        copies = [copy for sequence in self.running for copy in self._follow(sequence)]
        copies += [copy for sequence in self.running if sequence.paused for copy in self._resume(sequence)]
        started: list[Sequence] = []
        while (following := self._admit_next()) is not None:
            copies += self._begin(following)
            started.append(following)
        hits = sum(one.count(one.prefilled) for one in self._running.values() if one.counted < len(one.request.prompt))
        decodes = tuple(sequence for sequence in self._running.values() if sequence.decoding)
        return StepPlan(
            started=tuple(started),
            copies=tuple(copies),
            chunks=self._chunks(self._prefill_tokens(len(decodes))),
            decodes=decodes,
            prefix_queries=sum(len(sequence.request.prompt) for sequence in started),
            prefix_hits=hits,
            paused=len(paused),
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
        """Prefill chunks, oldest sequence first. Sequences that wait for their leader or for memory get none."""
        chunks: list[Chunk] = []
        for sequence in self._running.values():
            if available == 0:
                break
            if not sequence.decoding and sequence.leader is None and not sequence.paused:
                start, end = sequence.prefilled, min(sequence.target, sequence.prefilled + available)
                chunks.append(Chunk(sequence, start, end, repeated=end - start - sequence.count(end)))
                available -= end - start
        for chunk in chunks:
            chunk.sequence.prefilled = chunk.end
        return tuple(chunks)

    def _admit_next(self) -> Sequence | None:
        """Give the oldest waiting request a slot. Newer requests do not overtake it if it does not fit yet."""
        free = self.free_slots
        if not free or not self._waiting or any(sequence.paused for sequence in self._running.values()):
            return None
        sequence = Sequence(self._waiting[0], min(free))
        source = (sequence.slot, 0)
        if self.reuse_prefixes:
            source = self.contents.longest(sequence.tokens)
            sequence.slot = self.contents.place(free, sequence.tokens, source[1])
        if not self.memory.admit(sequence, self.running, source):
            return None
        self._waiting.popleft()
        self._running[sequence.request.id] = sequence
        return sequence

    def _resume(self, sequence: Sequence) -> list[Copy]:
        """Give a paused sequence memory again, unless an older one still waits for it."""
        oldest = next(other for other in self._running.values() if other.paused)
        others = [other for other in self._running.values() if not other.paused]
        source = self.contents.longest(sequence.tokens) if self.reuse_prefixes else (sequence.slot, 0)
        if oldest is not sequence or not self.memory.admit(sequence, others, source):
            return []
        sequence.paused = False
        return self._begin(sequence)

    def _begin(self, sequence: Sequence) -> list[Copy]:
        """Put the sequence into its slot, with the cached prefix of its tokens."""
        copies: list[Copy] = []
        if self.reuse_prefixes:
            copies = self._attach(sequence)
        self.contents.note(sequence.slot, sequence.tokens, sequence.prefilled)
        self.contents.touch(sequence.slot)
        return copies

    def _follow(self, sequence: Sequence) -> list[Copy]:
        """Use the shared prefix when the leader has prefilled it. Search again if the leader has ended."""
        leader = sequence.leader
        if leader is None:
            return []
        ended = self._running.get(leader.request.id) is not leader or leader.paused
        if not ended and leader.held_tokens < sequence.shared:
            return []
        sequence.leader = None
        return self._attach(sequence)

    def _attach(self, sequence: Sequence) -> list[Copy]:
        """Use the longest cached prefix, or wait for an older sequence that is prefilling a much longer one."""
        tokens = sequence.tokens
        source, length = self.contents.longest(tokens)
        for other in self._running.values():
            if other is sequence:
                break
            if other.decoding or other.paused:
                continue
            shared = common_prefix(other.tokens, tokens, min(len(other.tokens), len(tokens) - 1))
            if shared >= length + MIN_FOLLOW_TOKENS:
                length, sequence.leader, sequence.shared = shared, other, shared
        own = self.contents.match(sequence.slot, tokens)
        if sequence.leader is not None or own == length:
            sequence.prefilled = own
            return []
        copies = self.memory.attach(sequence, source, length)
        self.contents.note(sequence.slot, tokens, sequence.prefilled)
        self.contents.touch(source)
        return copies
