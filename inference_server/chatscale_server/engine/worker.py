"""The one thread that owns the engine: take commands, schedule, step, report.

Commands come in through a deque and an event, results go out as one report per step, and one
before it if it admits or ends a request; there is no lock,
and no other thread touches scheduler, model or cache. What `listener` does with a report is the HTTP
side's business (`http/bridge.py` hands it to its event loop).
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from chatscale_server.engine.answer import Answer, Piece
from chatscale_server.engine.beams import BeamLine, Search
from chatscale_server.engine.detokenize import StopFilter
from chatscale_server.engine.kv_budget import KvBudget
from chatscale_server.engine.protocol import Engine, ModelInfo
from chatscale_server.engine.request import FinishReason, Output, Request, Score, StepReport
from chatscale_server.engine.scheduler import Scheduler, Sequence, StepPlan

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Called from the engine's thread; must not block."""

    def phase(self, name: str, seconds: float) -> None:
        """A phase of the start is over."""
        ...

    def loaded(self, info: ModelInfo) -> None:
        """Ready for requests."""
        ...

    def stepped(self, report: StepReport) -> None:
        """One step is done."""
        ...

    def failed(self, error: BaseException) -> None:
        """The thread has ended and will do nothing more."""
        ...


@dataclass(slots=True)
class Worker:
    """Starts with `start`; `submit`, `cancel` and `stop` may be called from any thread."""

    engine: Engine
    listener: Listener
    slots: int
    queue_timeout_s: float
    clock: Callable[[], float] = time.monotonic
    _commands: deque[Request | Search | str] = field(default_factory=deque)
    """A request or a beam search to submit, or the id of a request to cancel."""
    _wake: threading.Event = field(default_factory=threading.Event)
    _stopping: bool = False
    _answers: dict[str, Answer] = field(default_factory=dict)
    _beams: BeamLine = field(init=False)
    _thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        self._beams = BeamLine(self.queue_timeout_s)

    def start(self) -> None:
        """Load the model and serve, in a thread that does not keep a finished process alive."""
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Queue a request that fits the model."""
        self._commands.append(request)
        self._wake.set()

    def submit_search(self, search: Search) -> None:
        """Queue a beam search that fits the model."""
        self._commands.append(search)
        self._wake.set()

    def cancel(self, request_id: str) -> None:
        """Free the request's slot before the next step; unknown ids are ignored."""
        self._commands.append(request_id)
        self._wake.set()

    def stop(self, timeout_s: float) -> bool:
        """End the thread after its present step; False if it is still busy after `timeout_s`."""
        self._stopping = True
        self._wake.set()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            info = self.engine.load(self.listener.phase)
            budget = KvBudget(info.kv_capacity_tokens)
            scheduler = Scheduler(
                self.slots, budget, info.tokens_per_step, self.queue_timeout_s,
                reuse_prefixes=info.reuses_prefixes, burst_factor=info.burst_factor,
            )  # fmt: skip
            self.listener.loaded(info)
            while True:
                # Before the look at `_stopping`: the other way round a stop in between would be slept through.
                self._wake.clear()
                if self._stopping:
                    return
                busy = self._turn(scheduler, info)
                if search := self._beams.start():
                    self._search(search, scheduler, info)
                elif not busy:
                    self._wake.wait()
        except BaseException as error:  # noqa: BLE001 - the loop's top: whatever it was, requests must be answered
            self.listener.failed(error)

    def _turn(self, scheduler: Scheduler, info: ModelInfo) -> bool:
        """One step; False if there is nothing to compute."""
        ended = self._take_commands(scheduler)
        expired = (*scheduler.expire(self.clock()), *self._beams.expire(self.clock()))
        ended += [Output(request.id, "", 0, FinishReason.DEADLINE) for request in expired]
        plan = scheduler.plan()
        if ended or plan.started:
            # Before the step, which takes long where prompts are: meanwhile these do not wait for a slot any more.
            started = tuple(sequence.request.id for sequence in plan.started)
            self.listener.stepped(
                StepReport(started=started, outputs=tuple(ended), kv_usage_ratio=scheduler.kv_usage_ratio)
            )
        if plan.batch_size == 0:
            return False
        for sequence in plan.started:
            self._answers[sequence.request.id] = Answer(self.engine.decoder(), StopFilter(sequence.request.stop))
        began_s = self.clock()
        tokens = self.engine.step(plan)
        duration_s = self.clock() - began_s
        scores = self.engine.scores()
        outputs = [
            self._advance(scheduler, sequence, tokens[sequence.slot], scores.get(sequence.slot), info)
            for sequence in _yielding(plan)
        ]
        self.listener.stepped(
            StepReport(
                outputs=tuple(outputs),
                prompt_tokens=plan.prompt_tokens,
                prefix_queries=plan.prefix_queries,
                prefix_hits=plan.prefix_hits,
                batch_size=plan.batch_size,
                duration_s=duration_s,
                kv_usage_ratio=scheduler.kv_usage_ratio,
            )
        )
        return True

    def _search(self, search: Search, scheduler: Scheduler, info: ModelInfo) -> None:
        """Answer one beam search; everybody else has a step after each of its own."""
        self.listener.stepped(
            StepReport(started=tuple(one.id for one in search), kv_usage_ratio=scheduler.kv_usage_ratio)
        )
        began_s, unread = self.clock(), len(search[0].prompt)

        def between() -> bool:
            nonlocal began_s, unread
            self.listener.stepped(
                StepReport(
                    prompt_tokens=unread,
                    batch_size=search[0].beams,
                    duration_s=self.clock() - began_s,
                    kv_usage_ratio=scheduler.kv_usage_ratio,
                )
            )
            self._turn(scheduler, info)
            began_s, unread = self.clock(), 0
            return self._stopping or self._beams.cancelled

        found = self.engine.search_beams(search[0], len(search), between)
        if self._beams.cancelled:
            outputs = [Output(one.id, "", 0, FinishReason.CANCELLED) for one in search]
        else:
            outputs = [self._found(one.id, tokens, info) for one, tokens in zip(search, found, strict=True)]
        self.listener.stepped(StepReport(outputs=tuple(outputs), kv_usage_ratio=scheduler.kv_usage_ratio))

    def _found(self, request_id: str, tokens: list[int], info: ModelInfo) -> Output:
        """A whole answer at once."""
        ended = tokens[-1] in info.end_tokens
        answer = Answer(self.engine.decoder(), StopFilter(()))
        text = "".join(answer.push(token).text for token in (tokens[:-1] if ended else tokens)) + answer.end().text
        return Output(request_id, text, len(tokens), FinishReason.STOP if ended else FinishReason.LENGTH)

    def _take_commands(self, scheduler: Scheduler) -> list[Output]:
        """Apply what came in since the last step; the ends that this made."""
        ended = []
        while self._commands:
            command = self._commands.popleft()
            if isinstance(command, Request):
                scheduler.submit(command)
            elif isinstance(command, tuple):
                self._beams.submit(command)
            elif scheduler.remove(command):
                self._answers.pop(command, None)
                ended.append(Output(command, "", 0, FinishReason.CANCELLED))
            else:
                ended += [Output(one.id, "", 0, FinishReason.CANCELLED) for one in self._beams.cancel(command)]
        return ended

    def _advance(
        self, scheduler: Scheduler, sequence: Sequence, token: int, score: Score | None, info: ModelInfo
    ) -> Output:
        """Account for one new token of one sequence."""
        request = sequence.request
        answer = self._answers[request.id]
        sequence.take(token)
        finish: FinishReason | None = None
        if request.constraint is not None and request.constraint.problem is not None:
            piece, finish = Piece(""), FinishReason.ERROR
        elif token in info.end_tokens:
            piece, finish = answer.end(), FinishReason.STOP
        else:
            piece = answer.push(token, score)
            if piece.stopped:
                finish = FinishReason.STOP
            elif sequence.generated == request.max_tokens:
                last = answer.end()
                piece, finish = Piece(piece.text + last.text, piece.scores + last.scores), FinishReason.LENGTH
        if finish:
            scheduler.remove(request.id)
            del self._answers[request.id]
        return Output(request.id, piece.text, 1, finish, piece.scores)


def _yielding(plan: StepPlan) -> list[Sequence]:
    """Sequences that the step gives a token to."""
    return [*plan.decodes, *(chunk.sequence for chunk in plan.chunks if chunk.last)]
