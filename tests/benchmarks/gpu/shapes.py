"""The shapes of the models, and what a card allows at best. Pure; imports no torch.

The limit of a closed loop is what docs/benchmarks/gpu.md and design/gpu.md call the roof:

    seconds = answer x (weight bytes + clients x context x KV bytes per token) / bandwidth      (each decode step)
            + clients x prefill FLOP of one prompt / matmul rate                               (each prompt)
    limit   = clients x answer / seconds                                                       (tokens per second)

- weight bytes: what a decode step reads, i.e. all matrices and the output layer, not the input embedding.
- context: the prompt and half of the answer, the mean over the decode steps.
- prefill FLOP: 2 x parameters of the layers x tokens, plus causal attention, 2 x tokens^2 x heads x head size x layers.
- bandwidth and matmul rate are those that section `limits` measured on this card.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

BYTES_PER_VALUE: Final = 2
"""bfloat16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A model in the structure of Llama 3."""

    name: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    tied: bool
    """Input embedding and output layer are one matrix."""
    context: int
    rope_factor: float | None = None
    """Llama 3's rotary scaling; None leaves it out."""

    @property
    def layer_parameters(self) -> int:
        """Parameters of all matrices of all layers."""
        attention = self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        return self.layers * (attention + 3 * self.hidden * self.intermediate)

    @property
    def decode_bytes(self) -> int:
        """Weight bytes that one decode step reads."""
        return BYTES_PER_VALUE * (self.layer_parameters + self.vocab * self.hidden)

    @property
    def kv_token_bytes(self) -> int:
        """KV cache of one token."""
        return BYTES_PER_VALUE * 2 * self.layers * self.kv_heads * self.head_dim

    def prefill_flop(self, tokens: int) -> float:
        """Floating-point operations of one prompt, causal attention included."""
        attention = 2 * tokens**2 * self.heads * self.head_dim * self.layers
        return 2.0 * self.layer_parameters * tokens + attention

    def config(self) -> dict[str, Any]:
        """The content of config.json."""
        rope: dict[str, Any] = {"rope_theta": 500_000.0, "rope_type": "default"}
        if self.rope_factor:
            rope |= {
                "rope_type": "llama3", "factor": self.rope_factor, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192,
            }  # fmt: skip
        return {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": self.hidden,
            "num_hidden_layers": self.layers, "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads, "head_dim": self.head_dim,
            "intermediate_size": self.intermediate, "vocab_size": self.vocab, "tie_word_embeddings": self.tied,
            "max_position_embeddings": self.context, "rms_norm_eps": 1e-5, "hidden_act": "silu",
            "attention_bias": False, "mlp_bias": False, "torch_dtype": "bfloat16", "rope_parameters": rope,
            "bos_token_id": None, "eos_token_id": self.vocab - 1,
        }  # fmt: skip


LLAMA_8B: Final = Shape(
    name="8b", hidden=4096, layers=32, heads=32, kv_heads=8, head_dim=128, intermediate=14336, vocab=128_256,
    tied=False, context=131_072, rope_factor=8.0,
)  # fmt: skip
"""Llama-3.1-8B."""
LLAMA_1B: Final = Shape(
    name="1b", hidden=2048, layers=16, heads=32, kv_heads=8, head_dim=64, intermediate=8192, vocab=128_256,
    tied=True, context=131_072, rope_factor=32.0,
)  # fmt: skip
"""Llama-3.2-1B."""
SHAPES: Final = {shape.name: shape for shape in (LLAMA_8B, LLAMA_1B)}


def tiny(shape: Shape) -> Shape:
    """The same structure in a size that a CPU computes in milliseconds."""
    return replace(
        shape, hidden=128, layers=2, heads=4, kv_heads=2, head_dim=32, intermediate=256, vocab=2048, context=2048,
        rope_factor=None,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limits:
    """What one card was measured to do."""

    read_bytes_per_s: float
    matmul_flop_per_s: float
    """bfloat16."""

    def loop_tokens_per_s(self, shape: Shape, clients: int, prompt: int, answer: int) -> float:
        """Tokens per second of a closed loop at best. See the module."""
        kv_bytes = clients * (prompt + answer / 2) * shape.kv_token_bytes
        decode_s = answer * (shape.decode_bytes + kv_bytes) / self.read_bytes_per_s
        prefill_s = clients * shape.prefill_flop(prompt) / self.matmul_flop_per_s
        return clients * answer / (decode_s + prefill_s)

    def step_s(self, shape: Shape, rows: int, context: int) -> float:
        """Seconds of one decode step at best."""
        return (shape.decode_bytes + rows * context * shape.kv_token_bytes) / self.read_bytes_per_s

    def prefill_s(self, shape: Shape, tokens: int) -> float:
        """Seconds of one prompt at best."""
        return shape.prefill_flop(tokens) / self.matmul_flop_per_s
