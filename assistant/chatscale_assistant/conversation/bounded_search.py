"""Keeps the wait for a search short, whatever the load.

Searches with the encoders run one after the other in one thread. If they would have to wait too long, a search uses
words and the glossary only: a customer gets a slightly worse answer in time, and not the best one too late. Without
this bound all searches of an overloaded pod would end just after their deadline.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from typing_extensions import override

from chatscale_assistant import metrics
from chatscale_assistant.domain.evidence import Chunk, Retrieved
from chatscale_assistant.domain.interfaces import Retriever

MAX_WAIT_S: Final = 0.25
"""For the searches before it. A customer must have an answer within 2 s, also of a pod whose CPU is busy."""
MIN_BY_WORDS: Final = 0.975
"""Words alone are a weaker sign that a question has an answer, so they need more of it."""
_FIRST_MEAN_S: Final = 0.03
_WEIGHT: Final = 0.2
"""Of the newest search in the mean. A guess: about the last ten searches count."""


class TwoSearches(Retriever, Protocol):
    """What `index.knowledge.Knowledge` offers."""

    def search_words(self, question: str, *, limit: int = 5, source: str | None = None) -> Retrieved:
        """A search without encoders, at once."""
        ...


@dataclass(slots=True)
class BoundedSearch(Retriever):
    """Used on the event loop only."""

    searches: TwoSearches
    max_wait_s: float = MAX_WAIT_S
    clock: Callable[[], float] = field(default=time.monotonic)
    _in_flight: int = 0
    _mean_s: float = _FIRST_MEAN_S
    """Of one search, without its wait."""
    _ended_s: float = 0.0

    @override
    async def search(self, question: str, *, limit: int = 5, source: str | None = None) -> Retrieved:
        if self._in_flight and self._in_flight * self._mean_s > self.max_wait_s:
            metrics.SEARCHES.labels("words").inc()
            found = self.searches.search_words(question, limit=limit, source=source)
            answerable = found.answerable if found.answerable >= MIN_BY_WORDS else 0.0
            return replace(found, answerable=answerable, is_shortened=True)
        metrics.SEARCHES.labels("full").inc()
        began_s = self.clock()
        self._in_flight += 1
        try:
            return await self.searches.search(question, limit=limit, source=source)
        finally:
            self._in_flight -= 1
            now_s = self.clock()
            self._mean_s += _WEIGHT * (now_s - max(began_s, self._ended_s) - self._mean_s)
            self._ended_s = now_s

    @override
    def chunk(self, chunk_id: str) -> Chunk | None:
        return self.searches.chunk(chunk_id)
