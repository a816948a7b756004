"""What each slot's cache holds, so that a prompt that begins like an earlier one is not computed again.

A slot's keys and values stay valid until they are overwritten: the slots themselves are the store, and
nothing is set aside for it. Pure: the scheduler decides with it, the model does the copies.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

CROWD: Final = 4
"""One running slot in so many is a crowd: histories do not outlive its next answers, and idle slots between its streams
cost every step, computed along or left out by a copy of the others."""
SMALL_TAIL_TOKENS: Final = 32
"""A slot may lose this much beyond a match: less is not worth a copy elsewhere."""
_BLOCK: Final = 64
"""Tokens compared at once: slices compare in C, and a mismatch costs one block at most."""


@dataclass(frozen=True, slots=True)
class Copy:
    """The first `tokens` columns of one slot's cache are written to another's, before the step's forward passes.

    Copies of a plan are done in their order: one may read what an earlier one wrote.
    """

    source: int
    target: int
    tokens: int


@dataclass(slots=True)
class _Slot:
    tokens: list[int] = field(default_factory=list)
    written: int = 0
    """How many of `tokens` are in the cache, from the first on."""
    used: int = 0
    """When it was last read or written, in uses; 0 is never."""


class SlotContents:
    """The record of every slot, running or free."""

    def __init__(self, slots: int) -> None:
        self._slots = [_Slot() for _ in range(slots)]
        self._uses = 0

    def note(self, slot: int, tokens: list[int], written: int) -> None:
        """The slot's cache holds the first `written` of `tokens`, which may grow but not change."""
        self._slots[slot].tokens, self._slots[slot].written = tokens, written

    def touch(self, slot: int) -> None:
        """Something of use is in the slot: it is given away last."""
        self._uses += 1
        self._slots[slot].used = self._uses

    def longest(self, prompt: list[int]) -> tuple[int, int]:
        """The slot that holds most of the prompt's beginning, and how many tokens of it that are."""
        lengths = [self.match(slot, prompt) for slot in range(len(self._slots))]
        best = max(lengths)
        return lengths.index(best), best

    def match(self, slot: int, prompt: list[int]) -> int:
        """Tokens of the prompt's beginning that the slot holds.

        The last token never counts: the answer's first token comes from computing it.
        """
        held = self._slots[slot]
        return common_prefix(held.tokens, prompt, min(held.written, len(prompt) - 1))

    def place(self, free: Collection[int], prompt: list[int], wanted: int) -> int:
        """The free slot to start the prompt in, given that `wanted` of its tokens are to be had somewhere.

        One that holds them already and would lose next to nothing else, so that a conversation goes on where it
        was; or else the one that has been of no use for the longest time. In a crowd only slots beside it come into
        question: a step computes idle slots between running ones too, for as long as an answer takes.
        """
        free = self._near(free)
        tails = {slot: self._slots[slot].written - wanted for slot in free if 0 < wanted <= self.match(slot, prompt)}
        fitting = min(tails, key=lambda slot: (tails[slot], slot), default=None)
        if fitting is not None and tails[fitting] <= SMALL_TAIL_TOKENS:
            return fitting
        return min(free, key=lambda slot: (self._slots[slot].used, slot))

    def _near(self, free: Collection[int]) -> Collection[int]:
        """Those between running slots, or else beside them, if there is a crowd; or else all."""
        running = [slot for slot in range(len(self._slots)) if slot not in free]
        if len(running) * CROWD < len(self._slots):
            return free
        between = [slot for slot in free if running[0] < slot < running[-1]]
        return between or [slot for slot in free if slot in (running[0] - 1, running[-1] + 1)]


def common_prefix(first: list[int], second: list[int], limit: int) -> int:
    """How many of the first `limit` tokens are the same in both, which have at least as many."""
    for start in range(0, limit, _BLOCK):
        end = min(limit, start + _BLOCK)
        if first[start:end] != second[start:end]:
            return next(at for at in range(start, end) if first[at] != second[at])
    return limit
