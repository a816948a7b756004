"""The waiting line of one replica: how much may wait in it, and how long that takes. Belongs to the event loop."""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from chatscale_server.http.ticket import Ticket

RETRY_AFTER_RANGE_S: Final = (1, 30)
RETRY_AFTER_UNKNOWN_S: Final = 5
"""Before anything has finished there is no throughput to estimate from."""


@dataclass(slots=True)
class WaitingLine:
    """Tickets without a slot, oldest first."""

    queue_timeout_s: float
    max_prompt_tokens: int | None
    """None takes what can be prefilled within the queue timeout: what is behind that would only wait to be refused."""
    max_tokens_per_second: float | None = None
    """How fast the engine reads prompts by its own measure, once that is known."""
    prompt_tokens: int = 0
    _tickets: dict[str, Ticket] = field(default_factory=dict)
    _finished_s: deque[float] = field(default_factory=lambda: deque(maxlen=64))
    """When requests came to their own end, since the server was idle."""

    def __len__(self) -> int:
        return len(self._tickets)

    @property
    def tickets(self) -> tuple[Ticket, ...]:
        """Oldest first."""
        return tuple(self._tickets.values())

    def get(self, request_id: str) -> Ticket | None:
        """A ticket that waits."""
        return self._tickets.get(request_id)

    def takes(self, prompt_tokens: int) -> bool:
        """Whether so much more may wait; a prompt that nobody is before is never too long."""
        return not self._tickets or self.prompt_tokens + prompt_tokens <= self._most_prompt_tokens()

    def _most_prompt_tokens(self) -> float:
        if self.max_prompt_tokens is not None or self.max_tokens_per_second is None:
            return self.max_prompt_tokens or math.inf
        return self.max_tokens_per_second * self.queue_timeout_s

    def join(self, ticket: Ticket) -> None:
        """To the end."""
        self._tickets[ticket.request.id] = ticket
        self.prompt_tokens += len(ticket.request.prompt)

    def leave(self, request_id: str) -> Ticket | None:
        """Out of the line, for a slot or for good."""
        ticket = self._tickets.pop(request_id, None)
        if ticket is not None:
            self.prompt_tokens -= len(ticket.request.prompt)
        return ticket

    def clear(self) -> None:
        """All have left."""
        self._tickets.clear()
        self.prompt_tokens = 0

    def note_finished(self, now_s: float) -> None:
        """A request has come to its own end."""
        self._finished_s.append(now_s)

    def forget_rate(self) -> None:
        """The server was idle: a quiet hour says nothing about how fast a burst is worked off."""
        self._finished_s.clear()

    def retry_after_s(self, now_s: float) -> int:
        """Seconds until the present line should have drained, from the rate of finished requests."""
        low, high = RETRY_AFTER_RANGE_S
        if len(self._finished_s) < 2:  # noqa: PLR2004 - two points make an interval
            return RETRY_AFTER_UNKNOWN_S
        elapsed_s = max(1e-3, now_s - self._finished_s[0])
        rate = (len(self._finished_s) - 1) / elapsed_s
        return min(high, max(low, math.ceil(max(1, len(self)) / rate)))
