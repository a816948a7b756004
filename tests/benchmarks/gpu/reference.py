"""A process that computes with transformers what the server must compute.

    python -m tests.benchmarks.gpu.reference DEVICE FOLDER FAMILY ...

It writes one small random model for each family and prints a line; then it reads jobs in JSON, one a line, and prints
one result for each. See `equality`.
"""

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.gpu.models import LOGIT_SCALE, silence, write_tokenizer

VOCAB: Final = 2048
HIDDEN: Final = 512


def main() -> None:
    """See the module."""
    device, folder, *families = sys.argv[1:]
    for family in families:
        write_small(family, Path(folder) / family)
    _print({"written": families})
    for line in sys.stdin:
        job = json.loads(line)
        place = Path(folder) / job["family"]
        if job["work"] == "generate":
            _print(generate(place, device, job["prompts"], job["max_tokens"]))
        else:
            _print(errors(place, device, job["dtype"], job["rows"]))


def write_small(family: str, folder: Path) -> None:
    """A random model of a family, with weights in bfloat16: float32 servers and references have the same values."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(7)
    config = AutoConfig.for_model(
        family, vocab_size=VOCAB, hidden_size=HIDDEN, intermediate_size=1024, num_hidden_layers=4,
        num_attention_heads=8, num_key_value_heads=2, head_dim=64, max_position_embeddings=2048,
        tie_word_embeddings=False, bos_token_id=None, eos_token_id=VOCAB - 1,
    )  # fmt: skip
    model: Any = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        model.lm_head.weight.normal_(0.0, LOGIT_SCALE / HIDDEN**0.5)
        silence(model.lm_head.weight)
    write_tokenizer(folder, VOCAB)
    model.to(torch.bfloat16).save_pretrained(folder)


@cache
def _model(folder: Path, device: str, dtype: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), attn_implementation="sdpa")
    return model.to(device).eval()


@cache
def _tokenizer(folder: Path) -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def generate(folder: Path, device: str, prompts: list[list[int]], max_tokens: int) -> list[str]:
    """Texts of greedy answers in float32, one prompt at a time."""
    import torch

    model, texts = _model(folder, device, "float32"), []
    for ids in prompts:
        with torch.inference_mode():
            inputs = torch.tensor([ids], device=device)
            found = model.generate(
                inputs, attention_mask=torch.ones_like(inputs), max_new_tokens=max_tokens, do_sample=False,
                pad_token_id=0,
            )  # fmt: skip
        texts.append(str(_tokenizer(folder).decode(found[0, len(ids) :].tolist(), skip_special_tokens=True)))
    return texts


def errors(folder: Path, device: str, dtype: str, rows: list[dict[str, Any]]) -> dict[str, float]:
    """Root mean square and largest error of the listed log-probabilities against float32: ours and transformers'."""
    import torch

    ours: list[float] = []
    theirs: list[float] = []
    for row in rows:
        answer = [_token(folder, spelling) for spelling in row["answer"]]
        exact, own = (
            _log_probabilities(_model(folder, device, name), row["prompt"] + answer, len(answer))
            for name in ("float32", dtype)
        )
        for at, top in enumerate(row["top"]):
            tokens = [_token(folder, spelling) for spelling, _ in top]
            wanted = exact[at, tokens].tolist()
            ours += [found - right for (_, found), right in zip(top, wanted, strict=True)]
            theirs += [found - right for found, right in zip(own[at, tokens].tolist(), wanted, strict=True)]
    mine, other = torch.tensor(ours), torch.tensor(theirs)
    return {
        "ours_rms": float(mine.square().mean().sqrt()), "transformers_rms": float(other.square().mean().sqrt()),
        "ours_max": float(mine.abs().max()), "transformers_max": float(other.abs().max()), "compared_values": len(ours),
    }  # fmt: skip


def _token(folder: Path, spelling: str) -> int:
    ids = _tokenizer(folder).encode(spelling, add_special_tokens=False).ids
    if len(ids) != 1:
        raise ValueError(f"{spelling!r} is not one token")
    return int(ids[0])


def _log_probabilities(model: Any, ids: list[int], count: int) -> Any:
    """(count, vocab) float32 on the CPU: of the last `count` tokens, each given all tokens before it."""
    import torch

    with torch.inference_mode():
        logits = model(torch.tensor([ids], device=model.device), use_cache=False).logits[0, -count - 1 : -1]
    return torch.log_softmax(logits.float(), -1).cpu()


def _print(value: Any) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
