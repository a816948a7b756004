"""The model step of an answer: when the chat model is called, and for how long.

The model step is the first thing that is dropped under load. A pod has at most `max_calls` calls in flight and no
queue. A call that finds no place is a sign of pressure: for some seconds calls then get only the time within which a
customer must have an answer, also those that are already in flight. A model that fails several times in a row is not
called for a while.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from typing_extensions import override

from chatscale_assistant import metrics
from chatscale_assistant.domain.interfaces import ChatModel
from chatscale_assistant.upstream.client import Completion, Failure, ModelFailedError

log = logging.getLogger(__name__)

PRESSURE_S: Final = 10.0
"""How long a sign of pressure counts."""
TIME_UNDER_PRESSURE_S: Final = 1.2
"""For a call under pressure. Customers get an answer within 2 s, and the other steps need their part."""
SLOW_S: Final = 0.8
"""Age of a call that is a sign of pressure while half of the places are taken."""
FAILURES_BEFORE_OPEN: Final = 4
OPEN_S: Final = 10.0
"""For how long a model that failed is not called. Then one call tries it."""
_WEIGHT: Final = 0.2
"""Of the newest call in the mean latency. A guess: about the last ten calls count."""


class Completes(Protocol):
    """The client."""

    async def complete(self, system: str, user: str, *, max_tokens: int) -> Completion:
        """Raises ModelFailedError."""
        ...


@dataclass(eq=False, slots=True)
class _Call:
    started_s: float
    timeout: asyncio.Timeout


@dataclass(slots=True)
class GuardedModel(ChatModel):
    """Guards the client. Used on the event loop only."""

    client: Completes
    max_calls: int
    clock: Callable[[], float] = time.monotonic
    _calls: set[_Call] = field(default_factory=set)
    _pressure_until_s: float = 0.0
    _refused_until_s: float = 0.0
    """Refusals say that the load goes on. They shorten no call, or a slow model would stay shortened for ever."""
    _closed_until_s: float = 0.0
    _failures: int = 0
    _trying: bool = False
    _mean_s: float = 0.0

    @property
    @override
    def under_pressure(self) -> bool:
        return self._is_pressed or self.clock() < self._refused_until_s

    @property
    def _is_pressed(self) -> bool:
        """Whether calls get less time."""
        return self.clock() < self._pressure_until_s

    @override
    async def write(self, system: str, user: str, *, max_tokens: int, timeout_s: float) -> str | None:
        """The model's text; None if it is overloaded, too late or broken."""
        if refusal := self._refusal(timeout_s):
            metrics.MODEL_STEPS.labels(refusal).inc()
            return None
        if self._is_pressed:
            timeout_s = min(timeout_s, TIME_UNDER_PRESSURE_S)
        return await self._call(system, user, max_tokens, timeout_s)

    def _refusal(self, timeout_s: float) -> str:
        """Why the model is not called; empty if it is."""
        now_s = self.clock()
        if now_s < self._closed_until_s or (self._failures >= FAILURES_BEFORE_OPEN and self._trying):
            if self._is_pressed:  # the load opened it
                self._refused_until_s = now_s + PRESSURE_S
            return "breaker_open"
        if len(self._calls) >= self.max_calls:
            self._press()
            return "no_slot"
        if 2 * len(self._calls) >= self.max_calls and self._oldest_s() >= SLOW_S:
            self._press()  # many calls, and none of them comes back
        # With one call in flight the model is tried again: otherwise an old mean would hold for ever.
        limit_s = min(timeout_s, TIME_UNDER_PRESSURE_S) if self._is_pressed else timeout_s
        if timeout_s <= 0:
            return "no_time"
        if self._calls and self._mean_s > limit_s:
            self._refused_until_s = now_s + PRESSURE_S
            return "no_time"
        return ""

    def _oldest_s(self) -> float:
        """Age of the oldest call in flight."""
        return self.clock() - min((call.started_s for call in self._calls), default=self.clock())

    async def _call(self, system: str, user: str, max_tokens: int, timeout_s: float) -> str | None:
        started_s = self.clock()
        self._trying = True
        try:
            async with asyncio.timeout(timeout_s) as timeout:
                call = _Call(started_s, timeout)
                self._calls.add(call)
                try:
                    completion = await self.client.complete(system, user, max_tokens=max_tokens)
                finally:
                    self._calls.discard(call)
        except TimeoutError:
            self._failed(Failure.TIMEOUT, 0.0)
            self._record(self.clock() - started_s)
            return None
        except ModelFailedError as error:
            self._failed(error.failure, error.retry_after_s)
            log.info("model step failed", extra={"failure": str(error.failure), "detail": str(error)})
            return None
        finally:
            self._trying = False
        self._succeeded(completion, self.clock() - started_s)
        return completion.text

    def _succeeded(self, completion: Completion, seconds: float) -> None:
        self._failures = 0
        metrics.MODEL_BREAKER_OPEN.set(0)
        metrics.MODEL_SECONDS.observe(seconds)
        self._record(seconds)
        if completion.under_load:
            self._press()

    def _failed(self, failure: Failure, retry_after_s: float) -> None:
        metrics.MODEL_STEPS.labels(str(failure)).inc()
        if failure is not Failure.ERROR:
            self._press()
        self._failures += 1
        if self._failures >= FAILURES_BEFORE_OPEN:
            self._closed_until_s = self.clock() + max(OPEN_S, retry_after_s)
            metrics.MODEL_BREAKER_OPEN.set(1)
        elif retry_after_s:
            self._closed_until_s = self.clock() + retry_after_s

    def _press(self) -> None:
        """A sign of overload: shorten the calls in flight too."""
        self._pressure_until_s = self.clock() + PRESSURE_S
        loop_s = asyncio.get_running_loop().time()
        for call in self._calls:
            left_s = TIME_UNDER_PRESSURE_S - (self.clock() - call.started_s)
            due_s = loop_s + max(0.0, left_s)
            when_s = call.timeout.when()
            if not call.timeout.expired() and (when_s is None or due_s < when_s):
                call.timeout.reschedule(due_s)

    def _record(self, seconds: float) -> None:
        self._mean_s = seconds if not self._mean_s else self._mean_s + _WEIGHT * (seconds - self._mean_s)
