"""The compiled loops of a CPU compute what torch computes, as exactly in bfloat16 as its format permits."""

import pytest
import torch

from chatscale_server.engine.kernels.cpu import CpuKernels, LayerSizes, Places

POSITIONS = (0, 1, 3, 4, 5, 6, 7, 19, 33, 40)
"""Of the tokens that decode: before, at and after the end of a window of 5 or 7, and of columns computed together."""
PROMPT = 3
"""Tokens of a prompt behind them."""
SLOT = 64


def rotations(width: int) -> tuple[torch.Tensor, torch.Tensor]:
    angles = torch.arange(SLOT)[:, None] * 10_000 ** (-torch.arange(width // 2) / (width // 2))
    return angles.cos(), angles.sin()


def normed(states: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.rms_norm(states, weight.shape, weight, 1e-5)


def turned(states: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    cosines, sines = (one[positions][:, None] for one in rotations(states.shape[-1]))
    left, right = states.chunk(2, -1)
    return torch.cat([left * cosines - right * sines, right * cosines + left * sines], -1)


def tolerance(dtype: torch.dtype) -> dict[str, float]:
    return {"rtol": 2**-8, "atol": 1e-3} if dtype is torch.bfloat16 else {"rtol": 1e-5, "atol": 1e-5}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 65])
def test_a_norm_equals_that_of_torch(rows, dtype):
    sizes = LayerSizes(48, 2, 1, 16, 1.0, 1e-5, normed=False)
    states, weight = torch.randn(rows, 48).to(dtype), torch.randn(48).to(dtype)
    found = CpuKernels(sizes, dtype, rotations(16)).norm(states, weight)
    torch.testing.assert_close(found.float(), normed(states.float(), weight.float()), **tolerance(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("heads", "kv_heads", "width", "with_norms", "window"),
    [
        pytest.param(6, 2, 16, False, None, id="groups"),
        pytest.param(2, 2, 64, False, 5, id="window"),
        pytest.param(4, 1, 10, True, None, id="norms and an odd size"),
        pytest.param(2, 1, 128, True, 7, id="norms and a window"),
        pytest.param(3, 3, 6, False, 1, id="a window of one token"),
    ],
)
def test_attention_equals_its_definition(heads, kv_heads, width, with_norms, window, dtype):
    scale, cached = width**-0.5, len(POSITIONS)
    kernels = CpuKernels(LayerSizes(48, heads, kv_heads, width, scale, 1e-5, with_norms), dtype, rotations(width))
    positions = torch.tensor([*POSITIONS, *range(PROMPT)])
    slots = torch.tensor([*range(cached), *[cached + 1] * PROMPT])  # the slot between them is free
    states = torch.randn(len(positions), heads + 2 * kv_heads, width).to(dtype)
    keys, values = (torch.randn((cached + 2) * SLOT, kv_heads, width).to(dtype) for _ in range(2))
    norms = tuple(torch.rand(width).add(0.5).to(dtype) for _ in range(2)) if with_norms else None
    places = Places(positions, slots * SLOT + positions, cached, max(POSITIONS) + 1)
    query, key, value = states.float().split([heads, kv_heads, kv_heads], 1)
    if norms is not None:
        query, key = normed(query, norms[0].float()), normed(key, norms[1].float())
    query, key = turned(query, positions), turned(key, positions)
    all_keys, all_values = keys.clone(), values.clone()
    all_keys[places.rows], all_values[places.rows] = key.to(dtype), value.to(dtype)

    own = states.view(len(positions), -1).clone()
    scratch = kernels.scratch(places.longest)
    found = kernels.attend(own, places, keys, values, norms, window, scratch).view(-1, heads, width)

    torch.testing.assert_close(keys, all_keys, **tolerance(dtype))
    torch.testing.assert_close(values, all_values, rtol=0, atol=0)
    prompt = own.view(states.shape)[cached:].float()
    torch.testing.assert_close(prompt[:, :heads], query[cached:], **tolerance(dtype))
    torch.testing.assert_close(prompt[:, heads : heads + kv_heads], key[cached:], **tolerance(dtype))
    for row, position in enumerate(POSITIONS):
        first = 0 if window is None else max(0, position + 1 - window)
        read = slice(row * SLOT + first, row * SLOT + position + 1)
        some_keys, some_values = (
            block[read].float().repeat_interleave(heads // kv_heads, 1) for block in (all_keys, all_values)
        )
        weights = (torch.einsum("hd,chd->hc", query[row], some_keys) * scale).softmax(-1)
        torch.testing.assert_close(
            found[row].float(), torch.einsum("hc,chd->hd", weights, some_values), **tolerance(dtype)
        )


def test_a_model_in_another_number_format_is_refused():
    sizes = LayerSizes(48, 2, 1, 16, 1.0, 1e-5, normed=False)
    with pytest.raises(ValueError, match="float16"):
        CpuKernels(sizes, torch.float16, rotations(16))


def test_a_rotary_embedding_of_half_a_head_is_refused():
    sizes = LayerSizes(48, 2, 1, 16, 1.0, 1e-5, normed=False)
    with pytest.raises(ValueError, match="whole heads"):
        CpuKernels(sizes, torch.float32, rotations(8))
