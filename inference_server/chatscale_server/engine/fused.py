"""A packed forward pass with fused layers, for families whose structure is known: Llama, Mistral, Qwen2 and Qwen3.

Queries, keys and values are one matrix product, gate and up are another. On a GPU the operations between the products
are one kernel each (`kernels/layers.py`). On a CPU they are compiled loops (`kernels/cpu.py`) or torch's operators.
Weights are shared with the network of transformers, which stays usable for beam search. The warm-up compares the
results with the network's own before it uses them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.nn import functional

from chatscale_server.engine.attention import attend, kernels_fit
from chatscale_server.engine.kv_cache import KvCache
from chatscale_server.engine.linears import gated_linears, joint_linear, residual_linear
from chatscale_server.engine.packed import PackedBatch

if TYPE_CHECKING:
    from chatscale_server.engine.kernels.cpu import CpuKernels

FAMILIES: Final = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""`model_type` of the configurations. Each has RMS norms before attention and MLP, rotary halves and a SiLU gate."""

GATED: Final = ("gate_proj", "up_proj")
"""Layers of an MLP whose product follows them at once."""

_LENGTH_DEPENDENT: Final = frozenset({"dynamic", "longrope"})
"""Rotary embeddings of transformers whose angles at a position differ with the length of the sequence."""

Linear = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class _Layer:
    before: torch.Tensor
    """Weight of the norm before attention."""
    states: Linear
    """Queries, keys and values side by side."""
    norms: tuple[torch.Tensor, torch.Tensor] | None
    """Weights of the norms of queries and keys."""
    between: torch.Tensor
    """Weight of the norm before the MLP."""
    window: int | None


@dataclass(frozen=True, slots=True)
class _KernelProducts:
    """Products of a layer where our kernels compute what is between them."""

    output: Linear
    gate_up: Linear
    down: Linear


