"""Limits concurrent scrapes over all ChatModels, and shares the places out between them.

A plain semaphore is first come, first served: the unreachable pods of one ChatModel would hold every place until their
timeout, and every other ChatModel would wait for them.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class FairShare:
    """At most `total` places, at most `each` of them for one owner. Use it on one event loop only."""

    def __init__(self, total: int, each: int) -> None:
        self._total = total
        self._each = each
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def place(self, owner: str) -> AsyncIterator[None]:
        """Hold one place inside the block. A free place goes to the waiting owner that holds the fewest."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        self._hand_out()
        try:
            await turn
            yield
        finally:
            self._leave(owner, turn)
            self._hand_out()

    def _leave(self, owner: str, turn: "asyncio.Future[None]") -> None:
        """Give the place back, or stop waiting for it."""
        if turn.done() and not turn.cancelled():
            self._held[owner] -= 1
            if not self._held[owner]:
                del self._held[owner]
        elif turn in self._waiting.get(owner, ()):
            self._waiting[owner].remove(turn)
            self._forget_if_idle(owner)

    def _hand_out(self) -> None:
        while self._held.total() < self._total:
            owners = [owner for owner in self._waiting if self._held[owner] < self._each]
            if not owners:
                return
            # Among equals, the owner that was served last comes last: it moves to the end of the dictionary.
            owner = min(owners, key=self._held.__getitem__)
            queue = self._waiting[owner] = self._waiting.pop(owner)
            turn = queue.popleft()
            if not turn.done():  # A cancelled turn stays in the queue until its task runs again.
                turn.set_result(None)
                self._held[owner] += 1
            self._forget_if_idle(owner)

    def _forget_if_idle(self, owner: str) -> None:
        if not self._waiting[owner]:
            del self._waiting[owner]
