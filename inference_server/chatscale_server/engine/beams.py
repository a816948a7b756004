"""The queue of beam searches. They use no slots, so one runs at a time, between the steps of the batch. Pure."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from chatscale_server.engine.request import Request

BEAM_TOKENS: Final = 2048
"""Limit of beams x (prompt + output) tokens. It bounds the memory used outside the slots."""
BEAM_CACHES: Final = 2
"""Caches of that size that exist at a time: each step copies the keys and values of the kept beams to a new cache."""

Search = tuple[Request, ...]
"""One beam search. Its best sequence is the output of the first request, and so on. Prompt and limits are equal."""


@dataclass(slots=True)
class BeamQueue:
    """The waiting searches and the running one."""

    queue_timeout_s: float
    running: Search = ()
    cancelled: bool = False
    """True if the running search must end."""
    _waiting: deque[Search] = field(default_factory=deque)

    def submit(self, search: Search) -> None:
        """Append a search to the queue."""
        self._waiting.append(search)

    def cancel(self, request_id: str) -> Search:
        """Cancel a search. Returns the requests that end now; a running search ends after its current step."""
        if any(request.id == request_id for request in self.running):
            self.cancelled = True
        found = next((search for search in self._waiting if any(one.id == request_id for one in search)), ())
        if found:
            self._waiting.remove(found)
        return found

    def expire(self, now_s: float) -> Search:
        """Remove and return the requests that have waited longer than the queue timeout."""
        expired: list[Request] = []
        while self._waiting and now_s - self._waiting[0][0].queued_s > self.queue_timeout_s:
            expired += self._waiting.popleft()
        return tuple(expired)

    def start(self) -> Search:
        """Start the next search and return it; empty if none waits."""
        self.cancelled = False
        self.running = self._waiting.popleft() if self._waiting else ()
        return self.running