@dataclass(frozen=True, slots=True)
class _Products:
    """Products of a layer together with what follows them: on a CPU oneDNN computes both in one pass."""

    add_output: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    gated: Linear
    """SiLU(gate) * up."""
    add_down: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


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
        self.loops: CpuKernels | None = None
        """The compiled loops of a CPU; None computes with torch's operators."""
        self._heads: int = config.num_attention_heads
        self._width: int = attention.head_dim
        self._scale: float = attention.scaling
        self._eps: float = config.rms_norm_eps
        self._embed, self._norm, self._head = inner.embed_tokens, inner.norm.weight.detach(), network.lm_head
        self._rotary = inner.rotary_emb
        self._layers = [_layer(layer) for layer in inner.layers]
        device = self._norm.device
        self._rotations: tuple[torch.Tensor, torch.Tensor] | None = None
        self._on_kernels: list[_KernelProducts] = []
        self._on_torch: list[_Products] = []
        if kernels_fit(device, self._width):
            self._rotations = self._all_rotations(max_len, device)
            self._on_kernels = [_kernel_products(layer) for layer in inner.layers]
        else:
            self._on_torch = [_products(layer) for layer in inner.layers]

    def compile_loops(self, kv: KvCache, max_len: int) -> "CpuKernels":
        """The loops for this model. Raises ImportError without numba, ValueError and OSError if they do not support it.

        Passes on errors of numba.
        """
        from chatscale_server.engine.kernels.cpu import CpuKernels, LayerSizes

        dtype, rope = self._norm.dtype, getattr(self._rotary, "rope_type", "default")
        if self._rotations is not None or kv.pages or kv.device.type != "cpu":
            raise ValueError("the cache is not that of a CPU")
        if rope in _LENGTH_DEPENDENT:
            raise ValueError(f"rotary embedding {rope} depends on the length of a sequence")
        norms = [weight for layer in self._layers for weight in (layer.before, layer.between, *(layer.norms or ()))]
        if any(weight.dtype != dtype or not weight.is_contiguous() for weight in norms):
            raise ValueError("a norm's weight has another number format than the last norm's")
        sizes = LayerSizes(
            len(self._norm), self._heads, kv.shape.kv_heads, self._width, self._scale, self._eps,
            self._layers[0].norms is not None,
        )  # fmt: skip
        return CpuKernels(sizes, dtype, self._all_rotations(max_len, kv.device))

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
        if self.loops is not None and not kv.pages:
            hidden = self._with_loops(residual, batch, kv, self.loops)
        elif self._rotations is None:
            hidden = self._with_torch(residual, batch, kv)
        else:
            hidden = self._with_kernels(residual, batch, kv, self._rotations)
        logits: torch.Tensor = self._head(hidden)
        return logits

    def _with_kernels(
        self, residual: torch.Tensor, batch: PackedBatch, kv: KvCache, rotations: tuple[torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        from chatscale_server.engine.kernels.layers import add_norm, rotate_and_store, silu_mul

        delta: torch.Tensor | None = None
        for number, (layer, products) in enumerate(zip(self._layers, self._on_kernels, strict=True)):
            states = layer.states(add_norm(delta, residual, layer.before, self._eps))
            rotate_and_store(
                states, *rotations, batch.positions, batch.targets, kv.keys[number], kv.values[number],
                layer.norms, self._eps,
            )  # fmt: skip
            attended = self._attend(states, number, batch, kv, layer.window)
            middle = products.gate_up(add_norm(products.output(attended), residual, layer.between, self._eps))
            delta = products.down(silu_mul(middle))
        if batch.last is not None:
            residual = residual[batch.last]
            delta = delta[batch.last] if delta is not None else None
        return add_norm(delta, residual, self._norm, self._eps)

    def _with_torch(self, residual: torch.Tensor, batch: PackedBatch, kv: KvCache) -> torch.Tensor:
        cosines, sines = (found[0, :, None] for found in self._rotary(residual, batch.positions[None]))
        signed = torch.cat([-sines[..., : self._width // 2], sines[..., self._width // 2 :]], dim=-1)
        kv_heads = kv.shape.kv_heads
        for number, (layer, products) in enumerate(zip(self._layers, self._on_torch, strict=True)):
            states = layer.states(_norm(residual, layer.before, self._eps))
            states = states.view(len(states), -1, self._width)
            if layer.norms is None:
                turned = _rotate(states[:, :-kv_heads], cosines, signed)
            else:
                parts = states.split([self._heads, kv_heads, kv_heads], dim=1)
                normed = [_norm(part, weight, self._eps) for part, weight in zip(parts, layer.norms, strict=False)]
                turned = _rotate(torch.cat(normed, dim=1), cosines, signed)
            kv.write(number, batch.targets, turned[:, self._heads :], states[:, -kv_heads:])
            attended = attend(
                turned[:, : self._heads], (turned[:, self._heads :], states[:, -kv_heads:]), number, kv, batch,
                scale=self._scale, window=layer.window,
            )  # fmt: skip
            residual = products.add_output(attended.reshape(len(attended), -1), residual)
            residual = products.add_down(products.gated(_norm(residual, layer.between, self._eps)), residual)
        if batch.last is not None:
            residual = residual[batch.last]
        return _norm(residual, self._norm, self._eps)

    def _with_loops(self, residual: torch.Tensor, batch: PackedBatch, kv: KvCache, loops: "CpuKernels") -> torch.Tensor:
        from chatscale_server.engine.kernels.cpu import Places

        longest = max((row.end for row in batch.rows[: batch.decodes]), default=0)
        places, scratch = Places(batch.positions, batch.targets, batch.decodes, longest), loops.scratch(longest)
        for number, (layer, products) in enumerate(zip(self._layers, self._on_torch, strict=True)):
            states = layer.states(loops.norm(residual, layer.before)).contiguous()
            attended = loops.attend(
                states, places, kv.keys[number], kv.values[number], layer.norms, layer.window, scratch
            )
            if len(states) > batch.decodes:
                self._attend(states, number, batch, kv, layer.window, attended)
            residual = products.add_output(attended, residual)
            residual = products.add_down(products.gated(loops.norm(residual, layer.between)), residual)
        if batch.last is not None:
            residual = residual[batch.last]
        return loops.norm(residual, self._norm)

    def _attend(
        self,
        states: torch.Tensor,
        number: int,
        batch: PackedBatch,
        kv: KvCache,
        window: int | None,
        decoded: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Attention from rotated states, (tokens, heads * head_dim).

        decoded: the same, with the rows of the tokens that decode. The others are written to it.
        """
        split = states.view(len(states), -1, self._width)
        query, key, value = split.split([self._heads, kv.shape.kv_heads, kv.shape.kv_heads], dim=1)
        output = None if decoded is None else decoded.view(query.shape)
        found = attend(query, (key, value), number, kv, batch, scale=self._scale, window=window, decoded=output)
        return found.view(len(found), -1)


def _layer(layer: Any) -> _Layer:
    """The parts of a decoder layer of transformers."""
    attention = layer.self_attn
    norms = None
    if hasattr(attention, "q_norm"):
        norms = (attention.q_norm.weight.detach(), attention.k_norm.weight.detach())
    return _Layer(
        before=layer.input_layernorm.weight.detach(),
        states=joint_linear(attention, ("q_proj", "k_proj", "v_proj")),
        norms=norms,
        between=layer.post_attention_layernorm.weight.detach(),
        window=_window(attention),
    )


def _window(attention: Any) -> int | None:
    """Qwen sets it for each layer, Mistral has one for all. Llama has none, whatever its configuration contains."""
    source = attention.config if attention.config.model_type == "mistral" else attention
    window: int | None = getattr(source, "sliding_window", None)
    return window


def _kernel_products(layer: Any) -> _KernelProducts:
    mlp = layer.mlp
    return _KernelProducts(layer.self_attn.o_proj, joint_linear(mlp, GATED), mlp.down_proj)


def _products(layer: Any) -> _Products:
    mlp = layer.mlp
    return _Products(
        residual_linear(layer.self_attn.o_proj), gated_linears(mlp, *GATED), residual_linear(mlp.down_proj)
    )


def _norm(states: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    return functional.rms_norm(states, weight.shape, weight, eps)


def _rotate(states: torch.Tensor, cosines: torch.Tensor, signed: torch.Tensor) -> torch.Tensor:
    """Rotary embedding of halves, as in transformers. states: (tokens, heads, head_dim).

    signed: the sines, negative for the first half of a head.
    """
    return torch.addcmul(states * cosines, states.roll(states.shape[-1] // 2, -1), signed)
