"""Connects the engine's thread with the event loop. The only crossing between both.

The thread sends one report per step. Everything else runs on the loop: output buffers, counters, gauges. Scrapes,
admissions and cancellations therefore see complete steps only, and no lock is needed. Reports of short steps of
many streams are handled together: each time the loop wakes up, it costs the engine's thread the interpreter.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from chatscale_contract.openai.errors import ApiError
from chatscale_contract.server.metrics import RejectReason, SloObjective
from chatscale_contract.server.slo import LatencyObjectives
from chatscale_server.engine.protocol import ModelInfo
from chatscale_server.engine.request import FinishReason, Output, Request, StepReport
from chatscale_server.http.in_flight import InFlightRequest, WaitingQueue, engine_error, schema_error
from chatscale_server.metrics import Counts, State

log = logging.getLogger(__name__)

MAX_UNREAD_TOKENS: Final = 2048
"""A stream whose reader is further behind is cancelled, so that it does not occupy a slot and memory."""
STUCK_AFTER_S: Final = 60.0
"""The engine counts as stuck after this time with pending work and no step. A full CPU prefill step takes seconds."""

TOGETHER_S: Final = 0.004
"""Reports of steps shorter than this are handled together, at most this late. A 1B model makes 700 steps a second on an
H100. With 64 streams that are 45,000 tokens, and handling each token alone takes 48 microseconds."""
FEW_STREAMS: Final = 16
"""Reports of so few streams are handled one by one."""


class EnginePort(Protocol):
    """The part of the worker that the bridge calls."""

    def submit(self, request: Request) -> None:
        """Queue a request."""

    def submit_search(self, search: tuple[Request, ...]) -> None:
        """Queue a beam search."""

    def cancel(self, request_id: str) -> None:
        """Free a request's slot."""


