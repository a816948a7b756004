"""Attention of a packed batch over the KV cache.

On a GPU, tokens that decode use our kernel over pages (`kernels/attention.py`), prompts use flash attention for
sequences of different lengths. Everywhere else, and for what these kernels lack, torch's attention is called once for
each span of the batch.
"""

import inspect
from functools import cache
from typing import Any, Final

import torch
from torch.nn.functional import scaled_dot_product_attention

from chatscale_server.engine.kv_cache import KvCache
from chatscale_server.engine.packed import PackedBatch, Prompts, Span

HEAD_DIMS: Final = (64, 128, 256)
"""Sizes of heads that the GPU kernels compute."""
GATHERED_TOKENS: Final = 65_536
"""Keys that one call of flash attention may gather from the pages. Bounds the memory of a prefill step."""


def attend(
    query: torch.Tensor,
    fresh: tuple[torch.Tensor, torch.Tensor],
    layer: int,
    kv: KvCache,
    batch: PackedBatch,
    *,
    scale: float,
    window: int | None = None,
    softcap: float | None = None,
    sinks: torch.Tensor | None = None,
    decoded: torch.Tensor | None = None,
) -> torch.Tensor:
    """Attention of each token over its sequence up to itself. The batch's own keys and values are in the cache.

    query: (tokens, heads, head_dim).  fresh: keys and values of the batch, (tokens, kv_heads, head_dim).
    window: number of last tokens that a token attends to, itself included; None means all.
    softcap: bound of the scores, as in Gemma 2.  sinks: (heads,) additional scores of the softmax, as in GPT-OSS.
    decoded: the output with the rows of the tokens that decode, which are not computed again.
    Returns (tokens, heads, head_dim).
    """
    output = torch.empty(query.shape, dtype=query.dtype, device=query.device) if decoded is None else decoded
    plain = softcap is None and sinks is None
    first = 0 if decoded is None else batch.decodes
    if batch.slots is not None and plain and kernels_fit(query.device, kv.shape.head_dim):
        _decode_on_gpu(query, layer, kv, batch, output, scale, window)
        if query.dtype is not torch.float32 or len(query) == batch.decodes:
            for prompts in batch.prompts:
                own = slice(prompts.first, prompts.first + prompts.tokens)
                if prompts.rows is None:
                    found = (fresh[0][own], fresh[1][own])
                else:
                    found = (kv.keys[layer][prompts.rows], kv.values[layer][prompts.rows])
                output[own] = flash_attention(query[own], *found, prompts, scale, window)
            return output
        first = batch.decodes
    for span in batch.spans:
        if span.tokens.start < first:
            continue
        keys, values = (span.read(block, kv.page_tokens) for block in (kv.keys[layer], kv.values[layer]))
        output[span.tokens] = (
            _span_attention(query, keys, values, span, scale, window)
            if plain
            else _exact_attention(query, keys, values, span, scale, window, softcap, sinks)
        )
    return output


@cache
def kernels_fit(device: torch.device, head_dim: int) -> bool:
    """True if the GPU kernels compute heads of this size. Flash attention has no float32."""
    if device.type != "cuda" or head_dim not in HEAD_DIMS:
        return False
    from chatscale_server.engine.kernels.available import kernels_work

    return kernels_work()


def _decode_on_gpu(
    query: torch.Tensor,
    layer: int,
    kv: KvCache,
    batch: PackedBatch,
    output: torch.Tensor,
    scale: float,
    window: int | None,
) -> None:
    """Attention of the tokens that decode, into `output`."""
    count = batch.decodes
    if count == 0 or batch.slots is None:
        return
    from chatscale_server.engine.kernels.attention import attend_pages

    rows = query[:count]
    if rows.stride(1) != rows.shape[2]:
        rows = rows.contiguous()
    attend_pages(
        rows, kv.keys[layer], kv.values[layer], kv.table, batch.slots, batch.positions, output[:count],
        page_tokens=kv.page_tokens, scale=scale, window=window or 0,
    )  # fmt: skip


@cache
def varlen_options() -> dict[str, Any] | None:
    """Options of torch's public attention for sequences of different lengths; None if this torch lacks it.

    torch 2.15 takes the window as an argument, and must be permitted fewer key heads than query heads.
    """
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    names = inspect.signature(varlen_attn).parameters
    return {"enable_gqa": True} if {"enable_gqa", "window_size"} <= set(names) else None


def describe(device: torch.device, head_dim: int) -> str:
    """The attention that a model uses here, for the log."""
    if not kernels_fit(device, head_dim):
        return "torch, one call for each span"
    return "Triton over pages; prompts: " + ("varlen_attn" if varlen_options() is not None else "aten flash attention")


