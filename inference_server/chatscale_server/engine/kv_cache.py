"""Keys and values of all sequences in the device's memory.

One block per layer and kind: (tokens, kv_heads, head_dim). On a GPU it is divided into pages, and a table on the device
has the pages of each slot. On a CPU each slot has `slot_tokens` consecutive rows, whose memory the operating system
allocates when they are first written to.
"""

import math
import mmap
from dataclasses import dataclass
from typing import Final

import torch

from chatscale_server.engine.pages import NO_PAGE

PAGE_TOKENS: Final = 64
"""Small enough that little of a page is unused, large enough for one block of the attention kernel."""


@dataclass(frozen=True, slots=True)
class CacheShape:
    """Dimensions of a model's KV cache."""

    layers: int
    kv_heads: int
    head_dim: int

    def token_bytes(self, dtype: torch.dtype) -> int:
        """Bytes of K and V of one token."""
        return 2 * self.layers * self.kv_heads * self.head_dim * int(dtype.itemsize)


class KvCache:
    """The blocks of all layers, and the rows of each slot in them."""

    def __init__(
        self,
        shape: CacheShape,
        slots: int,
        max_len: int,
        *,
        dtype: torch.dtype,
        device: torch.device,
        pages: int | None = None,
        page_tokens: int = PAGE_TOKENS,
    ) -> None:
        """max_len: tokens of the longest sequence. pages: None gives each slot memory for `max_len` tokens."""
        self.shape, self.slots, self.max_len = shape, slots, max_len
        self.device, self.dtype = device, dtype
        self.pages = pages
        self.page_tokens = page_tokens if pages else max_len
        tokens = pages * page_tokens if pages else slots * max_len
        self.keys, self.values = (
            [_zeros((tokens, shape.kv_heads, shape.head_dim), dtype, device) for _ in range(shape.layers)]
            for _ in range(2)
        )
        self.table: torch.Tensor
        """(slots + 1, pages of the longest sequence) int32. The last row belongs to idle rows of a recorded step."""
        self._entered: list[list[int]] = []
        self.set_slots(slots)

    @property
    def capacity_tokens(self) -> int:
        """Tokens that sequences can hold."""
        return (self.pages - 1) * self.page_tokens if self.pages else self.slots * self.max_len

    def set_slots(self, slots: int) -> None:
        """Change the number of slots of a cache with pages. All slots are then empty."""
        columns = -(-self.max_len // self.page_tokens)
        self.slots = slots
        self.table = torch.full((slots + 1, columns), NO_PAGE, dtype=torch.int32, device=self.device)
        self._entered = [[] for _ in range(slots)]

    def enter(self, slot: int, pages: list[int]) -> None:
        """Enter the pages of a slot in the table, if they have changed."""
        entered = self._entered[slot]
        if entered == pages:
            return
        same = len(entered) if pages[: len(entered)] == entered else 0
        added = torch.tensor(pages[same:], dtype=torch.int32)
        if self.device.type == "cuda":
            added = added.pin_memory()
        self.table[slot, same : len(pages)].copy_(added, non_blocking=True)
        self._entered[slot] = list(pages)

    def targets(self, slot: int, pages: list[int], start: int, end: int) -> torch.Tensor:
        """(end - start,) int64 on the CPU: rows of the blocks for the tokens `start` to `end` of a sequence."""
        size = self.page_tokens
        if not self.pages:
            return torch.arange(slot * size + start, slot * size + end)
        first = start // size
        starts = torch.tensor(pages[first : -(-end // size)])[:, None] * size
        return (starts + torch.arange(size)).flatten()[start - first * size : end - first * size]

    def write(self, layer: int, targets: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Store (tokens, kv_heads, head_dim) at the rows `targets` (tokens,) int64."""
        self.keys[layer].index_copy_(0, targets, keys)
        self.values[layer].index_copy_(0, targets, values)

    def copy(self, source: int, target: int, tokens: int) -> None:
        """Copy the first `tokens` of one slot to another. For a cache without pages."""
        first, second = source * self.max_len, target * self.max_len
        for block in (*self.keys, *self.values):
            block[second : second + tokens] = block[first : first + tokens]


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Like `torch.zeros`, but on a CPU memory is only allocated when it is written to.

    Writing zeros to 3 GB, the slots of a 0.3 GB model, took 1 s of each start.
    """
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    memory = mmap.mmap(-1, math.prod(shape) * dtype.itemsize, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return torch.frombuffer(memory, dtype=dtype).view(shape)
