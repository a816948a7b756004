"""The rows of one forward pass without padding: tokens that decode, then chunks of prompts.

A batch describes where its tokens are in the KV cache and what they attend to. `attention.py` computes with it.
"""

from collections.abc import Sequence as Ordered
from dataclasses import dataclass, field
from typing import Final

import torch

from chatscale_server.engine.kv_cache import KvCache
from chatscale_server.engine.sequence import Chunk

CALL_COLUMNS: Final = 150
"""Cost of one attention call on a CPU, in columns of one row: 15 microseconds, of 0.1 each (SmolLM2, two cores)."""
_MOST_GROUPED: Final = 64
"""Rows of one call at most. Bounds the time to find the groups."""


@dataclass(frozen=True, slots=True)
class Row:
    """Tokens of one sequence in a forward pass. Their first position is `start`."""

    slot: int
    tokens: Ordered[int]
    start: int
    pages: list[int] = field(default_factory=list)

    @property
    def end(self) -> int:
        """Tokens of the sequence in the cache after the pass."""
        return self.start + len(self.tokens)

    @classmethod
    def of_chunk(cls, chunk: Chunk) -> "Row":
        """The tokens of a chunk."""
        one = chunk.sequence
        return cls(one.slot, one.tokens[chunk.start : chunk.end], chunk.start, one.pages)


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """Consecutive tokens of the batch whose attention is one call of torch's attention.

    Either one token each of several slots, or several tokens of one slot.
    """

    tokens: slice
    rows: slice | torch.Tensor
    """Slots as a slice of the cache, or (rows, columns) int64 of cache rows."""
    columns: int
    positions: torch.Tensor
    """(rows, queries) int64; -1 marks a slot without a token."""
    index: torch.Tensor | None = None
    """(tokens,) int64: row of each token; None if each row has one, in order."""
    causal: bool = False
    """The queries are all tokens of one sequence, from its first one on."""
    _masks: dict[int | None, torch.Tensor] = field(default_factory=dict)

    def mask(self, window: int | None, dtype: torch.dtype) -> torch.Tensor:
        """(rows, 1, queries, columns), 0 where a query attends and -inf elsewhere. Made once for each window."""
        if window not in self._masks:
            positions = self.positions.clamp(min=0)[:, :, None]  # a row without any column would give NaN
            columns = torch.arange(self.columns, device=positions.device)
            hidden = columns > positions
            if window is not None:
                hidden |= columns <= positions - window
            mask = torch.zeros(hidden.shape, dtype=dtype, device=positions.device)
            self._masks[window] = mask.masked_fill_(hidden, -torch.inf)[:, None]
        return self._masks[window]

    def read(self, block: torch.Tensor, slot_tokens: int) -> torch.Tensor:
        """(rows, kv_heads, columns, head_dim) of a block of the cache."""
        if isinstance(self.rows, slice):
            found = block.view(-1, slot_tokens, *block.shape[1:])[self.rows, : self.columns]
        else:
            found = block[self.rows]
        return found.transpose(1, 2)


@dataclass(frozen=True, slots=True)
class Prompts:
    """The chunks of a batch, for attention over sequences of different lengths. Tensors are on the GPU."""

    first: int
    """Tokens of the batch before them."""
    tokens: int
    """Their own tokens."""
    query_starts: torch.Tensor
    """(chunks + 1,) int32: first token of each chunk, counted from `first`."""
    key_starts: torch.Tensor
    """(chunks + 1,) int32: the same for keys, which include the tokens that are in the cache already."""
    longest_query: int
    longest_key: int
    rows: torch.Tensor | None
    """(keys,) int64: cache rows of all keys; None if the chunks' own tokens are all of them."""


@dataclass(slots=True)
class PackedBatch:
    """One forward pass. All tensors are on the model's device."""

    ids: torch.Tensor
    """(tokens,) int64"""
    positions: torch.Tensor
    """(tokens,) int64"""
    targets: torch.Tensor
    """(tokens,) int64: cache rows to store the tokens' keys and values in."""
    last: torch.Tensor | None
    """(rows,) int64: last token of each row; None if each row has one token."""
    decodes: int
    """Rows with one token, which come first."""
    slots: torch.Tensor | None = None
    """(decodes,) int64: rows of the cache's table. On a GPU only."""
    prompts: tuple[Prompts, ...] = ()
    """On a GPU only."""
    rows: tuple[Row, ...] = ()
    cache: KvCache | None = None
    _spans: tuple[Span, ...] | None = None

    @property
    def spans(self) -> tuple[Span, ...]:
        """The calls of torch's attention. Made when first needed."""
        if self._spans is None:
            if self.cache is None:
                raise RuntimeError("a decode step can be recorded only with the attention kernel for pages")
            self._spans = make_spans(self.rows, self.decodes, self.cache)
        return self._spans


def make_spans(rows: Ordered[Row], decodes: int, cache: KvCache) -> tuple[Span, ...]:
    """Divide a batch into calls of torch's attention."""
    spans: list[Span] = []
    at = 0
    for size in _group([(row.slot, row.end) for row in rows[:decodes]], dense=not cache.pages):
        spans.append(_decode_span(rows[at : at + size], at, cache))
        at += size
    for row in rows[decodes:]:
        size = len(row.tokens)
        positions = torch.arange(row.start, row.end, device=cache.device)[None]
        if cache.pages:
            where: slice | torch.Tensor = cache.targets(row.slot, row.pages, 0, row.end)[None].to(cache.device)
        else:
            where = slice(row.slot, row.slot + 1)
        spans.append(Span(slice(at, at + size), where, row.end, positions, causal=row.start == 0))
        at += size
    return tuple(spans)


def _decode_span(rows: Ordered[Row], at: int, cache: KvCache) -> Span:
    columns = max(row.end for row in rows)
    tokens = slice(at, at + len(rows))
    starts = torch.tensor([[row.start] for row in rows], device=cache.device)
    if cache.pages:
        where = torch.zeros(len(rows), columns, dtype=torch.long)
        for at_row, row in enumerate(rows):
            where[at_row, : row.end] = cache.targets(row.slot, row.pages, 0, row.end)
        where = where.to(cache.device)
        return Span(tokens, where, columns, starts)
    first, height = rows[0].slot, rows[-1].slot - rows[0].slot + 1
    if height == len(rows):
        return Span(tokens, slice(first, first + height), columns, starts)
    index = torch.tensor([row.slot - first for row in rows], device=cache.device)
    positions = torch.full((height, 1), -1, device=cache.device)
    positions[index] = starts
    return Span(tokens, slice(first, first + height), columns, positions, index)


def _group(rows: Ordered[tuple[int, int]], *, dense: bool) -> list[int]:
    """Sizes of the groups of consecutive rows (slot, columns) with the lowest total cost.

    A call costs its rows times the longest one's columns, and CALL_COLUMNS. If `dense`, slots between the rows are
    computed too.
    """
    costs, begins = [0], [0]
    for end in range(1, len(rows) + 1):
        longest, best, begin = 0, None, end - 1
        for start in range(end - 1, max(-1, end - 1 - _MOST_GROUPED), -1):
            longest = max(longest, rows[start][1])
            height = rows[end - 1][0] - rows[start][0] + 1 if dense else end - start
            cost = costs[start] + CALL_COLUMNS + height * longest
            if best is None or cost < best:
                best, begin = cost, start
        costs.append(best or 0)
        begins.append(begin)
    sizes, end = [], len(rows)
    while end > 0:
        sizes.append(end - begins[end])
        end = begins[end]
    return sizes[::-1]
