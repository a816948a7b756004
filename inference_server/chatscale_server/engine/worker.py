"""The thread that owns the engine: take commands, schedule, step, report.

An error in the computation of a request ends this request only. The thread ends if the engine cannot compute one token
any more.

Commands arrive through a deque and an event. Results leave as one report per step, and one before the step if it
starts or ends requests. There is no lock: no other thread uses scheduler, model or cache. `http/bridge.py` passes the
reports to the event loop.
"""

import gc
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from chatscale_server.engine.beams import BeamQueue, Search
from chatscale_server.engine.detokenize import SequenceText, StopFilter, TextPiece
from chatscale_server.engine.encoder_loop import EncoderLoop
from chatscale_server.engine.encoder_scheduler import EncoderScheduler
from chatscale_server.engine.kv_memory import make_memory
from chatscale_server.engine.pages import NO_PAGE
from chatscale_server.engine.prefixes import SlotContents
from chatscale_server.engine.protocol import Engine, ModelInfo
from chatscale_server.engine.request import FinishReason, Output, Request, Sampling, Score, StepReport
from chatscale_server.engine.scheduler import Scheduler
from chatscale_server.engine.sequence import Chunk, Sequence, StepPlan
from chatscale_server.engine.step_isolation import run_isolated, without, yielding
from chatscale_server.logs import where

log = logging.getLogger(__name__)

PROBE_TOKEN: Final = 1
"""Any token that every vocabulary has."""


class EngineBrokenError(Exception):
    """The engine cannot compute one token. Its cause is the engine's error."""


class Listener(Protocol):
    """Receives events in the engine's thread. Must not block."""

    def phase(self, name: str, seconds: float) -> None:
        """A startup phase is complete."""
        ...

    def loaded(self, info: ModelInfo) -> None:
        """The model is loaded, and the engine accepts requests."""
        ...

    def stepped(self, report: StepReport) -> None:
        """One step is complete."""
        ...

    def failed(self, error: BaseException) -> None:
        """The thread has ended with an error."""
        ...


