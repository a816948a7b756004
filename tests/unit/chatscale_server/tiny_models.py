"""Tiny random models of several families, saved as any model from a hub would be."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
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
FAMILIES = ("llama", "qwen2", "qwen3", "gpt2")


def a_network(family: str, *, seeded: bool = True):
    """seeded: not where there is no real generator to seed."""
    if seeded:
        torch.manual_seed(1)
    match family:
        case "llama":
            return LlamaForCausalLM(LlamaConfig(**_LLAMA_LIKE))
        case "qwen2":
            return Qwen2ForCausalLM(Qwen2Config(**_LLAMA_LIKE))
        case "qwen3":
            return Qwen3ForCausalLM(Qwen3Config(head_dim=16, **_LLAMA_LIKE))
        case "gpt2":
            return GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=CONTEXT, **_COMMON))
        case "mistral":
            return MistralForCausalLM(MistralConfig(sliding_window=32, **_LLAMA_LIKE))
    raise ValueError(family)


def a_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, and an end mark."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({letter: at for at, letter in enumerate(alphabet)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(["<end>"])
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>", pad_token="<end>")


def save_model(family: str, folder: Path) -> Path:
    a_network(family).save_pretrained(folder)
    a_tokenizer().save_pretrained(folder)
    return folder
