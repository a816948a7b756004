"""Small operations of a decoder layer, each in one kernel. They read and write every value once.

Sums and products are computed in float32 and rounded where the family's own code in transformers rounds.
"""

from typing import Any, Final

import torch
import triton
import triton.language as tl

_WIDE: Final = 2048
"""Rows from this width on are computed by eight warps instead of four."""
_BLOCK: Final = 1024


def add_norm(delta: torch.Tensor | None, residual: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """Add `delta` to `residual` in place, and return the RMS norm of the sum times `weight`.

    delta, residual: (tokens, width), contiguous.  weight: (width,).
    """
    output = torch.empty_like(residual)
    block = triton.next_power_of_2(residual.shape[1])
    kernel: Any = _add_norm
    kernel[(residual.shape[0],)](
        residual if delta is None else delta, residual, weight, output, residual.shape[1], eps,
        ADDS=delta is not None, BLOCK=block, num_warps=8 if block >= _WIDE else 4,
    )  # fmt: skip
    return output


def rotate_and_store(
    states: torch.Tensor,
    cosines: torch.Tensor,
    sines: torch.Tensor,
    positions: torch.Tensor,
    targets: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    norms: tuple[torch.Tensor, torch.Tensor] | None,
    eps: float,
) -> None:
    """Norm and rotate queries and keys in place, and store keys and values in the cache.

    states: (tokens, (heads + 2 kv_heads) * head_dim), queries, keys and values side by side.
    cosines, sines: (positions, head_dim / 2), float32.  positions, targets: (tokens,) int64.
    keys, values: (cache rows, kv_heads, head_dim).  norms: weights (head_dim,) of the norms of queries and keys.
    """
    kv_heads, width = keys.shape[1:]
    heads = states.shape[1] // width - 2 * kv_heads
    kernel: Any = _rotate_and_store
    kernel[(states.shape[0], heads + 2 * kv_heads)](
        states, cosines, sines, positions, targets, keys, values, *(norms or (states, states)), eps,
        HEADS=heads, KV_HEADS=kv_heads, WIDTH=width, NORMS=norms is not None, num_warps=1,
    )  # fmt: skip


def silu_mul(both: torch.Tensor) -> torch.Tensor:
    """SiLU of the first half of each row times its second half. (tokens, 2 n) gives (tokens, n)."""
    tokens, width = both.shape[0], both.shape[1] // 2
    output = torch.empty(tokens, width, dtype=both.dtype, device=both.device)
    kernel: Any = _silu_mul
    kernel[(tokens, triton.cdiv(width, _BLOCK))](both, output, width, BLOCK=_BLOCK, num_warps=4)
    return output


@triton.jit
def _add_norm(delta, residual, weight, output, width, eps, ADDS: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < width
    dtype = output.dtype.element_ty
    value = tl.load(residual + row * width + column, mask=inside, other=0.0).to(tl.float32)
    if ADDS:
        value += tl.load(delta + row * width + column, mask=inside, other=0.0).to(tl.float32)
        rounded = value.to(dtype)
        tl.store(residual + row * width + column, rounded, mask=inside)
        value = rounded.to(tl.float32)
    scaled = value * tl.rsqrt(tl.sum(value * value, 0) / width + eps)
    factor = tl.load(weight + column, mask=inside, other=0.0).to(tl.float32)
    tl.store(output + row * width + column, (scaled.to(dtype).to(tl.float32) * factor).to(dtype), mask=inside)


@triton.jit
def _rotate_and_store(
    states, cosines, sines, positions, targets, keys, values, query_norm, key_norm, eps,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, WIDTH: tl.constexpr, NORMS: tl.constexpr,
):  # fmt: skip
    half: tl.constexpr = WIDTH // 2
    token = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    lane = tl.arange(0, half)
    source = states + (token * (HEADS + 2 * KV_HEADS) + head) * WIDTH
    dtype = states.dtype.element_ty
    left = tl.load(source + lane)
    right = tl.load(source + half + lane)
    target = tl.load(targets + token)
    if head >= HEADS + KV_HEADS:
        place = values + (target * KV_HEADS + head - HEADS - KV_HEADS) * WIDTH
        tl.store(place + lane, left)
        tl.store(place + half + lane, right)
    else:
        a = left.to(tl.float32)
        b = right.to(tl.float32)
        if NORMS:
            scale = tl.rsqrt((tl.sum(a * a, 0) + tl.sum(b * b, 0)) / WIDTH + eps)
            weight = query_norm
            if head >= HEADS:
                weight = key_norm
            a = ((a * scale).to(dtype).to(tl.float32) * tl.load(weight + lane).to(tl.float32)).to(dtype).to(tl.float32)
            b = ((b * scale).to(dtype).to(tl.float32) * tl.load(weight + half + lane).to(tl.float32)).to(dtype)
            b = b.to(tl.float32)
        position = tl.load(positions + token)
        cosine = tl.load(cosines + position * half + lane)
        sine = tl.load(sines + position * half + lane)
        left = (a * cosine - b * sine).to(dtype)
        right = (b * cosine + a * sine).to(dtype)
        tl.store(source + lane, left)
        tl.store(source + half + lane, right)
        if head >= HEADS:
            place = keys + (target * KV_HEADS + head - HEADS) * WIDTH
            tl.store(place + lane, left)
            tl.store(place + half + lane, right)


@triton.jit
def _silu_mul(both, output, width, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < width
    dtype = output.dtype.element_ty
    gate = tl.load(both + row * 2 * width + column, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(both + row * 2 * width + width + column, mask=inside, other=0.0).to(tl.float32)
    active = (gate * tl.sigmoid(gate)).to(dtype).to(tl.float32)
    tl.store(output + row * width + column, (active * up).to(dtype), mask=inside)
