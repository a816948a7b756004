"""The one place where the engine's thread meets the event loop.

The thread hands over one report per step with one `call_soon_threadsafe`; from there on everything runs
on the loop: tickets, counts, gauges. So a scrape, an admission and a cancellation always see whole steps,
and nothing here needs a lock.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from chatscale_contract.openai.errors import ApiError, bad_request
from chatscale_contract.server.metrics import RejectReason, SloObjective
from chatscale_server.engine.protocol import ModelInfo
from chatscale_server.engine.request import FinishReason, Output, Request, StepReport
from chatscale_server.http.line import WaitingLine
from chatscale_server.http.slo import Slo
from chatscale_server.http.ticket import Ticket
from chatscale_server.metrics import Counts, State

log = logging.getLogger(__name__)

MAX_UNREAD_TOKENS: Final = 2048
"""A stream whose reader is further behind than this is cancelled; it must not hold the batch or the memory."""
STUCK_AFTER_S: Final = 60.0
"""Work pending and no step for so long: the engine hangs. A CPU step over a full prefill budget takes seconds."""


class EnginePort(Protocol):
    """What the bridge asks of the worker."""

    def submit(self, request: Request) -> None:
        """Queue a request."""

    def submit_search(self, search: tuple[Request, ...]) -> None:
        """Queue a beam search."""

    def cancel(self, request_id: str) -> None:
        """Free a request's slot."""


