"""Runs the GPU kernels in Triton's interpreter on a CPU, and compares them with torch. A process of its own."""

import os

os.environ["TRITON_INTERPRET"] = "1"

import sys

import torch
from torch.nn import functional

from chatscale_server.engine.kernels.attention import attend_pages
from chatscale_server.engine.kernels.layers import add_norm, rotate_and_store, silu_mul

torch.manual_seed(3)


def attention(heads: int, kv_heads: int, width: int, lengths: list[int], window: int) -> None:
    """Rows of different lengths, on pages in any order."""
    size, columns = 16, 16
    pages = len(lengths) * columns + 1
    keys, values = torch.randn(2, pages * size, kv_heads, width)
    table = (torch.randperm(pages - 1)[: len(lengths) * columns] + 1).view(len(lengths), columns).int()
    slots, positions = torch.randperm(len(lengths)), torch.tensor(lengths) - 1
    states = torch.randn(len(lengths), heads + 2, width)
    query, output = states[:, :heads], torch.empty(len(lengths), heads, width)
    attend_pages(query, keys, values, table, slots, positions, output, page_tokens=size, scale=0.3, window=window)
    for row, length in enumerate(lengths):
        rows = (table[slots[row]].long()[:, None] * size + torch.arange(size)).flatten()[:length]
        rows = rows[-window:] if window else rows
        k, v = (block[rows].transpose(0, 1)[None] for block in (keys, values))
        expected = functional.scaled_dot_product_attention(query[row][None, :, None], k, v, scale=0.3, enable_gqa=True)[
            0, :, 0
        ]
        torch.testing.assert_close(output[row], expected, rtol=1e-4, atol=1e-5)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal but for the rounding of one operation."""
    tolerance = 1e-5 if found.dtype == torch.float32 else 2e-2
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def layers(dtype: torch.dtype, heads: int, kv_heads: int, width: int, *, normed: bool) -> None:
    """Every small operation against its definition in float32."""
    delta, residual, weight = torch.randn(3, 96).to(dtype), torch.randn(3, 96).to(dtype), torch.randn(96).to(dtype)
    total = residual + delta
    for extra, summed in ((delta, total), (None, residual)):
        kept = residual.clone()
        found = add_norm(extra, kept, weight, 1e-5)
        expected = functional.rms_norm(summed.float(), (96,), None, 1e-5).to(dtype) * weight
        close(found, expected)
        close(kept, summed)
    both = torch.randn(3, 2 * 1100).to(dtype)
    close(silu_mul(both), functional.silu(both[:, :1100].float()).to(dtype) * both[:, 1100:])
    states = torch.randn(5, (heads + 2 * kv_heads) * width).to(dtype)
    angles = torch.rand(40, width // 2) * 6
    positions, targets = torch.tensor([0, 3, 39, 7, 8]), torch.tensor([4, 9, 2, 0, 11])
    keys, values = torch.zeros(2, 12, kv_heads, width).to(dtype)
    norms = (torch.randn(width).to(dtype), torch.randn(width).to(dtype)) if normed else None
    before = states.clone().view(5, -1, width)
    rotate_and_store(states, angles.cos(), angles.sin(), positions, targets, keys, values, norms, 1e-5)
    parts = before[:, : heads + kv_heads]
    if norms is not None:
        weights = torch.cat([norms[0].expand(heads, -1), norms[1].expand(kv_heads, -1)])
        parts = functional.rms_norm(parts.float(), (width,), None, 1e-5).to(dtype) * weights
    left, right = parts.float().chunk(2, -1)
    cosines, sines = angles[positions].cos()[:, None], angles[positions].sin()[:, None]
    turned = torch.cat([left * cosines - right * sines, right * cosines + left * sines], -1).to(dtype)
    after = states.view(5, -1, width)
    close(after[:, : heads + kv_heads], turned)
    close(keys[targets], turned[:, heads:])
    close(values[targets], before[:, heads + kv_heads :])


def main() -> int:
    """Raises AssertionError if a kernel differs."""
    for window in (0, 5, 40):
        attention(4, 2, 64, [1, 16, 17, 250], window)
        attention(9, 3, 64, [33], window)
        attention(2, 2, 128, [256, 2, 90], window)
    for dtype in (torch.float32, torch.bfloat16):
        layers(dtype, 4, 2, 64, normed=False)
        layers(dtype, 4, 1, 128, normed=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