@dataclass(slots=True)
class Bridge:
    """Admission, delivery and accounting. Only the four `Listener` methods may be called from another thread."""

    max_concurrency: int | None
    """Batch slots of the settings; None if the engine chooses them."""
    max_queue: int
    queue_timeout_s: float = 60.0
    max_waiting_prompt_tokens: int | None = None
    """See `WaitingQueue.max_prompt_tokens`."""
    objectives: LatencyObjectives = field(default_factory=LatencyObjectives)
    """Of requests that are admitted from now on."""
    counts: Counts = field(default_factory=Counts)
    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    info: ModelInfo | None = None
    failure: BaseException | None = None
    loaded_or_failed: asyncio.Event = field(default_factory=asyncio.Event)
    failed_event: asyncio.Event = field(default_factory=asyncio.Event)
    _port: EnginePort | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _waiting: WaitingQueue = field(init=False)
    _running: dict[str, InFlightRequest] = field(default_factory=dict)
    _held: dict[str, InFlightRequest] = field(default_factory=dict)
    """Choices of a response that has more of them than there are slots. They enter the queue one by one, as soon as
    others of the response finish. They take no room in the queue, so one response cannot fill it."""
    _kv_usage_ratio: float = 0.0
    _last_step_timestamp_s: float = 0.0
    _progress_s: float = 0.0
    """When the engine last reported, or when an idle engine got work."""
    _reports: deque[tuple[StepReport, float]] = field(default_factory=deque)
    """Reports that the loop has not handled, with their times. The only data that both threads change."""
    _timer_set: bool = False
    """True if the loop will handle the reports without another call."""

    def __post_init__(self) -> None:
        self._waiting = WaitingQueue(self.queue_timeout_s, self.max_waiting_prompt_tokens)

    def attach(self, port: EnginePort, loop: asyncio.AbstractEventLoop) -> None:
        """Connect both sides, before the worker starts."""
        self._port, self._loop = port, loop

    # ---- Listener: called from the engine's thread ----

    def phase(self, name: str, seconds: float) -> None:
        """A startup phase is complete."""
        self._call(self._on_phase, name, seconds)

    def loaded(self, info: ModelInfo) -> None:
        """The engine accepts requests."""
        self._call(self._on_loaded, info)

    def stepped(self, report: StepReport) -> None:
        """One step is complete."""
        # The loop clears `_timer_set` before it takes the reports, so it sees those that were added while it was set.
        self._reports.append((report, self.clock()))
        few = report.duration_s >= TOGETHER_S or len(report.outputs) <= FEW_STREAMS
        if few or report.started or any(output.finish for output in report.outputs):
            self._call(self._take_reports)
        elif not self._timer_set:
            self._timer_set = True
            self._call(self._take_reports_later)

    def failed(self, error: BaseException) -> None:
        """The engine has stopped for good."""
        self._call(self._on_failed, error)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._attached_loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            log.debug("event loop is closed, report dropped")

    @property
    def _attached_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("attach() must be called before the worker starts")
        return self._loop

    # ---- called on the event loop ----

    @property
    def slots(self) -> int:
        """Batch slots; 0 until the engine has chosen them."""
        return self.max_concurrency or (self.info.slots if self.info else 0)

    @property
    def in_flight(self) -> int:
        """Number of in-flight requests, waiting and running."""
        return len(self._waiting) + len(self._running)

    def check_room(self, count: int = 1) -> None:
        """Raises ApiError 429 if slots and queue have no room for `count` more. Cheap: call it first."""
        if self.in_flight + count > self.slots + self.max_queue:
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
        """Estimated seconds until the requests that wait now have left the queue."""
        return self._waiting.retry_after_s(self.clock())

    def submit(self, requests: Sequence[Request], schema_param: str | None = None) -> list[InFlightRequest]:
        """Admit all requests of one response, or none.

        At most as many as there are slots enter the queue now, the others are held.  schema_param: the body's field
        that constrains the response to a schema, if there is one.  Raises ApiError 429 if slots and queue are full, or
        if too many prompt tokens wait.
        """
        entering = len(requests) if requests[0].beams > 1 else min(len(requests), self.slots)
        self.check_room(entering)
        if not self._waiting.has_room_for(sum(len(request.prompt) for request in requests[:entering])):
            raise self._queue_full(f"{self._waiting.prompt_tokens} prompt tokens waiting")
        if self._port is None:
            raise RuntimeError("attach() must be called before submit()")
        if self.in_flight == 0:
            self._progress_s = self.clock()
            self._waiting.reset_rate()
        updated, queued_s = asyncio.Event(), self.clock()
        held: deque[InFlightRequest] = deque()
        in_flight = [
            InFlightRequest(replace(request, queued_s=queued_s), updated, schema_param, self.objectives, held)
            for request in requests
        ]
        for request in in_flight[:entering]:
            self._waiting.append(request)
        held += in_flight[entering:]
        self._held |= {request.engine_request.id: request for request in held}
        admitted = tuple(request.engine_request for request in in_flight[:entering])
        if admitted[0].beams > 1:
            self._port.submit_search(admitted)
        else:
            for one in admitted:
                self._port.submit(one)
        return in_flight

    def abandon(self, requests: Sequence[InFlightRequest]) -> None:
        """Cancel requests that nobody reads any more. Their slots stay occupied until the engine reports back."""
        unfinished = [request for request in requests if request.finish is None]
        if self._port is not None and unfinished:
            # One failed choice ends the whole response. That is no client disconnect.
            has_left = all(request.problem is None for request in requests)
            self.counts.client_disconnects += has_left
            for request in unfinished:
                if has_left:
                    request.leave(self.clock())
                if self._held.pop(request.engine_request.id, None):
                    self._count_end(request, FinishReason.CANCELLED)
                    request.end(FinishReason.CANCELLED)
                else:
                    self._port.cancel(request.engine_request.id)
            unfinished[0].held.clear()

    def fail_all(self, problem: ApiError) -> None:
        """End every in-flight request with an error."""
        for request in (*self._waiting.requests, *self._running.values(), *self._held.values()):
            self._count_end(request, FinishReason.ERROR)
            request.end(FinishReason.ERROR, problem)
            request.held.clear()
            if self._port is not None:
                self._port.cancel(request.engine_request.id)
        self._waiting.clear()
        self._running.clear()
        self._held.clear()

    def give_up_if_stuck(self) -> None:
        """Mark a stuck engine as failed, so that no request waits for it any longer."""
        if self.failure is None and self.stuck():
            self._on_failed(TimeoutError(f"work is pending and the engine made no step for {STUCK_AFTER_S:g} seconds"))

    def stuck(self) -> bool:
        """True if work is pending and the engine made no step for `STUCK_AFTER_S`."""
        return self.in_flight > 0 and self.clock() - self._progress_s > STUCK_AFTER_S

    def state(self, *, draining: bool) -> State:
        """The current gauge values."""
        oldest = next(iter(self._waiting.requests), None)
        return State(
            queue_depth=len(self._waiting) + len(self._held),
            requests_running=len(self._running),
            slots=self.slots,
            queue_capacity=self.max_queue,
            max_tokens_per_step=self.info.tokens_per_step if self.info else 0,
            max_tokens_per_second=self.info.max_tokens_per_second if self.info else 0.0,
            decode_step_s=self.info.decode_step_s if self.info else {},
            oldest_waiting_s=max(0.0, self.clock() - oldest.engine_request.queued_s) if oldest else 0.0,
            kv_cache_usage_ratio=self._kv_usage_ratio,
            draining=draining,
            last_step_timestamp_s=self._last_step_timestamp_s,
        )

    def _on_phase(self, name: str, seconds: float) -> None:
        self.counts.startup_phase_s[name] = seconds

    def _on_loaded(self, info: ModelInfo) -> None:
        self.info = info
        self._waiting.max_tokens_per_second = info.max_tokens_per_second
        self._last_step_timestamp_s = self.wall_clock()
        self.loaded_or_failed.set()

    def _take_reports_later(self) -> None:
        self._attached_loop.call_later(TOGETHER_S, self._take_reports)

    def _take_reports(self) -> None:
        self._timer_set = False
        while self._reports:
            self._on_step(*self._reports.popleft())

    def _on_failed(self, error: BaseException) -> None:
        self._take_reports()
        self.failure = error
        self.fail_all(ApiError(500, "the engine failed", code="engine_failed"))
        self.loaded_or_failed.set()
        self.failed_event.set()

    def _on_step(self, report: StepReport, now_s: float) -> None:
        """now_s: when the step was complete."""
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
            if request := self._waiting.remove(request_id):
                request.started_s = now_s - report.duration_s
                self.counts.queue_time_s.observe(max(0.0, request.started_s - request.engine_request.queued_s))
                self._running[request_id] = request
        for output in report.outputs:
            self._deliver(output, now_s)

    def _deliver(self, output: Output, now_s: float) -> None:
        request = self._running.get(output.request_id) or self._waiting.get(output.request_id)
        if request is None:
            return
        if output.tokens or output.vectors:
            self.counts.generated_tokens += output.tokens
            self._time_tokens(request, output.tokens, now_s)
        request.add_output(output)
        if output.finish:
            self._running.pop(output.request_id, None)
            self._waiting.remove(output.request_id)
            self._end(request, output.finish, now_s)
            if request.held and request.problem is None:
                self._release(request.held.popleft(), now_s)
        elif request.unread_tokens > MAX_UNREAD_TOKENS and self._port is not None:
            self._port.cancel(output.request_id)

    def _release(self, request: InFlightRequest, now_s: float) -> None:
        """Move a held request into the queue, in the place of the one of its response that has just finished.

        It counts as arrived now: its client chose to send it in one request, so it is no sign of a slow server.
        """
        request.engine_request = replace(request.engine_request, arrived_s=now_s, queued_s=now_s)
        del self._held[request.engine_request.id]
        self._waiting.append(request)
        if self._port is not None:
            self._port.submit(request.engine_request)

    def _time_tokens(self, request: InFlightRequest, tokens: int, now_s: float) -> None:
        if request.last_token_s is None:
            request.first_token_s = now_s
            self.counts.time_to_first_token_s.observe(now_s - request.engine_request.arrived_s)
            if self._is_late(request, now_s if request.left_s is None else request.left_s):
                self._count_miss(request, SloObjective.TTFT)
            if request.started_s is not None:
                self.counts.prefill_time_s.observe(now_s - request.started_s)
        else:
            self.counts.inter_token_s.observe((now_s - request.last_token_s) / tokens, tokens)
        request.last_token_s = now_s

    def _is_late(self, request: InFlightRequest, at_s: float) -> bool:
        """True if the limit for the first token has passed."""
        speed, asked = self.info.max_tokens_per_second if self.info else 0.0, request.engine_request
        # A beam search returns all tokens at once, so the objective does not apply to it.
        return asked.beams == 1 and request.objectives.misses_ttft(at_s - asked.arrived_s, len(asked.prompt), speed)

    def _count_miss(self, request: InFlightRequest, objective: SloObjective) -> None:
        """Count a request that misses its SLO, once."""
        if request.missed is None:
            request.missed = objective
            self.counts.slo_misses[objective] += 1

    def _count_answer(self, request: InFlightRequest, now_s: float) -> None:
        """Count what is defined for completed requests only."""
        self._waiting.record_finish(now_s)
        self.counts.request_duration_s.observe(now_s - request.engine_request.arrived_s)
        self.counts.request_prompt_tokens.observe(len(request.engine_request.prompt))
        self.counts.request_generated_tokens.observe(request.generated)
        if request.first_token_s is not None:
            decode_time_s = now_s - request.first_token_s
            self.counts.decode_time_s.observe(decode_time_s)
            # A beam search returns all tokens at once, and an encoder none, so there is no time between them.
            if request.engine_request.beams == 1 and request.generated:
                self.counts.time_per_output_token_s.observe(decode_time_s / max(1, request.generated - 1))
                if request.left_s is None and request.objectives.misses_tpot(decode_time_s, request.generated):
                    self._count_miss(request, SloObjective.TPOT)

    def _end(self, request: InFlightRequest, finish: FinishReason, now_s: float) -> None:
        self._count_end(request, finish)
        match finish:
            case FinishReason.STOP | FinishReason.LENGTH:
                self._count_answer(request, now_s)
                request.end(finish)
            case FinishReason.DEADLINE:
                request.end(finish, self._deadline_error())
            case FinishReason.CANCELLED:
                request.end(finish, ApiError(500, "the request was cancelled by the server", code="cancelled"))
            case FinishReason.ERROR:
                request.end(finish, schema_error(request.schema_param))
            case FinishReason.FAILED:
                request.end(finish, engine_error())

    def _count_end(self, request: InFlightRequest, finish: FinishReason) -> None:
        if request.finish is not None:
            return
        if finish is FinishReason.DEADLINE:
            self.counts.rejected[RejectReason.DEADLINE] += 1
        elif request.left_s is not None and request.first_token_s is None:
            # Not among the finished requests: their prompts are not computed, or only a part of them.
            is_late = self._is_late(request, request.left_s)
            self.counts.rejected[RejectReason.ABANDONED if is_late else RejectReason.CANCELLED] += 1
        else:
            self.counts.finished["error" if finish is FinishReason.FAILED else str(finish)] += 1

    def _deadline_error(self) -> ApiError:
        return ApiError(
            503,
            "no slot became free within the queue timeout; try again later",
            code="queue_timeout",
            retry_after_s=self.retry_after_s(),
        )