@dataclass(slots=True)
class Bridge:
    """Admission, delivery and accounting. All methods but the four `Listener` ones belong to the loop."""

    slots: int
    max_queue: int
    queue_timeout_s: float = 60.0
    max_waiting_prompt_tokens: int | None = None
    """See WaitingLine."""
    slo: Slo = field(default_factory=Slo)
    counts: Counts = field(default_factory=Counts)
    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    info: ModelInfo | None = None
    failure: BaseException | None = None
    loaded_or_failed: asyncio.Event = field(default_factory=asyncio.Event)
    failed_event: asyncio.Event = field(default_factory=asyncio.Event)
    _port: EnginePort | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _line: WaitingLine = field(init=False)
    _running: dict[str, Ticket] = field(default_factory=dict)
    _kv_usage_ratio: float = 0.0
    _last_step_timestamp_s: float = 0.0
    _progress_s: float = 0.0
    """When the engine last reported, or when work came to an idle engine."""

    def __post_init__(self) -> None:
        self._line = WaitingLine(self.queue_timeout_s, self.max_waiting_prompt_tokens)

    def attach(self, port: EnginePort, loop: asyncio.AbstractEventLoop) -> None:
        """Connect both sides, before the worker starts."""
        self._port, self._loop = port, loop

    # ---- Listener: called from the engine's thread ----

    def phase(self, name: str, seconds: float) -> None:
        """A phase of the start is over."""
        self._call(self._on_phase, name, seconds)

    def loaded(self, info: ModelInfo) -> None:
        """The engine takes requests."""
        self._call(self._on_loaded, info)

    def stepped(self, report: StepReport) -> None:
        """One step is done."""
        self._call(self._on_step, report)

    def failed(self, error: BaseException) -> None:
        """The engine is gone."""
        self._call(self._on_failed, error)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._attached_loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            log.debug("the loop is closed; nobody is left to tell")

    @property
    def _attached_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("attach() comes before the worker's start")
        return self._loop

    # ---- the loop's side ----

    @property
    def in_system(self) -> int:
        """Requests admitted and not ended."""
        return len(self._line) + len(self._running)

    def check_room(self, count: int = 1) -> None:
        """Raises ApiError 429 when slots and queue cannot take `count` more; costs nothing, so ask before any work."""
        if self.in_system + count > self.slots + self.max_queue:
            raise self._queue_full(f"{self.max_queue} waiting")

    def _queue_full(self, why: str) -> ApiError:
        self.counts.rejected[RejectReason.QUEUE_FULL] += 1
        return ApiError(
            429,
            f"the queue is full ({why}); try again later",
            code="queue_full",
            retry_after_s=self.retry_after_s(),
        )

    def retry_after_s(self) -> int:
        """Seconds until the present queue should have drained."""
        return self._line.retry_after_s(self.clock())

    def submit(self, requests: Sequence[Request], schema_param: str | None = None) -> list[Ticket]:
        """Admit all of them, with one bell, or none.

        schema_param: the body's field that holds them to a schema, if one does.  Raises ApiError 429 when there is no
        room, or too much to read before them.
        """
        self.check_room(len(requests))
        if not self._line.takes(sum(len(request.prompt) for request in requests)):
            raise self._queue_full(f"{self._line.prompt_tokens} prompt tokens waiting")
        if self._port is None:
            raise RuntimeError("attach() comes before submit()")
        if self.in_system == 0:
            self._progress_s = self.clock()
            self._line.forget_rate()
        bell, queued_s = asyncio.Event(), self.clock()
        tickets = [Ticket(replace(request, queued_s=queued_s), bell, schema_param) for request in requests]
        for ticket in tickets:
            self._line.join(ticket)
        admitted = tuple(ticket.request for ticket in tickets)
        if admitted[0].beams > 1:
            self._port.submit_search(admitted)
        else:
            for request in admitted:
                self._port.submit(request)
        return tickets

    def abandon(self, tickets: Sequence[Ticket]) -> None:
        """Their one reader has left. Slots count as taken until the engine confirms that they are free."""
        unfinished = [ticket for ticket in tickets if ticket.finish is None]
        if self._port is not None and unfinished:
            # A choice that fails takes the others with it; then nobody has left.
            self.counts.client_disconnects += all(ticket.problem is None for ticket in tickets)
            for ticket in unfinished:
                self._port.cancel(ticket.request.id)

    def fail_all(self, problem: ApiError) -> None:
        """End every open request with an error."""
        for ticket in (*self._line.tickets, *self._running.values()):
            self._count_end(ticket, FinishReason.ERROR)
            ticket.end(FinishReason.ERROR, problem)
            if self._port is not None:
                self._port.cancel(ticket.request.id)
        self._line.clear()
        self._running.clear()

    def give_up_if_stuck(self) -> None:
        """Take a hanging engine for a failed one, so that nobody waits for it any longer."""
        if self.failure is None and self.stuck():
            self._on_failed(TimeoutError(f"work is pending, and no step came for {STUCK_AFTER_S:g} seconds"))

    def stuck(self) -> bool:
        """Work is pending and the engine has not stepped for too long."""
        return self.in_system > 0 and self.clock() - self._progress_s > STUCK_AFTER_S

    def state(self, *, draining: bool) -> State:
        """The gauges of this moment."""
        oldest = next(iter(self._line.tickets), None)
        return State(
            queue_depth=len(self._line),
            requests_running=len(self._running),
            slots=self.slots,
            queue_capacity=self.max_queue,
            max_tokens_per_step=self.info.tokens_per_step if self.info else 0,
            max_tokens_per_second=self.info.max_tokens_per_second if self.info else 0.0,
            oldest_waiting_s=max(0.0, self.clock() - oldest.request.queued_s) if oldest else 0.0,
            kv_cache_usage_ratio=self._kv_usage_ratio,
            draining=draining,
            last_step_timestamp_s=self._last_step_timestamp_s,
        )

    def _on_phase(self, name: str, seconds: float) -> None:
        self.counts.startup_phase_s[name] = seconds

    def _on_loaded(self, info: ModelInfo) -> None:
        self.info = info
        self._line.max_tokens_per_second = info.max_tokens_per_second
        self._last_step_timestamp_s = self.wall_clock()
        self.loaded_or_failed.set()

    def _on_failed(self, error: BaseException) -> None:
        self.failure = error
        self.fail_all(ApiError(500, "the engine failed", code="engine_failed"))
        self.loaded_or_failed.set()
        self.failed_event.set()

    def _on_step(self, report: StepReport) -> None:
        now_s = self.clock()
        self._progress_s = now_s
        self._kv_usage_ratio = report.kv_usage_ratio
        self.counts.prompt_tokens += report.prompt_tokens
        self.counts.prefix_queries += report.prefix_queries
        self.counts.prefix_hits += report.prefix_hits
        if report.batch_size:
            self._last_step_timestamp_s = self.wall_clock()
            self.counts.step_duration_s.observe(report.duration_s)
            self.counts.batch_size.observe(report.batch_size)
        for request_id in report.started:
            if ticket := self._line.leave(request_id):
                ticket.started_s = now_s - report.duration_s
                self.counts.queue_time_s.observe(max(0.0, ticket.started_s - ticket.request.queued_s))
                self._running[request_id] = ticket
        for output in report.outputs:
            self._deliver(output, now_s)

    def _deliver(self, output: Output, now_s: float) -> None:
        ticket = self._running.get(output.request_id) or self._line.get(output.request_id)
        if ticket is None:
            return
        if output.tokens:
            self.counts.generated_tokens += output.tokens
            self._time_tokens(ticket, output.tokens, now_s)
        ticket.feed(output)
        if output.finish:
            self._running.pop(output.request_id, None)
            self._line.leave(output.request_id)
            self._end(ticket, output.finish, now_s)
        elif ticket.unread_tokens > MAX_UNREAD_TOKENS and self._port is not None:
            self._port.cancel(output.request_id)

    def _time_tokens(self, ticket: Ticket, tokens: int, now_s: float) -> None:
        if ticket.last_token_s is None:
            ticket.first_token_s = now_s
            self._count_first_token(ticket.request, now_s - ticket.request.arrived_s)
            if ticket.started_s is not None:
                self.counts.prefill_time_s.observe(now_s - ticket.started_s)
        else:
            self.counts.inter_token_s.observe((now_s - ticket.last_token_s) / tokens, tokens)
        ticket.last_token_s = now_s

    def _count_first_token(self, request: Request, ttft_s: float) -> None:
        self.counts.time_to_first_token_s.observe(ttft_s)
        speed = self.info.max_tokens_per_second if self.info else 0.0
        # The first token of a beam search is its last as well; nothing is promised of it.
        if request.beams == 1 and self.slo.misses_ttft(ttft_s, len(request.prompt), speed):
            self.counts.slo_misses[SloObjective.TTFT] += 1

    def _count_answer(self, ticket: Ticket, now_s: float) -> None:
        """What is only known, and only means something, of requests that came to their own end."""
        self._line.note_finished(now_s)
        self.counts.request_duration_s.observe(now_s - ticket.request.arrived_s)
        self.counts.request_prompt_tokens.observe(len(ticket.request.prompt))
        self.counts.request_generated_tokens.observe(ticket.generated)
        if ticket.first_token_s is not None:
            decode_time_s = now_s - ticket.first_token_s
            self.counts.decode_time_s.observe(decode_time_s)
            # A beam search gives its tokens all at once, so there is no time between them.
            if ticket.request.beams == 1:
                self.counts.time_per_output_token_s.observe(decode_time_s / max(1, ticket.generated - 1))
                self.counts.slo_misses[SloObjective.TPOT] += self.slo.misses_tpot(decode_time_s, ticket.generated)

    def _end(self, ticket: Ticket, finish: FinishReason, now_s: float) -> None:
        self._count_end(ticket, finish)
        match finish:
            case FinishReason.STOP | FinishReason.LENGTH:
                self._count_answer(ticket, now_s)
                ticket.end(finish)
            case FinishReason.DEADLINE:
                ticket.end(finish, self._deadline_error())
            case FinishReason.CANCELLED:
                ticket.end(finish, ApiError(500, "the request was cancelled by the server", code="cancelled"))
            case FinishReason.ERROR:
                ticket.end(finish, _schema_error(ticket.schema_param))

    def _count_end(self, ticket: Ticket, finish: FinishReason) -> None:
        if ticket.finish is not None:
            return
        if finish is FinishReason.DEADLINE:
            self.counts.rejected[RejectReason.DEADLINE] += 1
        else:
            self.counts.finished[str(finish)] += 1

    def _deadline_error(self) -> ApiError:
        return ApiError(
            503,
            "no slot became free within the queue timeout; try again later",
            code="queue_timeout",
            retry_after_s=self.retry_after_s(),
        )


def _schema_error(param: str | None) -> ApiError:
    """A 400: the schema is the client's, and trying again, as clients do after a 500, would end the same."""
    return bad_request("the answer could not be held to its schema", param=param, code="schema_failed")
