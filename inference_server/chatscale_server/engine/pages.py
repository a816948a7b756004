"""Pages of the KV cache: which are free, and how many sequences use each other one. Pure.

A page holds the keys and values of `page_tokens` consecutive tokens of a sequence, in all layers. Sequences with a
common prefix share its whole pages. A page is used by running sequences, or kept by free slots as prefix cache.
"""

from collections.abc import Iterable
from typing import Final

NO_PAGE: Final = 0
"""A page that no sequence gets. Idle rows of a recorded step write to it."""


class PagePool:
    """Uses of each page. Page NO_PAGE is never handed out."""

    def __init__(self, pages: int, page_tokens: int) -> None:
        """pages: in the cache, NO_PAGE included."""
        self.page_tokens: Final = page_tokens
        self.capacity_tokens: Final = (pages - 1) * page_tokens
        self._uses = [0] * pages
        self._running = [0] * pages
        """Uses by running sequences."""
        self._free = list(range(pages - 1, NO_PAGE, -1))
        self._kept = 0
        """Pages in use, but not by a running sequence."""

    @property
    def free(self) -> int:
        """Pages without a use."""
        return len(self._free)

    @property
    def available(self) -> int:
        """Pages that no running sequence uses: free ones, and those that free slots keep."""
        return len(self._free) + self._kept

    def needed(self, tokens: int) -> int:
        """Pages that hold this many tokens."""
        return -(-tokens // self.page_tokens)

    def take(self, count: int) -> list[int]:
        """Free pages for a running sequence. Raises MemoryError, and changes nothing, if there are fewer."""
        if count > len(self._free):
            raise MemoryError(f"{count} pages of the KV cache are needed, {len(self._free)} are free")
        taken = [self._free.pop() for _ in range(count)]
        for page in taken:
            self._uses[page] = self._running[page] = 1
        return taken

    def share(self, pages: Iterable[int]) -> list[int]:
        """Let one more running sequence use these pages. Raises ValueError if one is free."""
        shared = list(pages)
        for page in shared:
            if self._uses[page] == 0:
                raise ValueError(f"page {page} of the KV cache is free")
            if self._running[page] == 0:
                self._kept -= 1
            self._uses[page] += 1
            self._running[page] += 1
        return shared

    def park(self, pages: Iterable[int]) -> None:
        """A sequence has ended, and its slot keeps the pages."""
        for page in pages:
            self._running[page] -= 1
            if self._running[page] == 0:
                self._kept += 1

    def drop(self, pages: list[int]) -> None:
        """A free slot no longer keeps these pages. Clears the list."""
        for page in reversed(pages):
            self._uses[page] -= 1
            if self._uses[page] == 0:
                self._kept -= 1
                self._free.append(page)
        pages.clear()
