"""Tiny random models of families that compute their own attention, without transformers' attention interface."""

from pathlib import Path

import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    FalconConfig,
    FalconForCausalLM,
    GPTJConfig,
    GPTJForCausalLM,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    MptConfig,
    MptForCausalLM,
    StableLmConfig,
    StableLmForCausalLM,
)

from tests.unit.chatscale_server.tiny_models import CONTEXT, END, a_tokenizer

_TOKENS = {"vocab_size": 260, "initializer_range": 0.4, "bos_token_id": None, "eos_token_id": END, "pad_token_id": END}
_SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, **_TOKENS}
_FALCON = {"max_position_embeddings": CONTEXT, **_SIZE}
ROW_FAMILIES = {
    "falcon-7b": lambda: FalconForCausalLM(FalconConfig(multi_query=True, parallel_attn=True, **_FALCON)),
    "falcon-40b": lambda: FalconForCausalLM(
        FalconConfig(new_decoder_architecture=True, num_kv_heads=2, num_ln_in_parallel_attn=2, **_FALCON)
    ),
    "falcon-rw": lambda: FalconForCausalLM(
        FalconConfig(alibi=True, multi_query=False, parallel_attn=False, bias=True, **_FALCON)
    ),
    "bloom": lambda: BloomForCausalLM(BloomConfig(seq_length=CONTEXT, **_SIZE)),
    "mpt": lambda: MptForCausalLM(MptConfig(d_model=32, n_layers=2, n_heads=4, max_seq_len=CONTEXT, **_TOKENS)),
    "stablelm": lambda: StableLmForCausalLM(
        StableLmConfig(intermediate_size=64, num_key_value_heads=2, max_position_embeddings=CONTEXT, **_SIZE)
    ),
    "gptj": lambda: GPTJForCausalLM(
        GPTJConfig(n_embd=32, n_layer=2, n_head=4, rotary_dim=4, n_positions=CONTEXT, **_TOKENS)
    ),
    "gpt-neo": lambda: GPTNeoForCausalLM(
        GPTNeoConfig(
            num_layers=2,
            num_heads=4,
            hidden_size=32,
            attention_types=[[["global", "local"], 1]],
            window_size=16,
            max_position_embeddings=CONTEXT,
            **_TOKENS,
        )
    ),
}
"""Falcon in its three forms: one key head with rotary positions, grouped key heads, and ALiBi."""


def save_row_model(family: str, folder: Path) -> Path:
    torch.manual_seed(1)
    ROW_FAMILIES[family]().save_pretrained(folder)
    a_tokenizer().save_pretrained(folder)
    return folder
