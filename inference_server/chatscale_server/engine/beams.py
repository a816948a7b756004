"""The line of beam searches: they share no slots, so one runs at a time, between the steps of everybody else. Pure."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from chatscale_server.engine.request import Request

BEAM_TOKENS: Final = 2048
"""Beams times prompt and answer: bounds the memory beside the slots."""
BEAM_CACHES: Final = 2
"""Of so many tokens: each step moves the kept beams' keys and values to a new one."""

Search = tuple[Request, ...]
"""One search; its best sequence answers the first request, and so on. All have the same prompt and limits."""


@dataclass(slots=True)
class BeamLine:
    """Who waits, and who runs."""

    queue_timeout_s: float
    running: Search = ()
    cancelled: bool = False
    """The running one is to end."""
    _waiting: deque[Search] = field(default_factory=deque)

    def submit(self, search: Search) -> None:
        """To the end of the line."""
        self._waiting.append(search)

    def cancel(self, request_id: str) -> Search:
        """Those that end now: the whole search, if it waits. One that runs ends after its present step."""
        if any(request.id == request_id for request in self.running):
            self.cancelled = True
        found = next((search for search in self._waiting if any(one.id == request_id for one in search)), ())
        if found:
            self._waiting.remove(found)
        return found

    def expire(self, now_s: float) -> Search:
        """Take out those that have waited longer than the queue timeout."""
        expired: list[Request] = []
        while self._waiting and now_s - self._waiting[0][0].queued_s > self.queue_timeout_s:
            expired += self._waiting.popleft()
        return tuple(expired)

    def start(self) -> Search:
        """The next one, which runs from now on; empty if nobody waits."""
        self.cancelled = False
        self.running = self._waiting.popleft() if self._waiting else ()
        return self.running
