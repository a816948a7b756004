"""Searches under load. Time is virtual."""

import asyncio
from dataclasses import dataclass, field

from typing_extensions import override

from chatscale_assistant.conversation.bounded_search import MAX_WAIT_S, BoundedSearch, TwoSearches
from chatscale_assistant.domain.evidence import Chunk, Retrieved
from tests.support.clock import virtual_time_loop


@dataclass
class OneThread(TwoSearches):
    """Searches one after the other."""

    seconds: float
    full: int = 0
    words: int = 0
    _free: asyncio.Lock = field(default_factory=asyncio.Lock)

    @override
    async def search(self, question: str, *, limit: int = 5, source: str | None = None) -> Retrieved:
        async with self._free:
            await asyncio.sleep(self.seconds)
        self.full += 1
        return Retrieved((), question, 1.0)

    @override
    def search_words(self, question: str, *, limit: int = 5, source: str | None = None) -> Retrieved:
        self.words += 1
        return Retrieved((), question, 1.0)

    @override
    def chunk(self, chunk_id: str) -> Chunk | None:
        return None


def run(seconds: float, rate: float, count: int) -> tuple[OneThread, list[float]]:
    """A search each 1/rate seconds; how long each took."""
    loop = virtual_time_loop()

    async def main() -> tuple[OneThread, list[float]]:
        searches = OneThread(seconds)
        bounded = BoundedSearch(searches, clock=loop.time)

        async def one(number: int) -> float:
            await asyncio.sleep(number / rate)
            began = loop.time()
            await bounded.search(str(number))
            return loop.time() - began

        return searches, await asyncio.gather(*(one(number) for number in range(count)))

    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


def test_all_searches_are_full_while_they_are_in_time():
    searches, _ = run(seconds=0.02, rate=30, count=100)

    assert (searches.full, searches.words) == (100, 0)


def test_an_overloaded_pod_still_answers_in_time_and_uses_its_encoders_fully():
    searches, took = run(seconds=0.1, rate=30, count=300)

    assert max(took) < MAX_WAIT_S + 0.4
    assert searches.full > 80
    assert searches.full + searches.words == 300
