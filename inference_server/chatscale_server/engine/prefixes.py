"""Records the tokens in each slot's cache, so that a prompt with a known prefix is not computed again.

Keys and values of a slot stay valid until they are overwritten, or until their pages are needed. The slots themselves
are the prefix cache; it needs no memory of its own. Pure: the scheduler uses it to decide, the model performs the
copies.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

COMPACT_RATIO: Final = 4
"""From one running slot in four on, new requests are placed beside the running ones. Cached prefixes would soon be
overwritten anyway, and idle slots between running ones cost time in every step."""
SMALL_TAIL_TOKENS: Final = 32
"""Cached tokens after a match that may be lost. For fewer, a copy to another slot is not worth it."""
_BLOCK: Final = 64
"""Tokens compared at once: slices are compared in C, and a mismatch costs at most one block."""


@dataclass(frozen=True, slots=True)
class Copy:
    """Copy of the first `tokens` cache columns from one slot to another, before the forward passes of a step.

    The copies of a plan are performed in order: one may read what an earlier one wrote.
    """

    source: int
    target: int
    tokens: int


@dataclass(slots=True)
class _Slot:
    tokens: list[int] = field(default_factory=list)
    written: int = 0
    """Number of leading `tokens` that are in the cache."""
    used: int = 0
    """Sequence number of the last use; 0 means never."""
    pages: list[int] = field(default_factory=list)
    """Pages that hold the tokens, if the cache has pages."""


class SlotContents:
    """The cached tokens of every slot, running or free."""

    def __init__(self, slots: int) -> None:
        self._slots = [_Slot() for _ in range(slots)]
        self._uses = 0

    @property
    def slots(self) -> int:
        """Number of slots."""
        return len(self._slots)

    def pages(self, slot: int) -> list[int]:
        """The slot's own list of pages."""
        return self._slots[slot].pages

    def keep(self, slot: int, pages: list[int]) -> None:
        """Replace the slot's list of pages. The list may change later."""
        self._slots[slot].pages = pages

    def by_last_use(self) -> list[int]:
        """All slots, the least recently used one first."""
        return sorted(range(len(self._slots)), key=lambda slot: (self._slots[slot].used, slot))

    def note(self, slot: int, tokens: list[int], written: int) -> None:
        """Record that the slot's cache holds the first `written` of `tokens`. The list may grow, but not change."""
        self._slots[slot].tokens, self._slots[slot].written = tokens, written

    def touch(self, slot: int) -> None:
        """Mark the slot as recently used: it is overwritten last."""
        self._uses += 1
        self._slots[slot].used = self._uses

    def longest(self, prompt: list[int]) -> tuple[int, int]:
        """(slot, tokens) of the longest cached prefix of the prompt."""
        lengths = [self.match(slot, prompt) for slot in range(len(self._slots))]
        best = max(lengths)
        return lengths.index(best), best

    def match(self, slot: int, prompt: list[int]) -> int:
        """Length of the prompt's prefix that the slot holds.

        The last prompt token never counts, because the first output token is computed from it.
        """
        held = self._slots[slot]
        return common_prefix(held.tokens, prompt, min(held.written, len(prompt) - 1))

    def place(self, free: Collection[int], prompt: list[int], wanted: int) -> int:
        """The free slot to start the prompt in. wanted: tokens of its longest cached prefix.

        Prefers a slot that holds this prefix and little else, so that a conversation continues in its slot.
        Otherwise the least recently used slot. If many slots run, only slots beside them are candidates, because
        every step also computes the idle slots between running ones.
        """
        free = self._near(free)
        tails = {slot: self._slots[slot].written - wanted for slot in free if 0 < wanted <= self.match(slot, prompt)}
        fitting = min(tails, key=lambda slot: (tails[slot], slot), default=None)
        if fitting is not None and tails[fitting] <= SMALL_TAIL_TOKENS:
            return fitting
        return min(free, key=lambda slot: (self._slots[slot].used, slot))

    def _near(self, free: Collection[int]) -> Collection[int]:
        """If many slots run: the free slots between running ones, otherwise those beside them. All if few run."""
        running = [slot for slot in range(len(self._slots)) if slot not in free]
        if len(running) * COMPACT_RATIO < len(self._slots):
            return free
        between = [slot for slot in free if running[0] < slot < running[-1]]
        return between or [slot for slot in free if slot in (running[0] - 1, running[-1] + 1)]


def common_prefix(first: list[int], second: list[int], limit: int) -> int:
    """Length of the common prefix, at most `limit`. Both lists have at least `limit` tokens."""
    for start in range(0, limit, _BLOCK):
        end = min(limit, start + _BLOCK)
        if first[start:end] != second[start:end]:
            return next(at for at in range(start, end) if first[at] != second[at])
    return limit
