"""Attention of one query token per sequence over pages of the KV cache.

Each program reads a part of one sequence for one KV head and all of its query heads ("flash decoding", Dao et al. 2023:
https://pytorch.org/blog/flash-decoding/). A second kernel joins the parts. Sequences of a batch may differ in length:
a program without a part to read returns at once.
"""

from typing import Any, Final

import torch
import triton
import triton.language as tl

GROUP_ROWS: Final = 16
"""Rows of the smallest matrix product of the tensor cores. Query heads of one KV head are padded to a multiple."""
_PROGRAMS: Final = 264
"""Two for each of the 132 multiprocessors of an H100."""
_PARTS: Final = (2, 32)
"""Fewest and most parts of a sequence. At least two, so that one long sequence beside many short ones is divided."""


def attend_pages(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    table: torch.Tensor,
    slots: torch.Tensor,
    positions: torch.Tensor,
    output: torch.Tensor,
    *,
    page_tokens: int,
    scale: float,
    window: int,
) -> None:
    """Attention of row r over the tokens 0 to positions[r] of the sequence in slots[r].

    query, output: (rows, heads, head_dim), the last dimension contiguous.  keys, values: (tokens, kv_heads, head_dim).
    table: (slots, pages) int32.  slots, positions: at least (rows,) int64.  window: 0 attends to all tokens.
    """
    rows, heads, width = query.shape
    kv_heads = keys.shape[1]
    group = heads // kv_heads
    padded = max(GROUP_ROWS, triton.next_power_of_2(group))
    parts = parts_for(rows * kv_heads)
    partial = torch.empty(rows, kv_heads, parts, group, width, device=query.device, dtype=torch.float32)
    sums = torch.empty(rows, kv_heads, parts, group, 2, device=query.device, dtype=torch.float32)
    part_kernel: Any = _attend_part
    part_kernel[(rows, kv_heads, parts)](
        query, keys, values, table, slots, positions, partial, sums, query.stride(0), table.stride(0), scale,
        GROUP=group, PADDED=padded, HEADS=kv_heads, WIDTH=width, PAGE=page_tokens, PARTS=parts, WINDOW=window,
        PRECISION="ieee" if query.dtype is torch.float32 else "tf32", num_warps=4, num_stages=2,
    )  # fmt: skip
    join_kernel: Any = _join_parts
    join_kernel[(rows, heads)](
        partial, sums, output, output.stride(0), GROUP=group, HEADS=kv_heads, WIDTH=width, PARTS=parts, num_warps=2
    )


def parts_for(sequences: int) -> int:
    """Parts of each sequence, a power of two. sequences: rows x KV heads."""
    fewest, most = _PARTS
    return min(most, max(fewest, 1 << (-(-_PROGRAMS // sequences) - 1).bit_length()))


@triton.jit
def _attend_part(
    query, keys, values, table, slots, positions, partial, sums, query_stride, table_stride, scale,
    GROUP: tl.constexpr, PADDED: tl.constexpr, HEADS: tl.constexpr, WIDTH: tl.constexpr, PAGE: tl.constexpr,
    PARTS: tl.constexpr, WINDOW: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    part = tl.program_id(2)
    length = tl.load(positions + row).to(tl.int32) + 1
    begin = 0
    if WINDOW > 0:
        begin = tl.maximum(0, length - WINDOW)
    first_page = begin // PAGE
    pages = tl.cdiv(length, PAGE) - first_page
    share = tl.cdiv(pages, PARTS)
    low = first_page + part * share
    high = tl.minimum(first_page + pages, low + share)
    lane = tl.arange(0, PADDED)
    column = tl.arange(0, WIDTH)
    offset = tl.arange(0, PAGE)
    place = ((row * HEADS + head) * PARTS + part) * GROUP + lane
    if low >= high:
        tl.store(sums + place * 2, tl.full([PADDED], -float("inf"), tl.float32), mask=lane < GROUP)
        tl.store(sums + place * 2 + 1, tl.zeros([PADDED], tl.float32), mask=lane < GROUP)
        return
    queries = tl.load(
        query + row * query_stride + (head * GROUP + lane)[:, None] * WIDTH + column[None, :],
        mask=lane[:, None] < GROUP, other=0.0,
    )  # fmt: skip
    pages_of_row = table + tl.load(slots + row) * table_stride
    peak = tl.full([PADDED], -1e30, tl.float32)
    total = tl.zeros([PADDED], tl.float32)
    mixed = tl.zeros([PADDED, WIDTH], tl.float32)
    for at in range(low, high):
        page = tl.load(pages_of_row + at).to(tl.int64)
        token = at * PAGE + offset
        seen = token < length
        if WINDOW > 0:
            seen = seen & (token >= begin)
        source = (page * PAGE + offset) * HEADS + head
        k = tl.load(keys + source[None, :] * WIDTH + column[:, None], mask=seen[None, :], other=0.0)
        v = tl.load(values + source[:, None] * WIDTH + column[None, :], mask=seen[:, None], other=0.0)
        scores = tl.dot(queries, k, input_precision=PRECISION).to(tl.float32) * scale
        scores = tl.where(seen[None, :], scores, -1e30)
        higher = tl.maximum(peak, tl.max(scores, 1))
        weights = tl.exp(scores - higher[:, None])
        weights = tl.where(seen[None, :], weights, 0.0)
        faded = tl.exp(peak - higher)
        mixed = mixed * faded[:, None] + tl.dot(weights.to(v.dtype), v, input_precision=PRECISION).to(tl.float32)
        total = total * faded + tl.sum(weights, 1)
        peak = higher
    tl.store(partial + place[:, None] * WIDTH + column[None, :], mixed, mask=lane[:, None] < GROUP)
    tl.store(sums + place * 2, peak, mask=lane < GROUP)
    tl.store(sums + place * 2 + 1, total, mask=lane < GROUP)


@triton.jit
def _join_parts(
    partial, sums, output, output_stride,
    GROUP: tl.constexpr, HEADS: tl.constexpr, WIDTH: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    part = tl.arange(0, PARTS)
    column = tl.arange(0, WIDTH)
    place = ((row * HEADS + head // GROUP) * PARTS + part) * GROUP + head % GROUP
    peaks = tl.load(sums + place * 2)
    totals = tl.load(sums + place * 2 + 1)
    weights = tl.exp(peaks - tl.max(peaks, 0))
    # A part that read nothing has stored no values.
    mixed = tl.load(partial + place[:, None] * WIDTH + column[None, :], mask=(totals > 0)[:, None], other=0.0)
    found = tl.sum(mixed * weights[:, None], 0) / tl.sum(totals * weights, 0)
    tl.store(output + row * output_stride + head * WIDTH + column, found.to(output.dtype.element_ty))
