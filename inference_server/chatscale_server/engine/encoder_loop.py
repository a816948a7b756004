"""One step of an encoder: take commands, plan a batch, compute it, report. Runs in the engine's thread.

An input that the engine cannot compute ends its own request only. An engine that cannot compute one token raises its
error, which ends the replica.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from chatscale_server.engine.encoder_scheduler import EncoderScheduler, Row
from chatscale_server.engine.request import FinishReason, Output, Request, StepReport
from chatscale_server.logs import where

log = logging.getLogger(__name__)

PROBE: Final = (1,)
"""An input of one token that every vocabulary has."""
TRIES_PER_HALVING: Final = 4
"""Limits the repetitions of a failed batch, in multiples of its halvings, as in `step_isolation`."""


class EncodingEngine(Protocol):
    """The part of an engine that the loop calls."""

    def embed(self, inputs: Sequence[Sequence[int]]) -> list[bytes]:
        """See `Engine.embed`."""
        ...


class EncoderLoop:
    """Runs the steps of one encoder. report: gets the changes of each step; must not block. clock: seconds."""

    def __init__(
        self,
        engine: EncodingEngine,
        scheduler: EncoderScheduler,
        report: Callable[[StepReport], None],
        clock: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._scheduler = scheduler
        self._report = report
        self._clock = clock

    def run_step(self, commands: Iterable[Request | str]) -> bool:
        """Run one step. False if there is nothing to compute. commands: requests, and ids of requests to cancel.

        Raises the engine's error if the engine cannot compute one token.
        """
        ended = [output for command in commands if (output := self._take(command)) is not None]
        ended += [_ended(request.id, FinishReason.DEADLINE) for request in self._scheduler.expire(self._clock())]
        plan = self._scheduler.plan()
        if ended or plan.started:
            # Before the step, because these requests no longer wait for a slot.
            started = tuple(request.id for request in plan.started)
            self._report(StepReport(started=started, outputs=tuple(ended)))
        if not plan.rows:
            return False
        began_s = self._clock()
        failed = self._compute(plan.rows)
        computed = [row for row in plan.rows if row not in failed]
        outputs = [
            self._fail(job.request.id, error) for job, error in {row.job: e for row, e in failed.items()}.items()
        ]
        for job in {row.job: None for row in computed}:
            if job.is_complete and self._scheduler.remove(job.request.id):
                vectors = tuple(job.vectors[at] for at in range(len(job.vectors)))
                outputs.append(Output(job.request.id, "", 0, FinishReason.STOP, vectors=vectors))
        self._report(
            StepReport(
                outputs=tuple(outputs),
                prompt_tokens=sum(len(row.tokens) for row in computed),
                batch_size=len(plan.rows),
                duration_s=self._clock() - began_s,
            )
        )
        if failed:
            self._engine.embed([PROBE])
        return True

    def _take(self, command: Request | str) -> Output | None:
        """Apply one command. Returns the end of a request that this ended."""
        if isinstance(command, str):
            return _ended(command, FinishReason.CANCELLED) if self._scheduler.remove(command) else None
        try:
            self._scheduler.submit(command)
        except ValueError as error:
            return self._fail(command.id, error)
        return None

    def _compute(self, rows: Sequence[Row]) -> dict[Row, Exception]:
        """Compute the rows and store their vectors. After an error, repeat with half of the rows each.

        Returns the rows that could not be computed, and why.
        """
        failed: dict[Row, Exception] = {}
        parts, left = [rows], TRIES_PER_HALVING * len(rows).bit_length()
        while parts:
            part = parts.pop()
            left -= 1
            try:
                vectors = self._engine.embed([row.tokens for row in part])
            except Exception as error:  # noqa: BLE001 - an engine can raise any error, and it must not end the replica
                if len(part) > 1 and left > 0:
                    parts += [part[len(part) // 2 :], part[: len(part) // 2]]
                else:
                    failed |= dict.fromkeys(part, error)
            else:
                for row, vector in zip(part, vectors, strict=True):
                    row.job.vectors[row.at] = vector
        return failed

    def _fail(self, request_id: str, error: Exception) -> Output:
        """End a request that the engine cannot compute."""
        # Without the error's message: it may quote the input.
        log.error("request failed in the engine", extra={"request": request_id, **where(error)})
        self._scheduler.remove(request_id)
        return _ended(request_id, FinishReason.FAILED)


def _ended(request_id: str, finish: FinishReason) -> Output:
    return Output(request_id, "", 0, finish)
