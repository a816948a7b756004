"""Writes random models in the format of the Hugging Face Hub, fast: the device draws the weights, threads copy them.

The tokenizer is byte-level BPE as Llama's, but each word of the vocabulary is one token and each token is one word, so
that text and token ids correspond one to one. The rows of the output layer of single bytes and of the end token are
zero: a greedy answer never contains them and has its full length.
"""

import json
import string
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice, product
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.gpu.shapes import Shape

SHARD_BYTES: Final = 4 * 10**9
BYTE_TOKENS: Final = 256
"""The first token ids: one for each byte."""
LOGIT_SCALE: Final = 4.0
"""Standard deviation of the logits. With it the nucleus of top-p has a few dozen tokens, as in trained models; with
the usual initialisation the distribution would be nearly flat."""
WEIGHT_SCALE: Final = 0.02
TEMPLATE: Final = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
"""Only the contents, so that a prompt has as many tokens as its text has words."""
END: Final = "<|end|>"
_ALIGN: Final = 8


def words(vocab: int) -> list[str]:
    """The word of each token id from BYTE_TOKENS on, without the end token."""
    return list(islice(_all_words(), vocab - BYTE_TOKENS - 1))


def _all_words() -> Iterator[str]:
    for length in count(2):
        for letters in product(string.ascii_lowercase, repeat=length):
            yield "".join(letters)


def text_of(ids: list[int], spelled: list[str]) -> str:
    """The text that is tokenised to these ids. spelled: the result of `words`."""
    return "".join(" " + spelled[token - BYTE_TOKENS] for token in ids)


def write_tokenizer(folder: Path, vocab: int) -> None:
    """Write tokenizer and chat template for `vocab` tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    spellings = [*letters, *("\u0120" + word for word in words(vocab))]
    table = {spelling: token for token, spelling in enumerate(spellings)}
    tokenizer = Tokenizer(models.BPE(vocab=table, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(END, special=True)])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    wrapper = {
        "tokenizer_class": "PreTrainedTokenizerFast", "chat_template": TEMPLATE, "eos_token": END,
        "clean_up_tokenization_spaces": False,
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(wrapper))


def write_model(shape: Shape, folder: Path, device: str) -> int:
    """Write a bfloat16 model; the bytes of its weights."""
    write_tokenizer(folder, shape.vocab)
    (folder / "config.json").write_text(json.dumps(shape.config()))
    shards = _shards(tensors(shape))
    names = [f"model-{at + 1:05}-of-{len(shards):05}.safetensors" for at in range(len(shards))]
    with ThreadPoolExecutor(len(shards)) as pool:
        sizes = list(
            pool.map(lambda at: _write_shard(shape, folder / names[at], shards[at], device), range(len(names)))
        )
    index = {tensor: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": sum(sizes)}, "weight_map": index})
    )
    return sum(sizes)


def tensors(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors by name, in the order of the layers."""
    hidden, inner = shape.hidden, shape.intermediate
    queries, values = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (shape.vocab, hidden)}
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}."
        found |= {
            prefix + "self_attn.q_proj.weight": (queries, hidden),
            prefix + "self_attn.k_proj.weight": (values, hidden),
            prefix + "self_attn.v_proj.weight": (values, hidden),
            prefix + "self_attn.o_proj.weight": (hidden, queries),
            prefix + "mlp.gate_proj.weight": (inner, hidden),
            prefix + "mlp.up_proj.weight": (inner, hidden),
            prefix + "mlp.down_proj.weight": (hidden, inner),
            prefix + "input_layernorm.weight": (hidden,),
            prefix + "post_attention_layernorm.weight": (hidden,),
        }
    found["model.norm.weight"] = (hidden,)
    if not shape.tied:
        found["lm_head.weight"] = (shape.vocab, hidden)
    return found


def _shards(found: dict[str, tuple[int, ...]]) -> list[dict[str, tuple[int, ...]]]:
    shards: list[dict[str, tuple[int, ...]]] = [{}]
    for name, size in found.items():
        if sum(_bytes(other) for other in shards[-1].values()) + _bytes(size) > SHARD_BYTES:
            shards.append({})
        shards[-1][name] = size
    return shards


def _bytes(size: tuple[int, ...]) -> int:
    product_of = 2
    for length in size:
        product_of *= length
    return product_of


def _write_shard(shape: Shape, path: Path, shard: dict[str, tuple[int, ...]], device: str) -> int:
    """The safetensors format: length of the header, header in JSON, the tensors' bytes. Returns their number."""
    import torch

    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, size in shard.items():
        begin, end = end, end + _bytes(size)
        header[name] = {"dtype": "BF16", "shape": list(size), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % _ALIGN)
    start = 8 + len(text)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(start + end)
    # Written through the page cache, so that the weights are copied once from the device and once by no one.
    target: Any = torch.from_file(str(path), shared=True, size=start + end, dtype=torch.uint8)
    for at, (name, size) in enumerate(shard.items()):
        begin, stop = header[name]["data_offsets"]
        drawn = _draw(shape, name, size, device, seed=hash_of(name) + at)
        target[start + begin : start + stop].view(torch.bfloat16).copy_(drawn.flatten())
    return end


def hash_of(name: str) -> int:
    """A seed that does not change between processes."""
    return sum(ord(letter) * (at + 1) for at, letter in enumerate(name))


def _draw(shape: Shape, name: str, size: tuple[int, ...], device: str, seed: int) -> Any:
    import torch

    if "norm" in name:
        return torch.ones(size, dtype=torch.bfloat16, device=device)
    generator = torch.Generator(device).manual_seed(seed)
    drawn = torch.empty(size, dtype=torch.bfloat16, device=device)
    output = name == "lm_head.weight" or (shape.tied and "embed" in name)
    drawn.normal_(0.0, LOGIT_SCALE / shape.hidden**0.5 if output else WEIGHT_SCALE, generator=generator)
    if output:
        silence(drawn)
    return drawn


def silence(output_layer: Any) -> None:
    """Zero the rows of single bytes and of the end token, so that a greedy answer never contains them."""
    output_layer[:BYTE_TOKENS] = 0
    output_layer[-1] = 0
