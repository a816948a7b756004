"""A packed forward pass through a network of transformers, for every family with its attention interface.

The network gets all tokens as one sequence of a batch of one, with their positions. Its attention function is ours: it
stores keys and values in the cache and attends within each sequence. Outside of a packed pass, e.g. in `generate`, the
same network uses torch's attention as usual.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import torch
from transformers import AttentionInterface, AttentionMaskInterface, Cache
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from chatscale_server.engine.attention import attend, exact_weights
from chatscale_server.engine.kv_cache import KvCache
from chatscale_server.engine.packed import PackedBatch

ATTENTION: Final = "chatscale"
"""Name of the attention function in transformers."""


@dataclass(frozen=True, slots=True)
class _Pass:
    kv: KvCache
    batch: PackedBatch


_active: ContextVar[_Pass | None] = ContextVar("packed pass", default=None)


class _Layers(Cache):  # type: ignore[misc]  # transformers is Any to mypy
    """Passes the keys and values of the batch on to the attention function, which stores them."""

    def __init__(self) -> None:
        super().__init__(layers=[])
        self.layer = 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention is computed next, for the same layer."""
        self.layer = layer_idx
        return key_states, value_states

    def get_seq_length(self, layer_idx: int = 0) -> int:  # noqa: ARG002 - transformers' signature
        """Not used, because positions and mask are always passed in."""
        return 0


_layers: ContextVar[_Layers | None] = ContextVar("layers of the packed pass", default=None)


def _attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """The attention function of transformers: (batch, heads, tokens, head_dim) to (batch, tokens, heads, head_dim)."""
    active, layers = _active.get(), _layers.get()
    if active is None or layers is None:
        if options.get("softcap") is not None or options.get("s_aux") is not None:
            return _exact(module, query, key, value, attention_mask, options), None
        found: tuple[torch.Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
        return found
    keys, values = key[0].transpose(0, 1), value[0].transpose(0, 1)
    active.kv.write(layers.layer, active.batch.targets, keys, values)
    scale = options.get("scaling")
    output = attend(
        query[0].transpose(0, 1), (keys, values), layers.layer, active.kv, active.batch,
        scale=query.shape[-1] ** -0.5 if scale is None else scale, window=options.get("sliding_window"),
        softcap=options.get("softcap"), sinks=options.get("s_aux"),
    )  # fmt: skip
    return output[None], None


def _exact(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    options: Mapping[str, Any],
) -> torch.Tensor:
    """Attention step by step, outside of a packed pass, for rules that torch's operator lacks. Shapes as `_attention`.

    mask: boolean, or None for causal attention of all tokens.
    """
    groups = query.shape[1] // key.shape[1]
    keys, values = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    if mask is None:
        count = query.shape[2]
        causal = torch.ones(count, keys.shape[2], dtype=torch.bool, device=query.device).tril(keys.shape[2] - count)
        mask = causal if getattr(module, "is_causal", True) else torch.ones_like(causal)
    bias = torch.zeros(mask.shape, dtype=torch.float32, device=query.device).masked_fill_(~mask, -torch.inf)
    scores = query.float() @ keys.float().transpose(2, 3) * options["scaling"]
    weights = exact_weights(scores, bias, options.get("softcap"), options.get("s_aux"))
    return (weights.to(values.dtype) @ values).transpose(1, 2)


AttentionInterface.register(ATTENTION, _attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


@functools.cache
def cache_argument(forward: Callable[..., Any]) -> str | None:
    """Name of the argument of a network's `forward` that takes the cache; None if there is none.

    transformers 5.24 renamed it to `cache`. The old name gives a FutureWarning and is removed in 5.40.
    """
    names = inspect.signature(forward).parameters
    return next((name for name in ("cache", "past_key_values") if name in names), None)


def forward(network: Any, batch: PackedBatch, kv: KvCache) -> torch.Tensor:
    """Logits (rows, vocab) after the last token of each row, in the model's number format."""
    layers = _Layers()
    # A mask of four dimensions is passed on as it is, so that the network makes none.
    mask = torch.zeros(1, 1, 1, 1, dtype=kv.dtype, device=kv.device)
    tokens = (_active.set(_Pass(kv, batch)), _layers.set(layers))
    try:
        output = network(
            input_ids=batch.ids[None],
            position_ids=batch.positions[None],
            attention_mask=mask,
            use_cache=True,
            logits_to_keep=0 if batch.last is None else batch.last,
            **{cache_argument(type(network).forward) or "past_key_values": layers},
        )
    finally:
        _active.reset(tokens[0])
        _layers.reset(tokens[1])
    logits: torch.Tensor = output.logits[0]
    return logits