@dataclass(slots=True)
class Worker:
    """Runs the engine. `submit`, `cancel` and `stop` may be called in any thread."""

    engine: Engine
    listener: Listener
    slots: int | None
    """None: those of the engine."""
    queue_timeout_s: float
    clock: Callable[[], float] = time.monotonic
    _commands: deque[Request | Search | str] = field(default_factory=deque)
    """Each is a request or beam search to submit, or the id of a request to cancel."""
    _wake: threading.Event = field(default_factory=threading.Event)
    _stopping: bool = False
    _texts: dict[str, SequenceText] = field(default_factory=dict)
    _cached: dict[str, int] = field(default_factory=dict)
    """Prompt tokens of running requests that were found in the cache: those before its first chunk."""
    _beams: BeamQueue = field(init=False)
    _thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        self._beams = BeamQueue(self.queue_timeout_s)

    def start(self) -> None:
        """Load the model and serve, in a daemon thread."""
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Queue a request. It must fit the model's limits."""
        self._commands.append(request)
        self._wake.set()

    def submit_search(self, search: Search) -> None:
        """Queue a beam search. It must fit the model's limits."""
        self._commands.append(search)
        self._wake.set()

    def cancel(self, request_id: str) -> None:
        """Free the request's slot before the next step; unknown ids are ignored."""
        self._commands.append(request_id)
        self._wake.set()

    def stop(self, timeout_s: float) -> bool:
        """End the thread after its current step. False if it is still running after `timeout_s`."""
        self._stopping = True
        self._wake.set()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            info = self.engine.load(self.listener.phase)
            if info.encoder is not None:
                self._run_encoder(info)
                return
            contents = SlotContents(self.slots or info.slots)
            memory = make_memory(contents, info.kv_capacity_tokens, info.page_tokens)
            scheduler = Scheduler(
                contents, memory, info.tokens_per_step, self.queue_timeout_s,
                reuse_prefixes=info.reuses_prefixes, burst_factor=info.burst_factor,
            )  # fmt: skip
            # The collector need not look at the model's objects again and again: a full collection takes 0.1 s.
            gc.collect()
            gc.freeze()
            self.listener.loaded(info)
            while True:
                # Clear before reading `_stopping`: in the other order a stop between both would be missed.
                self._wake.clear()
                if self._stopping:
                    return
                busy = self._run_step(scheduler, info)
                if search := self._beams.start():
                    self._search(search, scheduler, info)
                elif not busy:
                    self._wake.wait()
        except EngineBrokenError as error:
            self.listener.failed(error.__cause__ or error)
        except BaseException as error:  # noqa: BLE001 - top of the loop: all requests need a response after any error
            self.listener.failed(error)

    def _run_encoder(self, info: ModelInfo) -> None:
        """Serve an encoder until `stop`. Raises the engine's error if it cannot compute one token."""
        scheduler = EncoderScheduler(self.slots or info.slots, info.tokens_per_step, self.queue_timeout_s)
        loop = EncoderLoop(self.engine, scheduler, self.listener.stepped, self.clock)
        self.listener.loaded(info)
        while True:
            # In this order, as in `_run`.
            self._wake.clear()
            if self._stopping:
                return
            commands = [self._commands.popleft() for _ in range(len(self._commands))]
            if not loop.run_step(command for command in commands if not isinstance(command, tuple)):
                self._wake.wait()

    def _run_step(self, scheduler: Scheduler, info: ModelInfo) -> bool:
        """Run one step. False if there is nothing to compute."""
        ended = self._take_commands(scheduler)
        expired = (*scheduler.expire(self.clock()), *self._beams.expire(self.clock()))
        ended += [Output(request.id, "", 0, FinishReason.DEADLINE) for request in expired]
        plan = self._plan(scheduler, ended)
        if plan.paused:
            log.info("the KV cache is full, the youngest requests are paused", extra={"paused": plan.paused})
        if ended or plan.started:
            # Report before the step: a step with prompts takes long, and these requests no longer wait for a slot.
            started = tuple(sequence.request.id for sequence in plan.started)
            self.listener.stepped(
                StepReport(started=started, outputs=tuple(ended), kv_usage_ratio=scheduler.kv_usage_ratio)
            )
        if plan.batch_size == 0:
            return False
        for chunk in plan.chunks:
            self._cached.setdefault(chunk.sequence.request.id, chunk.start)
        began_s = self.clock()
        failed, error = self._prepare(scheduler, plan)
        rows = without(plan, failed)
        outcome = run_isolated(self.engine.step, rows)
        duration_s = self.clock() - began_s
        failed += outcome.failed
        outputs = [self._fail(scheduler, sequence, outcome.error or error) for sequence in failed]
        free = [sequence.slot for sequence in failed]
        scores = self.engine.scores()
        for sequence in yielding(without(rows, outcome.failed)):
            try:
                output = self._advance(
                    scheduler, sequence, outcome.tokens[sequence.slot], scores.get(sequence.slot), info
                )
            except Exception as text_error:  # noqa: BLE001 - see `_fail`
                output = self._fail(scheduler, sequence, text_error)
                free.append(sequence.slot)
            outputs.append(output)
        self.listener.stepped(
            StepReport(
                outputs=tuple(outputs),
                prompt_tokens=without(plan, failed).prompt_tokens,
                prefix_queries=plan.prefix_queries,
                prefix_hits=plan.prefix_hits,
                batch_size=plan.batch_size,
                duration_s=duration_s,
                kv_usage_ratio=scheduler.kv_usage_ratio,
            )
        )
        if free:
            self._probe(scheduler, free[0])
        return True

    def _plan(self, scheduler: Scheduler, ended: list[Output]) -> StepPlan:
        """The plan of the next step. If planning fails, all requests end: their state is unknown."""
        try:
            return scheduler.plan()
        except Exception as error:  # noqa: BLE001 - see `_fail`
            log.error("planning failed", extra=where(error))  # noqa: TRY400 - see `_fail`
            self._texts.clear()
            self._cached.clear()
            ended += [Output(request.id, "", 0, FinishReason.FAILED) for request in scheduler.clear()]
            return StepPlan()

    def _prepare(self, scheduler: Scheduler, plan: StepPlan) -> tuple[list[Sequence], Exception | None]:
        """Prepare the step. Returns the sequences that cannot be computed, and why."""
        failed: list[Sequence] = []
        problem: Exception | None = None
        for sequence in plan.started:
            try:
                decoder = self.engine.decoder(marks=True) if sequence.request.marks else self.engine.decoder()
                text = SequenceText(decoder, StopFilter(sequence.request.stop))
            except Exception as error:  # noqa: BLE001 - see `_fail`
                failed.append(sequence)
                problem = error
            else:
                self._texts[sequence.request.id] = text
        try:
            self.engine.prepare(plan)
        except Exception as error:  # noqa: BLE001 - see `_fail`
            # Which slots were reset and copied is unknown.
            targets = {*(sequence.slot for sequence in plan.started), *(copy.target for copy in plan.copies)}
            return [sequence for sequence in scheduler.running if sequence.slot in targets], error
        return failed, problem

    def _fail(self, scheduler: Scheduler, sequence: Sequence, error: Exception | None) -> Output:
        """End a request that the engine cannot compute. The others continue."""
        request_id = sequence.request.id
        fields = {"request": request_id, **(where(error) if error else {})}
        log.error("request failed in the engine", extra=fields)  # without the message: it may quote the prompt
        scheduler.fail(request_id)
        self._texts.pop(request_id, None)
        self._cached.pop(request_id, None)
        return Output(request_id, "", 0, FinishReason.FAILED)

    def _probe(self, scheduler: Scheduler, slot: int) -> None:
        """Compute one token that belongs to no request, in a free slot. Raises EngineBrokenError."""
        request = Request(id="probe", prompt=(PROBE_TOKEN,), max_tokens=1, sampling=Sampling(temperature=0.0))
        sequence = Sequence(request, slot, pages=[NO_PAGE])
        plan = StepPlan(started=(sequence,), chunks=(Chunk(sequence, 0, 1),))
        try:
            self.engine.prepare(plan)
            token = self.engine.step(plan)[slot]
            SequenceText(self.engine.decoder(), StopFilter(())).push(token)
        except Exception as error:
            raise EngineBrokenError from error
        finally:
            scheduler.forget(slot)

    def _search(self, search: Search, scheduler: Scheduler, info: ModelInfo) -> None:
        """Run one beam search. The batch runs one step after each of its steps."""
        self.listener.stepped(
            StepReport(started=tuple(one.id for one in search), kv_usage_ratio=scheduler.kv_usage_ratio)
        )
        began_s, prompt_tokens = self.clock(), len(search[0].prompt)

        def between() -> bool:
            nonlocal began_s, prompt_tokens
            self.listener.stepped(
                StepReport(
                    prompt_tokens=prompt_tokens,
                    batch_size=search[0].beams,
                    duration_s=self.clock() - began_s,
                    kv_usage_ratio=scheduler.kv_usage_ratio,
                )
            )
            self._run_step(scheduler, info)
            began_s, prompt_tokens = self.clock(), 0
            return self._stopping or self._beams.cancelled

        failed = False
        try:
            found = self.engine.search_beams(search[0], len(search), between)
            if self._beams.cancelled:
                outputs = [Output(one.id, "", 0, FinishReason.CANCELLED) for one in search]
            else:
                outputs = [self._search_output(one.id, tokens, info) for one, tokens in zip(search, found, strict=True)]
        except EngineBrokenError:
            raise
        except Exception as error:  # noqa: BLE001 - see `_fail`
            log.error("search failed", extra={"request": search[0].id, **where(error)})  # noqa: TRY400 - see `_fail`
            outputs = [Output(one.id, "", 0, FinishReason.FAILED) for one in search]
            failed = True
        self.listener.stepped(StepReport(outputs=tuple(outputs), kv_usage_ratio=scheduler.kv_usage_ratio))
        # If no slot is free, the next step shows whether the engine works.
        if failed and scheduler.free_slots:
            self._probe(scheduler, scheduler.free_slots[0])

    def _search_output(self, request_id: str, tokens: list[int], info: ModelInfo) -> Output:
        """The complete output of a beam search."""
        ended = tokens[-1] in info.end_tokens
        output = SequenceText(self.engine.decoder(), StopFilter(()))
        text = "".join(output.push(token).text for token in (tokens[:-1] if ended else tokens)) + output.end().text
        return Output(request_id, text, len(tokens), FinishReason.STOP if ended else FinishReason.LENGTH)

    def _take_commands(self, scheduler: Scheduler) -> list[Output]:
        """Apply the commands since the last step. Returns the requests that this ended."""
        ended = []
        while self._commands:
            command = self._commands.popleft()
            if isinstance(command, Request):
                try:
                    scheduler.submit(command)
                except ValueError as error:
                    log.error("request rejected", extra={"request": command.id, **where(error)})  # noqa: TRY400
                    ended.append(Output(command.id, "", 0, FinishReason.FAILED))
            elif isinstance(command, tuple):
                self._beams.submit(command)
            elif scheduler.remove(command):
                self._texts.pop(command, None)
                self._cached.pop(command, None)
                ended.append(Output(command, "", 0, FinishReason.CANCELLED))
            else:
                ended += [Output(one.id, "", 0, FinishReason.CANCELLED) for one in self._beams.cancel(command)]
        return ended

    def _advance(
        self, scheduler: Scheduler, sequence: Sequence, token: int, score: Score | None, info: ModelInfo
    ) -> Output:
        """Process the new token of one sequence."""
        request = sequence.request
        text = self._texts[request.id]
        sequence.append(token)
        finish: FinishReason | None = None
        if request.constraint is not None and request.constraint.problem is not None:
            piece, finish = TextPiece(""), FinishReason.ERROR
        elif sequence.generated > request.min_tokens and _ends(request, token, info):
            piece, finish = text.end(), FinishReason.STOP
        else:
            text.stop.active = sequence.generated >= request.min_tokens
            piece = text.push(token, score)
            if piece.stopped:
                finish = FinishReason.STOP
            elif sequence.generated == request.max_tokens:
                last = text.end()
                piece, finish = TextPiece(piece.text + last.text, piece.scores + last.scores), FinishReason.LENGTH
        if finish:
            scheduler.remove(request.id)
            del self._texts[request.id]
        cached_tokens = self._cached.pop(request.id, 0) if finish else 0
        return Output(request.id, piece.text, 1, finish, piece.scores, cached_tokens=cached_tokens)


def _ends(request: Request, token: int, info: ModelInfo) -> bool:
    """True if the token ends the output."""
    return token in request.stop_tokens or (token in info.end_tokens and not request.ignore_end_tokens)