def flash_attention(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, prompts: Prompts, scale: float, window: int | None
) -> torch.Tensor:
    """Causal attention of several sequences, aligned at their last token. (tokens, heads, head_dim) each."""
    left = window - 1 if window else -1
    if (options := varlen_options()) is not None:
        from torch.nn.attention.varlen import varlen_attn

        found: torch.Tensor = varlen_attn(
            query, keys, values, prompts.query_starts, prompts.key_starts, prompts.longest_query, prompts.longest_key,
            scale=scale, window_size=(left, 0), **options,
        )  # fmt: skip
        return found
    # Older versions have the same kernel as a private operator only.
    output: torch.Tensor = torch.ops.aten._flash_attention_forward(  # noqa: SLF001
        query, keys, values, prompts.query_starts, prompts.key_starts, prompts.longest_query, prompts.longest_key,
        0.0, True, False,  # noqa: FBT003 - no dropout, causal, no debug mask
        scale=scale, window_size_left=left if window else None, window_size_right=0 if window else None,
    )[0]  # fmt: skip
    return output


def _queries(query: torch.Tensor, span: Span, kv_heads: int) -> torch.Tensor:
    """(rows, kv_heads, queries, head_dim) for one token per row: the heads of a group are the queries."""
    tokens = query[span.tokens]
    grouped = tokens.reshape(len(tokens), kv_heads, -1, tokens.shape[-1])
    if span.index is None:
        return grouped
    spread = grouped.new_zeros(span.positions.shape[0], *grouped.shape[1:])
    spread[span.index] = grouped
    return spread


def _span_attention(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, span: Span, scale: float, window: int | None
) -> torch.Tensor:
    """Attention of one span by torch's operator. Returns (tokens, heads, head_dim)."""
    if span.positions.shape[1] == 1 and not span.causal:
        queries = _queries(query, span, keys.shape[1])
        mask = None
        if span.positions.shape[0] > 1 or window is not None or span.index is not None:
            mask = span.mask(window, query.dtype).expand(*queries.shape[:3], -1)
        found = scaled_dot_product_attention(queries, keys, values, attn_mask=mask, scale=scale)
        if span.index is not None:
            found = found[span.index]
        return found.reshape(-1, *query.shape[1:])
    queries = query[span.tokens].transpose(0, 1)[None]
    whole = span.causal and (window is None or window >= span.columns)
    found = scaled_dot_product_attention(
        queries, keys, values, attn_mask=None if whole else span.mask(window, query.dtype), is_causal=whole,
        scale=scale, enable_gqa=queries.shape[1] != keys.shape[1],
    )  # fmt: skip
    return found[0].transpose(0, 1)


def _exact_attention(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    span: Span,
    scale: float,
    window: int | None,
    softcap: float | None,
    sinks: torch.Tensor | None,
) -> torch.Tensor:
    """Attention of one span step by step, for rules that torch's operator lacks. Returns (tokens, heads, head_dim)."""
    groups = query.shape[1] // keys.shape[1]
    tokens = query[span.tokens]
    single = span.positions.shape[1] == 1 and not span.causal
    if single:
        queries = tokens if span.index is None else tokens.new_zeros(span.positions.shape[0], *tokens.shape[1:])
        if span.index is not None:
            queries[span.index] = tokens
        queries = queries[:, :, None]
    else:
        queries = tokens.transpose(0, 1)[None]
    scores = queries.float() @ keys.repeat_interleave(groups, 1).float().transpose(2, 3) * scale
    weights = exact_weights(scores, span.mask(window, torch.float32), softcap, sinks)
    found = weights.to(values.dtype) @ values.repeat_interleave(groups, 1)
    if not single:
        return found[0].transpose(0, 1)
    found = found[:, :, 0]
    return found if span.index is None else found[span.index]


def exact_weights(
    scores: torch.Tensor, bias: torch.Tensor, softcap: float | None, sinks: torch.Tensor | None
) -> torch.Tensor:
    """Softmax of scores, with a bound as in Gemma 2 and with additional scores as in GPT-OSS.

    scores: (rows, heads, queries, columns) float32.  bias: 0 or -inf, broadcast to it.  sinks: (heads,).
    """
    columns = scores.shape[-1]
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    scores = scores + bias
    if sinks is not None:
        extra = sinks.float().view(1, -1, 1, 1).expand(*scores.shape[:3], 1)
        scores = torch.cat([scores, extra], dim=-1)
    return scores.softmax(dim=-1)[..., :columns]
