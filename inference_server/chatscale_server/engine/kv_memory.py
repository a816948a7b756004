"""Memory of the KV cache for the scheduler: reserved by slot, or in pages that follow the tokens in use. Pure."""

from collections.abc import Sequence as Ordered
from dataclasses import dataclass, field

from typing_extensions import override

from chatscale_server.engine.pages import PagePool
from chatscale_server.engine.prefixes import Copy, SlotContents
from chatscale_server.engine.request import Request
from chatscale_server.engine.scheduler import KvMemory
from chatscale_server.engine.sequence import Sequence


@dataclass(slots=True)
class SlotMemory(KvMemory):
    """Each slot has memory for the longest request, and a budget limits the tokens of all requests together.

    A request reserves its prompt and its longest output. On a CPU the operating system allocates memory when it is
    first written to.
    """

    capacity_tokens: int
    reserved_tokens: int = 0

    @override
    def fits(self, request: Request) -> bool:
        return request.reserved_tokens <= self.capacity_tokens

    @override
    def admit(self, sequence: Sequence, running: Ordered[Sequence], source: tuple[int, int]) -> bool:
        """Reserve the request's tokens."""
        tokens = sequence.request.reserved_tokens
        if self.reserved_tokens + tokens > self.capacity_tokens:
            return False
        self.reserved_tokens += tokens
        return True

    @override
    def attach(self, sequence: Sequence, source: int, tokens: int) -> list[Copy]:
        """Copy from slot to slot."""
        sequence.prefilled = tokens
        return [Copy(source, sequence.slot, tokens)]

    @override
    def grow(self, running: Ordered[Sequence]) -> list[Sequence]:
        """Everything is reserved from the start."""
        return []

    @override
    def release(self, sequence: Sequence) -> None:
        """Release the reservation."""
        self.reserved_tokens -= sequence.request.reserved_tokens

    @override
    def forget(self, slot: int) -> None:
        """A slot keeps its memory."""


@dataclass(slots=True)
class PagedMemory(KvMemory):
    """Sequences get pages as they grow. If no page is left, the youngest sequence is paused.

    A paused sequence loses its pages and is computed again when there is memory for it. It keeps its slot, and no new
    request starts before it. Pages of ended sequences stay as prefix cache and are evicted in order of their last use.
    """

    contents: SlotContents
    pool: PagePool
    _active: set[int] = field(default_factory=set)
    """Slots with a running sequence."""

    @property
    @override
    def capacity_tokens(self) -> int:
        return self.pool.capacity_tokens

    @override
    def fits(self, request: Request) -> bool:
        return request.reserved_tokens <= self.pool.capacity_tokens

    @override
    def admit(self, sequence: Sequence, running: Ordered[Sequence], source: tuple[int, int]) -> bool:
        """Share the cached prefix and take pages for the rest. Each running sequence may soon need one page more."""
        slot, tokens = source
        pages = self.pool.share(self.contents.pages(slot)[: tokens // self.pool.page_tokens])
        missing = self.pool.needed(_next_tokens(sequence)) - len(pages)
        if self.pool.available < missing + len(running):
            self._drop(pages)
            return False
        sequence.prefilled = len(pages) * self.pool.page_tokens
        self.pool.drop(self.contents.pages(sequence.slot))
        self._active.add(sequence.slot)
        self._evict(missing)
        sequence.pages = [*pages, *self.pool.take(missing)]
        self.contents.keep(sequence.slot, sequence.pages)
        self.contents.note(sequence.slot, sequence.tokens, sequence.prefilled)
        return True

    @override
    def attach(self, sequence: Sequence, source: int, tokens: int) -> list[Copy]:
        """Replace the first pages by those of the other slot. Whole pages only, so nothing is copied."""
        count = tokens // self.pool.page_tokens
        if count * self.pool.page_tokens > sequence.prefilled:
            old = sequence.pages[:count]
            sequence.pages[:count] = self.pool.share(self.contents.pages(source)[:count])
            self._drop(old)
            sequence.prefilled = count * self.pool.page_tokens
        return []

    @override
    def grow(self, running: Ordered[Sequence]) -> list[Sequence]:
        """Pages for the token of this step and for the next one, which the engine may compute ahead."""
        paused: list[Sequence] = []
        for sequence in running:
            missing = 0 if sequence.paused else self.pool.needed(_next_tokens(sequence)) - len(sequence.pages)
            while missing > 0 and self.pool.available < missing and not sequence.paused:
                victim = next(other for other in reversed(running) if not other.paused)
                self._pause(victim)
                paused.append(victim)
            if missing > 0 and not sequence.paused:
                self._evict(missing)
                sequence.pages += self.pool.take(missing)
        return paused

    @override
    def release(self, sequence: Sequence) -> None:
        """The slot keeps the pages."""
        self._active.discard(sequence.slot)
        self.pool.park(sequence.pages)

    @override
    def forget(self, slot: int) -> None:
        self.pool.drop(self.contents.pages(slot))

    def _pause(self, sequence: Sequence) -> None:
        self._drop(sequence.pages)
        self.contents.note(sequence.slot, [], 0)
        sequence.pause()

    def _drop(self, pages: list[int]) -> None:
        """Take pages from a running sequence."""
        self.pool.park(pages)
        self.pool.drop(pages)

    def _evict(self, count: int) -> None:
        """Discard the least recently used tokens of free slots until `count` pages are free."""
        for slot in self.contents.by_last_use():
            if self.pool.free >= count:
                return
            if slot not in self._active:
                self.forget(slot)
                self.contents.note(slot, [], 0)


def _next_tokens(sequence: Sequence) -> int:
    """Tokens for which a sequence needs memory: all of its own, and the one after them."""
    return min(len(sequence.tokens) + 1, sequence.request.reserved_tokens)


def make_memory(contents: SlotContents, capacity_tokens: int, page_tokens: int | None) -> KvMemory:
    """The memory of a cache with this capacity. page_tokens: None if it has no pages."""
    if page_tokens is None:
        return SlotMemory(capacity_tokens)
    return PagedMemory(contents, PagePool(capacity_tokens // page_tokens + 1, page_tokens))
