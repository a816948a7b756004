"""Which requests enter the next step: continuous batching in slots, first come first served.

Pure: no torch, no clock, no thread. Running requests decode in every step; prompts are prefilled in
chunks within what is left of the step's token budget, so a long prompt never stalls running streams.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from chatscale_server.engine.kv_budget import KvBudget
from chatscale_server.engine.request import Request

MIN_PREFILL_TOKENS: Final = 16
"""Prefill allowance of a step whose decodes use up the budget: waiting prompts always move on."""


@dataclass(slots=True, eq=False)
class Sequence:
    """A request in a slot."""

    request: Request
    slot: int
    prefilled: int = 0
    """Prompt tokens in the cache."""
    generated: int = 0

    @property
    def decoding(self) -> bool:
        """The whole prompt is in the cache."""
        return self.prefilled == len(self.request.prompt)

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
    chunks: tuple[Chunk, ...] = ()
    decodes: tuple[Sequence, ...] = ()

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
    _waiting: deque[Request] = field(default_factory=deque)
    _running: dict[str, Sequence] = field(default_factory=dict)
    """In order of admission."""

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
        if self._running.pop(request_id, None) is not None:
            self.budget.release(request_id)
            return True
        kept = deque(request for request in self._waiting if request.id != request_id)
        found = len(kept) < len(self._waiting)
        self._waiting = kept
        return found

    def expire(self, now_s: float) -> tuple[Request, ...]:
        """Take out those that have waited longer than the queue timeout."""
        expired = []
        while self._waiting and now_s - self._waiting[0].arrived_s > self.queue_timeout_s:
            expired.append(self._waiting.popleft())
        return tuple(expired)

    def plan(self) -> StepPlan:
        """Fill free slots, then decode all and prefill what the budget allows. Advances `prefilled`."""
        started = self._start()
        decodes = tuple(sequence for sequence in self._running.values() if sequence.decoding)
        allowance = max(MIN_PREFILL_TOKENS, self.tokens_per_step - len(decodes))
        chunks: list[Chunk] = []
        for sequence in self._running.values():
            if allowance == 0:
                break
            if not sequence.decoding:
                end = min(len(sequence.request.prompt), sequence.prefilled + allowance)
                chunks.append(Chunk(sequence, sequence.prefilled, end))
                allowance -= end - sequence.prefilled
        for chunk in chunks:
            chunk.sequence.prefilled = chunk.end
        return StepPlan(started, tuple(chunks), decodes)

    def _start(self) -> tuple[Sequence, ...]:
        """Move the line's head into the lowest free slots; nobody overtakes a head that does not fit yet."""
        taken = {sequence.slot for sequence in self._running.values()}
        started = []
        for slot in range(self.slots):
            if not self._waiting:
                break
            if slot in taken:
                continue
            if not self.budget.reserve(self._waiting[0].id, self._waiting[0].reserved_tokens):
                break
            sequence = Sequence(self._waiting.popleft(), slot)
            self._running[sequence.request.id] = sequence
            started.append(sequence)
        return tuple(started)
