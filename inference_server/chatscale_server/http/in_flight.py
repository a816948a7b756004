"""In-flight requests: admitted and not finished. Their output for the HTTP handler, and the queue of those that wait.

Everything here runs on the event loop.
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from chatscale_contract.openai.errors import ApiError, bad_request
from chatscale_contract.server.metrics import SloObjective
from chatscale_contract.server.slo import LatencyObjectives
from chatscale_server.engine.request import FinishReason, Output, Request, Score

RETRY_AFTER_RANGE_S: Final = (1, 30)
RETRY_AFTER_UNKNOWN_S: Final = 5
"""Used until requests have finished: before that there is no throughput to estimate from."""


@dataclass(frozen=True, slots=True)
class OutputDelta:
    """Output since the last read. `finish` is set in the last delta only."""

    text: str
    scores: tuple[Score, ...] = ()
    finish: FinishReason | None = None


class InFlightRequest:
    """Output buffer of one request: the bridge writes, one HTTP handler reads.

    `updated` is set when there is something to read. Requests of one response share it and are read together.
    """

    def __init__(
        self,
        request: Request,
        updated: asyncio.Event | None = None,
        schema_param: str | None = None,
        objectives: LatencyObjectives | None = None,
        held: deque["InFlightRequest"] | None = None,
    ) -> None:
        self.engine_request = request
        self.held: Final = held if held is not None else deque()
        """Later requests of the same response that have not entered the queue, in order."""
        self.objectives: Final = objectives or LatencyObjectives()
        """Those at its admission: a later change of the SLO does not apply to it."""
        self.schema_param = schema_param
        """The body's field that constrains the response to a schema, if there is one."""
        self.started_s: float | None = None
        self.first_token_s: float | None = None
        self.last_token_s: float | None = None
        self.generated = 0
        self.cached_tokens = 0
        """Prompt tokens that were found in the cache; known at the end."""
        self.left_s: float | None = None
        """When the client left; None if it did not."""
        self.missed: SloObjective | None = None
        """The objective that the request missed first."""
        self.finish: FinishReason | None = None
        self.vectors: tuple[bytes, ...] = ()
        """The result of a request to an encoder: one vector per input."""
        self.problem: ApiError | None = None
        """Set when the request failed."""
        self.updated = updated or asyncio.Event()
        self._text: list[str] = []
        self._scores: list[Score] = []
        self._unread_tokens = 0

    @property
    def unread_tokens(self) -> int:
        """Tokens that were generated and not read by the handler."""
        return self._unread_tokens

    def add_output(self, output: Output) -> None:
        """Append new text."""
        self._text.append(output.text)
        self._scores += output.scores
        self.vectors = self.vectors or output.vectors
        self._unread_tokens += output.tokens
        self.generated += output.tokens
        self.cached_tokens += output.cached_tokens
        self.updated.set()

    def end(self, finish: FinishReason, problem: ApiError | None = None) -> None:
        """Mark the request as finished. Later calls change nothing."""
        if self.finish is None:
            self.finish, self.problem = finish, problem
            self.updated.set()

    def leave(self, at_s: float) -> None:
        """Note that the client has left. Later calls change nothing."""
        if self.left_s is None:
            self.left_s = at_s

    def take_delta(self) -> OutputDelta:
        """All output since the last call. Raises the request's ApiError after its last text was read."""
        text = "".join(self._text)
        scores = tuple(self._scores)
        self._text.clear()
        self._scores.clear()
        self._unread_tokens = 0
        if self.problem is None:
            return OutputDelta(text, scores, self.finish)
        if not text:
            raise self.problem
        self.updated.set()
        return OutputDelta(text, scores)


async def read_deltas(requests: Sequence[InFlightRequest]) -> AsyncIterator[tuple[int, OutputDelta]]:
    """(index, delta) of requests that share `updated`, until all have finished. Raises the first ApiError."""
    unfinished = dict(enumerate(requests))
    while unfinished:
        updated = next(iter(unfinished.values())).updated
        await updated.wait()
        updated.clear()
        for index, request in list(unfinished.items()):
            delta = request.take_delta()
            if delta.finish is not None:
                del unfinished[index]
            if delta.text or delta.scores or delta.finish is not None:
                yield index, delta


@dataclass(slots=True)
class WaitingQueue:
    """Requests without a slot, oldest first."""

    queue_timeout_s: float
    max_prompt_tokens: int | None
    """None: as many as can be prefilled within the queue timeout. Requests behind those would only time out."""
    max_tokens_per_second: float | None = None
    """Measured prefill throughput of the engine; None until it is known."""
    prompt_tokens: int = 0
    _requests: dict[str, InFlightRequest] = field(default_factory=dict)
    _finished_s: deque[float] = field(default_factory=lambda: deque(maxlen=64))
    """When requests completed, since the server was last idle."""

    def __len__(self) -> int:
        return len(self._requests)

    @property
    def requests(self) -> tuple[InFlightRequest, ...]:
        """Oldest first."""
        return tuple(self._requests.values())

    def get(self, request_id: str) -> InFlightRequest | None:
        """A waiting request; None if it does not wait."""
        return self._requests.get(request_id)

    def has_room_for(self, prompt_tokens: int) -> bool:
        """True if this many more prompt tokens may wait. An empty queue accepts a prompt of any length."""
        return not self._requests or self.prompt_tokens + prompt_tokens <= self._max_prompt_tokens()

    def _max_prompt_tokens(self) -> float:
        if self.max_prompt_tokens is not None or self.max_tokens_per_second is None:
            return self.max_prompt_tokens or math.inf
        return self.max_tokens_per_second * self.queue_timeout_s

    def append(self, request: InFlightRequest) -> None:
        """Add a request at the end."""
        self._requests[request.engine_request.id] = request
        self.prompt_tokens += len(request.engine_request.prompt)

    def remove(self, request_id: str) -> InFlightRequest | None:
        """Remove a request that got a slot or ended; None if it does not wait."""
        request = self._requests.pop(request_id, None)
        if request is not None:
            self.prompt_tokens -= len(request.engine_request.prompt)
        return request

    def clear(self) -> None:
        """Remove all requests."""
        self._requests.clear()
        self.prompt_tokens = 0

    def record_finish(self, now_s: float) -> None:
        """Count a completed request for the throughput estimate."""
        self._finished_s.append(now_s)

    def reset_rate(self) -> None:
        """Discard the throughput estimate. Call it when the server was idle: idle time is not throughput."""
        self._finished_s.clear()

    def retry_after_s(self, now_s: float) -> int:
        """Estimated seconds until the requests that wait now have left the queue, from the completion rate."""
        low, high = RETRY_AFTER_RANGE_S
        if len(self._finished_s) < 2:  # noqa: PLR2004 - two points make an interval
            return RETRY_AFTER_UNKNOWN_S
        elapsed_s = max(1e-3, now_s - self._finished_s[0])
        rate = (len(self._finished_s) - 1) / elapsed_s
        return min(high, max(low, math.ceil(max(1, len(self)) / rate)))


def engine_error() -> ApiError:
    """A retry would fail in the same way, on another replica too."""
    return ApiError(500, "the engine failed on this request", code="engine_failed", retryable=False)


def schema_error(param: str | None) -> ApiError:
    """A 400, because the schema comes from the client. Clients retry a 500, and a retry would fail in the same way."""
    return bad_request("the response could not be constrained to its schema", param=param, code="schema_failed")
