"""Tiny random models of several families, saved as any model from a hub would be."""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GptOssConfig,
    GptOssForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PhimoeConfig,
    PhimoeForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

CONTEXT = 128
END = 256
_COMMON = {"vocab_size": 260, "max_position_embeddings": CONTEXT, "initializer_range": 0.4, "bos_token_id": None,
           "eos_token_id": END, "pad_token_id": END}  # fmt: skip
_LLAMA_LIKE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
               "num_key_value_heads": 2, **_COMMON}  # fmt: skip
WINDOW = 32
WINDOWED_FAMILIES = ("mistral", "qwen2_windowed", "gemma2", "gemma3", "gpt_oss")
"""Sliding windows in all layers or in every second one; Gemma 2 also has a soft cap, GPT-OSS has sinks."""
CONFIGURED: dict[str, dict[str, object]] = {
    "llama_windowed": {"sliding_window": WINDOW},
    "qwen2_windowed": {"sliding_window": WINDOW, "use_sliding_window": True,
                       "layer_types": ["sliding_attention", "full_attention"]},
}  # fmt: skip
"""Changes in the configuration of a saved model. Llama models have no window, even if their configuration has one."""
_GEMMA = {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": WINDOW}
FAMILIES = ("llama", "qwen2", "qwen3", "gpt2")
ORIGINAL = 64
"""Context length before a rotary scaling extends it."""
_FACTORS = {"short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [2.0, 4.0, 8.0, 16.0]}
SCALINGS: dict[str, dict[str, object]] = {
    "dynamic": {"rope_type": "dynamic", "factor": 4.0},
    "linear": {"rope_type": "linear", "factor": 2.0},
    "llama3": {"rope_type": "llama3", "factor": 2.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": ORIGINAL},
    "longrope": {"rope_type": "longrope", "original_max_position_embeddings": ORIGINAL, **_FACTORS},
    "yarn": {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": ORIGINAL},
}  # fmt: skip
"""Rotary scalings. A family with one is named like `phi3-longrope`."""
SCALED_FAMILIES = (
    "llama-dynamic", "llama-linear", "llama-llama3", "llama-longrope", "llama-yarn", "phi3-longrope",
    "phimoe-longrope", "qwen2-dynamic", "qwen2-yarn",
)  # fmt: skip


def a_network(family: str, *, seeded: bool = True) -> Any:  # noqa: C901 - one case per family
    """seeded: not where there is no real generator to seed."""
    if seeded:
        torch.manual_seed(1)
    family, _, scaling = family.partition("-")
    rope = {"rope_parameters": {"rope_theta": 100.0, **SCALINGS[scaling]}} if scaling else {}
    match family:
        case "llama":
            network = LlamaForCausalLM(LlamaConfig(**_LLAMA_LIKE, **rope))
        case "qwen2":
            network = Qwen2ForCausalLM(Qwen2Config(**_LLAMA_LIKE, **rope))
        case "qwen3":
            network = Qwen3ForCausalLM(Qwen3Config(head_dim=16, **_LLAMA_LIKE))
        case "phi3":
            network = Phi3ForCausalLM(Phi3Config(**_LLAMA_LIKE, **rope, original_max_position_embeddings=ORIGINAL))
        case "phimoe":
            rope["rope_parameters"] |= {"short_mscale": 1.1, "long_mscale": 1.3}
            experts = {"num_local_experts": 2, "num_experts_per_tok": 1}
            network = PhimoeForCausalLM(
                PhimoeConfig(**_LLAMA_LIKE, **rope, **experts, original_max_position_embeddings=ORIGINAL)
            )
        case "gpt2":
            network = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=CONTEXT, **_COMMON))
        case "mistral":
            network = MistralForCausalLM(MistralConfig(sliding_window=WINDOW, **_LLAMA_LIKE))
        case "gemma2":
            network = Gemma2ForCausalLM(
                Gemma2Config(attn_logit_softcapping=5.0, final_logit_softcapping=3.0, **_GEMMA, **_LLAMA_LIKE)
            )
        case "gemma3":
            layers = {"layer_types": ["sliding_attention", "full_attention"]}
            network = Gemma3ForCausalLM(Gemma3TextConfig(**layers, **_GEMMA, **_LLAMA_LIKE))
        case "gpt_oss":
            experts = {"num_local_experts": 4, "num_experts_per_tok": 2}
            network = GptOssForCausalLM(GptOssConfig(head_dim=16, sliding_window=WINDOW, **experts, **_LLAMA_LIKE))
        case _:
            raise ValueError(family)
    return network


def a_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, and an end mark."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({letter: at for at, letter in enumerate(alphabet)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(["<end>"])
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>", pad_token="<end>")


def save_model(family: str, folder: Path) -> Path:
    a_network(family.removesuffix("_windowed")).save_pretrained(folder)
    if family in CONFIGURED:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | CONFIGURED[family]))
    a_tokenizer().save_pretrained(folder)
    return folder
