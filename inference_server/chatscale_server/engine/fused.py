"""A packed forward pass with fused layers, for families whose structure is known: Llama, Mistral, Qwen2 and Qwen3.

Queries, keys and values are one matrix product, gate and up are another. On a GPU the operations between the products
are one kernel each (`kernels/layers.py`). Weights are shared with the network of transformers, which stays usable for
beam search. `SlotModel` compares the results with the network's own before it uses them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.nn import functional

from chatscale_server.engine.attention import attend, kernels_fit
from chatscale_server.engine.kv_cache import KvCache
from chatscale_server.engine.linears import joint_linear
from chatscale_server.engine.packed import PackedBatch

FAMILIES: Final = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""`model_type` of the configurations. Each has RMS norms before attention and MLP, rotary halves and a SiLU gate."""

Linear = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class _Layer:
    before: torch.Tensor
    """Weight of the norm before attention."""
    states: Linear
    """Queries, keys and values side by side."""
    norms: tuple[torch.Tensor, torch.Tensor] | None
    """Weights of the norms of queries and keys."""
    output: Linear
    between: torch.Tensor
    """Weight of the norm before the MLP."""
    gate_up: Linear
    down: Linear
    window: int | None


class FusedDecoder:
    """See the module."""

    def __init__(self, network: Any, max_len: int) -> None:
        """Raises AttributeError, TypeError or ValueError if the network does not have the expected structure."""
        config, inner = network.config, network.model
        if config.model_type not in FAMILIES:
            raise ValueError(f"{config.model_type} is not one of {', '.join(sorted(FAMILIES))}")
        if config.hidden_act != "silu":
            raise ValueError(f"the activation is {config.hidden_act}, not silu")
        attention = inner.layers[0].self_attn
        self._heads: int = config.num_attention_heads
        self._width: int = attention.head_dim
        self._scale: float = attention.scaling
        self._eps: float = config.rms_norm_eps
        self._embed, self._norm, self._head = inner.embed_tokens, inner.norm.weight.detach(), network.lm_head
        self._rotary = inner.rotary_emb
        self._layers = [_layer(layer) for layer in inner.layers]
        device = self._norm.device
        self._on_gpu = kernels_fit(device, self._width)
        self._rotations = self._all_rotations(max_len, device) if self._on_gpu else None

    def _all_rotations(self, max_len: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines of all positions, (max_len, head_dim / 2) float32. Both halves of a head have the same."""
        like = torch.empty(1, 1, dtype=torch.float32, device=device)
        with torch.inference_mode():
            both = self._rotary(like, torch.arange(max_len, device=device)[None])
        cosines, sines = (found[0, :, : self._width // 2].float().contiguous() for found in both)
        return cosines, sines

    def forward(self, batch: PackedBatch, kv: KvCache) -> torch.Tensor:
        """Logits (rows, vocab) after the last token of each row, in the model's number format."""
        residual = functional.embedding(batch.ids, self._embed.weight)
        hidden = self._on_gpu_layers(residual, batch, kv) if self._on_gpu else self._layers_of(residual, batch, kv)
        logits: torch.Tensor = self._head(hidden)
        return logits

    def _on_gpu_layers(self, residual: torch.Tensor, batch: PackedBatch, kv: KvCache) -> torch.Tensor:
        from chatscale_server.engine.kernels.layers import add_norm, rotate_and_store, silu_mul

        assert self._rotations is not None  # noqa: S101 - made on every GPU
        delta: torch.Tensor | None = None
        for number, layer in enumerate(self._layers):
            states = layer.states(add_norm(delta, residual, layer.before, self._eps))
            rotate_and_store(
                states, *self._rotations, batch.positions, batch.targets, kv.keys[number], kv.values[number],
                layer.norms, self._eps,
            )  # fmt: skip
            attended = self._attend(states, number, batch, kv, layer.window)
            middle = layer.gate_up(add_norm(layer.output(attended), residual, layer.between, self._eps))
            delta = layer.down(silu_mul(middle))
        if batch.last is not None:
            residual = residual[batch.last]
            delta = delta[batch.last] if delta is not None else None
        return add_norm(delta, residual, self._norm, self._eps)

    def _layers_of(self, residual: torch.Tensor, batch: PackedBatch, kv: KvCache) -> torch.Tensor:
        cosines, sines = (found[0, :, None] for found in self._rotary(residual, batch.positions[None]))
        kv_heads = kv.shape.kv_heads
        for number, layer in enumerate(self._layers):
            states = layer.states(_norm(residual, layer.before, self._eps))
            states = states.view(len(states), -1, self._width)
            if layer.norms is None:
                turned = _rotate(states[:, :-kv_heads], cosines, sines)
            else:
                parts = states.split([self._heads, kv_heads, kv_heads], dim=1)
                normed = [_norm(part, weight, self._eps) for part, weight in zip(parts, layer.norms, strict=False)]
                turned = _rotate(torch.cat(normed, dim=1), cosines, sines)
            kv.write(number, batch.targets, turned[:, self._heads :], states[:, -kv_heads:])
            attended = attend(
                turned[:, : self._heads], (turned[:, self._heads :], states[:, -kv_heads:]), number, kv, batch,
                scale=self._scale, window=layer.window,
            )  # fmt: skip
            residual = residual + layer.output(attended.reshape(len(attended), -1))
            middle = layer.gate_up(_norm(residual, layer.between, self._eps))
            gate, up = middle.chunk(2, dim=-1)
            residual = residual + layer.down(functional.silu(gate) * up)
        if batch.last is not None:
            residual = residual[batch.last]
        return _norm(residual, self._norm, self._eps)

    def _attend(
        self, states: torch.Tensor, number: int, batch: PackedBatch, kv: KvCache, window: int | None
    ) -> torch.Tensor:
        """Attention from rotated states, (tokens, heads * head_dim)."""
        split = states.view(len(states), -1, self._width)
        query, key, value = split.split([self._heads, kv.shape.kv_heads, kv.shape.kv_heads], dim=1)
        found = attend(query, (key, value), number, kv, batch, scale=self._scale, window=window)
        return found.view(len(found), -1)


def _layer(layer: Any) -> _Layer:
    """The parts of a decoder layer of transformers."""
    attention, mlp = layer.self_attn, layer.mlp
    norms = None
    if hasattr(attention, "q_norm"):
        norms = (attention.q_norm.weight.detach(), attention.k_norm.weight.detach())
    return _Layer(
        before=layer.input_layernorm.weight.detach(),
        states=joint_linear(attention, ("q_proj", "k_proj", "v_proj")),
        norms=norms,
        output=attention.o_proj,
        between=layer.post_attention_layernorm.weight.detach(),
        gate_up=joint_linear(mlp, ("gate_proj", "up_proj")),
        down=mlp.down_proj,
        # Qwen sets it for each layer, Mistral has one for all.
        window=getattr(attention, "sliding_window", getattr(attention.config, "sliding_window", None)),
    )


def _norm(states: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    return functional.rms_norm(states, weight.shape, weight, eps)


def _rotate(states: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
    """Rotary embedding of halves, as in transformers. states: (tokens, heads, head_dim)."""
    left, right = states.chunk(2, dim=-1)
    return states * cosines + torch.cat([-right, left], dim=-1) * sines
