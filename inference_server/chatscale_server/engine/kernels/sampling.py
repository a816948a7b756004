"""Samples one token per row on a GPU, without sorting and without waiting for the device.

The definition is in `engine/sampling.py`; this module must choose the same tokens, except where the rounding of a sum
decides. One program reads its row several times. The rows of a step stay in the L2 cache: 64 rows of 128k take 32 MiB
of the 50 MiB of an H100. Every filter becomes one threshold on the logits, which the program finds by narrowing a
bracket.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators

from typing import Final

import torch
import triton
import triton.language as tl

BLOCK: Final = 4096
"""Logits that a program reads at once: 16 bytes for each of its 1024 threads."""
WARPS: Final = 32

EVEN_PASSES = tl.constexpr(4)
"""See `_threshold`."""


def sample(logits: torch.Tensor, step: torch.Tensor, parameters: torch.Tensor, block: int = BLOCK) -> torch.Tensor:
    """Choose one token per row. Launches one kernel and does not wait for it.

    logits: (rows, vocab) float32, at most 2**24 columns, not changed.
    step: (rows, 2) float64, the row of `parameters` and the uniform number in [0, 1) of each row.
    parameters: (slots, 4) float32, from `sampling.pack_parameters`.
    Returns (rows,) int64.
    """
    if logits.stride(-1) != 1:
        logits = logits.contiguous()
    rows, vocab = logits.shape
    tokens = torch.empty(rows, dtype=torch.int64, device=logits.device)
    # Fused multiply-adds would round unlike the definition.
    _sample_row[(rows,)](
        logits, step, parameters, tokens, vocab, logits.stride(0), BLOCK=block, num_warps=WARPS, enable_fp_fusion=False
    )
    return tokens


@triton.jit
def _sample_row(logits, step, parameters, tokens, vocab, stride, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    line = logits + row * stride
    rule = parameters + tl.load(step + row * 2).to(tl.int64) * 4
    scale = tl.load(rule)
    lane_tops, top, token = _best(line, vocab, BLOCK)
    if (scale > 0) & (top > -float("inf")) & (top < float("inf")):
        top_p = tl.load(rule + 1)
        top_k = tl.load(rule + 3)
        cut = -float("inf")
        if (top_k > 0) & (top_k < vocab):
            # Every lane has a logit from here on. A wrong guess only costs a pass.
            guess = tl.min(tl.where(lane_tops > -float("inf"), lane_tops, top))
            cut = _threshold(line, vocab, top, scale, cut, guess, top_k, WEIGHTED=False, BLOCK=BLOCK)
        if top_p < 1:
            whole = _mass(line, vocab, top, scale, cut, BLOCK)
            # All tokens below this logit together have less than the mass that top_p removes.
            guess = top + tl.log2((1 - top_p) * whole / vocab) / scale
            cut = _threshold(line, vocab, top, scale, cut, guess, top_p * whole, WEIGHTED=True, BLOCK=BLOCK)
        cut = tl.maximum(cut, top + tl.load(rule + 2))
        token = _draw(line, vocab, top, scale, cut, tl.load(step + row * 2 + 1), token, BLOCK)
    tl.store(tokens + row, token.to(tl.int64))


@triton.jit
def _best(line, vocab, BLOCK: tl.constexpr):
    """Return the maximum of each lane (BLOCK,), the maximum, and its lowest index."""
    lanes = tl.arange(0, BLOCK)
    best = tl.full([BLOCK], -float("inf"), tl.float32)
    starts = tl.zeros([BLOCK], tl.int32)
    for start in range(0, vocab, BLOCK):
        x = tl.load(line + start + lanes, mask=start + lanes < vocab, other=-float("inf"))
        better = x > best
        best = tl.where(better, x, best)
        starts = tl.where(better, start, starts)
    top = tl.max(best, axis=0)
    return best, top, tl.min(tl.where(best == top, starts + lanes, vocab - 1), axis=0)


@triton.jit
def _tile(line, start, vocab, BLOCK: tl.constexpr):
    """(BLOCK / 4, 4) logits from `start` on. Each thread holds whole rows of four, so that it adds them up alone."""
    at = start + tl.arange(0, BLOCK // 4)[:, None] * 4 + tl.arange(0, 4)[None, :]
    return tl.load(line + at, mask=at < vocab, other=-float("inf"))


@triton.jit
def _mass(line, vocab, top, scale, cut, BLOCK: tl.constexpr):
    """Mass of the logits from `cut` on, relative to that of the largest one."""
    masses = tl.zeros([BLOCK // 4], tl.float32)
    for start in range(0, vocab, BLOCK):
        x = _tile(line, start, vocab, BLOCK)
        masses += tl.sum(tl.where(x >= cut, tl.exp2((x - top) * scale), 0.0), axis=1)
    return tl.sum(masses, axis=0)


@triton.jit
def _order(value):
    """Integer in the order of the float32 values. 0.0 follows -0.0, which compares equal as a float."""
    bits = value.to(tl.int32, bitcast=True)
    return tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits).to(tl.int64)


@triton.jit
def _value(order):
    """Inverse of `_order`."""
    bits = order.to(tl.int32)
    return tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits).to(tl.float32, bitcast=True)


@triton.jit
def _pivot(linear, value, order, low, high):
    """The order of `value` or else `order`, strictly between `low` and `high`."""
    return tl.minimum(tl.maximum(tl.where(linear, _order(value), order), low + 1), high - 1)


@triton.jit
def _threshold(line, vocab, top, scale, floor, guess, need, WEIGHTED: tl.constexpr, BLOCK: tl.constexpr):
    """Largest value v so that the logits from v on have at least the amount `need`; at least `floor`.

    The amount is a number of logits, or their mass relative to the largest one.  The logits from `floor` on have it.
    Each pass tests three pivots. The first `EVEN_PASSES` divide the range of values evenly, as logits spread over it;
    further ones divide the number of float32 values in it, so that there are at most 4 + 16 passes. The bracket also
    shrinks to the logits in it: 128k normally distributed logits take 3 to 12 passes, 3 to 8 if computed in bfloat16.
    """
    low = _order(floor)
    high = _order(top) + 1
    turn = 0
    while high - low > 1:
        bottom = _value(low)
        limit = _value(high)
        linear = (turn == 0) | ((turn < EVEN_PASSES) & (bottom > -float("inf")))
        begin = tl.where(turn == 0, guess, bottom + (limit - bottom) * 0.25)
        step = tl.where(turn == 0, (limit - guess) * 0.33, (limit - bottom) * 0.25)
        quarter = (high - low) // 4
        first = _pivot(linear, begin, low + quarter, low, high)
        second = _pivot(linear, begin + step, low + quarter * 2, low, high)
        third = _pivot(linear, begin + step * 2, low + quarter * 3, low, high)
        pivot_1, pivot_2, pivot_3 = _value(first), _value(second), _value(third)
        amounts_1 = tl.zeros([BLOCK // 4], tl.float32)
        amounts_2 = tl.zeros([BLOCK // 4], tl.float32)
        amounts_3 = tl.zeros([BLOCK // 4], tl.float32)
        least = tl.full([BLOCK // 4], float("inf"), tl.float32)
        most = tl.full([BLOCK // 4], -float("inf"), tl.float32)
        for start in range(0, vocab, BLOCK):
            x = _tile(line, start, vocab, BLOCK)
            weight = tl.exp2((x - top) * scale) if WEIGHTED else tl.full(x.shape, 1.0, tl.float32)
            amounts_1 += tl.sum(tl.where(x >= pivot_1, weight, 0.0), axis=1)
            amounts_2 += tl.sum(tl.where(x >= pivot_2, weight, 0.0), axis=1)
            amounts_3 += tl.sum(tl.where(x >= pivot_3, weight, 0.0), axis=1)
            least = tl.minimum(least, tl.min(tl.where(x >= bottom, x, float("inf")), axis=1))
            most = tl.maximum(most, tl.max(tl.where(x < limit, x, -float("inf")), axis=1))
        amount_1 = tl.sum(amounts_1, axis=0)
        amount_2 = tl.sum(amounts_2, axis=0)
        amount_3 = tl.sum(amounts_3, axis=0)
        smallest = tl.min(least, axis=0)
        largest = tl.max(most, axis=0)
        # The bracket is empty only if rounding decided; the kept logits are then the same for all of its values.
        done = (amount_1 == need) | (amount_2 == need) | (amount_3 == need) | (smallest > largest)
        low = tl.where(smallest > largest, low, tl.maximum(low, _order(smallest)))
        high = tl.where(smallest > largest, high, tl.minimum(high, _order(largest) + 1))
        low = tl.maximum(low, tl.where(amount_1 >= need, first, low))
        low = tl.maximum(low, tl.where(amount_2 >= need, second, low))
        low = tl.maximum(low, tl.where(amount_3 >= need, third, low))
        high = tl.minimum(high, tl.where(amount_1 >= need, high, first))
        high = tl.minimum(high, tl.where(amount_2 >= need, high, second))
        high = tl.minimum(high, tl.where(amount_3 >= need, high, third))
        high = tl.where(done, low + 1, high)
        turn += 1
    return _value(low)


@triton.jit
def _weights(line, start, vocab, top, scale, cut, BLOCK: tl.constexpr):
    """(BLOCK,) masses from `start` on, 0 below `cut`."""
    at = start + tl.arange(0, BLOCK)
    x = tl.load(line + at, mask=at < vocab, other=-float("inf"))
    return tl.where(x >= cut, tl.exp2((x - top) * scale), 0.0)


@triton.jit
def _draw(line, vocab, top, scale, cut, uniform, token, BLOCK: tl.constexpr):
    """Invert the cumulative distribution of the logits from `cut` on, in the order of the vocabulary.

    Sums of blocks are added up in float64: float32 would shift the tokens of a flat distribution.
    """
    whole = 0.0 * uniform
    for start in range(0, vocab, BLOCK):
        whole += tl.sum(_weights(line, start, vocab, top, scale, cut, BLOCK), axis=0).to(tl.float64)
    target = uniform * whole
    start = 0
    before = 0.0 * uniform
    mass = tl.sum(_weights(line, 0, vocab, top, scale, cut, BLOCK), axis=0).to(tl.float64)
    while (before + mass <= target) & (start + BLOCK < vocab):
        before += mass
        start += BLOCK
        mass = tl.sum(_weights(line, start, vocab, top, scale, cut, BLOCK), axis=0).to(tl.float64)
    weights = _weights(line, start, vocab, top, scale, cut, BLOCK)
    cumulative = tl.cumsum(weights.to(tl.float64), axis=0)
    at = start + tl.arange(0, BLOCK)
    found = tl.min(tl.where((weights > 0) & (before + cumulative > target), at, vocab), axis=0)
    # Rounding can leave the target beyond the last kept token.
    last = tl.max(tl.where(weights > 0, at, -1), axis=0)
    found = tl.where(found < vocab, found, last)
    return tl.where(found >= 0, found, token)
