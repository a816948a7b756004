"""Checks a checkpoint before its weights are loaded: files, configuration, family.

Everything here is untrusted input. A checkpoint that this server cannot serve correctly is refused with one sentence
that names the folder, the reason and the change to make. No code of the model runs without the setting that allows it.
"""

from pathlib import Path
from typing import Any

from transformers import AutoConfig

from chatscale_contract.server.environment import Env
from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.errors import StartupError


def read_config(folder: Path, *, trust_remote_code: bool) -> Any:
    """The text part of the configuration. Raises StartupError(MODEL_UNSUPPORTED)."""
    try:
        config: Any = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code, local_files_only=True)
    except Exception as error:  # an untrusted configuration can raise any error
        if not trust_remote_code and "trust_remote_code" in str(error):
            reason = f"it contains code; set {Env.TRUST_REMOTE_CODE}=true to run it, if you trust its author"
            raise unsupported(folder, reason) from error
        raise unsupported(folder, f"the configuration cannot be read: {error}") from error
    return config.get_text_config()


def check_family(folder: Path, config: Any, max_model_len: int) -> None:
    """Reject models that a plain cache of keys and values cannot represent."""
    kind = config.model_type
    if getattr(config, "is_encoder_decoder", False):
        raise unsupported(folder, f"{kind} is an encoder-decoder model; only decoder-only models are served")
    if getattr(config, "quantization_config", None) is not None:
        raise unsupported(folder, "the weights are quantised; convert them to dense safetensors")
    layers = set(getattr(config, "layer_types", None) or ["full_attention"])
    if unknown := layers - {"full_attention", "sliding_attention"}:
        raise unsupported(folder, f"{kind} has layers without a plain KV cache: {', '.join(sorted(unknown))}")
    window = getattr(config, "sliding_window", None)
    slides = "sliding_attention" in layers or (getattr(config, "layer_types", None) is None and _uses_window(config))
    if window is not None and slides and window < max_model_len:
        raise unsupported(
            folder,
            f"{kind} attends within a sliding window of {window} tokens, shorter than the context of {max_model_len}; "
            f"set spec.server.maxModelLen to {window} or less",
        )
    missing = [name for name in ("num_hidden_layers", "num_attention_heads", "hidden_size", "vocab_size")
               if getattr(config, name, None) is None]  # fmt: skip
    if missing:
        raise unsupported(folder, f"the configuration of {kind} has no {', '.join(missing)}")


def _uses_window(config: Any) -> bool:
    return bool(getattr(config, "use_sliding_window", True))


def unsupported(folder: Path, why: str) -> StartupError:
    """An error about the checkpoint in this folder, with exit code 65."""
    return StartupError(ExitCode.MODEL_UNSUPPORTED, f"model {folder}: {why}")
