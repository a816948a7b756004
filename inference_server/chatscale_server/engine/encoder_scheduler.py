"""Selects the inputs of an encoder's next step: requests in slots, first come first served, inputs in turn. Pure.

A request can have thousands of inputs. Every request with a slot gets an input into the batch before one of them gets
a second, so a short query does not wait for a long list.
"""

from collections import deque
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from chatscale_server.engine.request import Request

MAX_RUNNING_TOKENS: Final = 500_000
"""Tokens of all requests in slots, apart from a single larger one. Bounds the memory of their token ids."""


@dataclass(slots=True, eq=False)
class EncodingJob:
    """A request in a slot."""

    request: Request
    planned: int = 0
    """Inputs that were in a batch."""
    vectors: dict[int, bytes] = field(default_factory=dict)
    """Results by position of the input."""
    _starts: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self._starts = list(accumulate(self.request.input_lengths, initial=0))

    @property
    def is_complete(self) -> bool:
        """True if all inputs have a result."""
        return len(self.vectors) == len(self.request.input_lengths)

    @property
    def has_more(self) -> bool:
        """True if an input was in no batch yet."""
        return self.planned < len(self.request.input_lengths)

    def tokens(self, at: int) -> tuple[int, ...]:
        """Token ids of one input."""
        return self.request.prompt[self._starts[at] : self._starts[at + 1]]


@dataclass(frozen=True, slots=True)
class Row:
    """One input of a batch."""

    job: EncodingJob
    at: int
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EncoderPlan:
    """What the encoder computes in one step."""

    started: tuple[Request, ...] = ()
    """Requests that got a slot."""
    rows: tuple[Row, ...] = ()


@dataclass(slots=True)
class EncoderScheduler:
    """The waiting queue and the slots."""

    slots: int
    tokens_per_step: int
    """Tokens of one batch without padding; a single input may be longer."""
    queue_timeout_s: float
    _waiting: deque[Request] = field(default_factory=deque)
    _running: dict[str, EncodingJob] = field(default_factory=dict)
    _turns: deque[EncodingJob] = field(default_factory=deque)
    """Running requests with inputs that were in no batch. The next input comes from the first one."""
    _running_tokens: int = 0

    def submit(self, request: Request) -> None:
        """Append a request to the queue. Raises ValueError if its inputs are not its prompt."""
        lengths = request.input_lengths
        if not lengths or min(lengths) < 1 or sum(lengths) != len(request.prompt):
            raise ValueError(f"request {request.id}: {len(lengths)} inputs do not divide {len(request.prompt)} tokens")
        self._waiting.append(request)

    def remove(self, request_id: str) -> bool:
        """Remove a waiting or running request. False if unknown."""
        if (job := self._running.pop(request_id, None)) is not None:
            self._running_tokens -= len(job.request.prompt)
            self._turns = deque(one for one in self._turns if one is not job)
            return True
        kept = deque(request for request in self._waiting if request.id != request_id)
        found = len(kept) < len(self._waiting)
        self._waiting = kept
        return found

    def expire(self, now_s: float) -> tuple[Request, ...]:
        """Remove and return the requests that have waited longer than the queue timeout."""
        expired = []
        while self._waiting and now_s - self._waiting[0].queued_s > self.queue_timeout_s:
            expired.append(self._waiting.popleft())
        return tuple(expired)

    def plan(self) -> EncoderPlan:
        """Fill free slots, then a batch. All its rows are computed in this step."""
        started = []
        while self._waiting and len(self._running) < self.slots and self._has_room(self._waiting[0]):
            request = self._waiting.popleft()
            started.append(request)
            job = self._running[request.id] = EncodingJob(request)
            self._running_tokens += len(request.prompt)
            self._turns.append(job)
        return EncoderPlan(tuple(started), tuple(self._rows()))

    def _has_room(self, request: Request) -> bool:
        return not self._running or self._running_tokens + len(request.prompt) <= MAX_RUNNING_TOKENS

    def _rows(self) -> list[Row]:
        rows: list[Row] = []
        left = self.tokens_per_step
        while self._turns:
            job = self._turns[0]
            size = job.request.input_lengths[job.planned]
            if rows and size > left:
                break
            self._turns.popleft()
            rows.append(Row(job, job.planned, job.tokens(job.planned)))
            job.planned += 1
            left -= size
            if job.has_more:
                self._turns.append(job)
        return rows
