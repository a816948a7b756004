"""Checks a checkpoint before its weights are loaded: files, configuration, family.

Everything here is untrusted input. A checkpoint that this server cannot serve correctly is refused with one sentence
that names the folder, the reason and the change to make. No code of the model runs without the setting that allows it.
"""

from pathlib import Path
from typing import Any, Final

from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING, AutoConfig

from chatscale_contract.server.environment import Env
from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.engine import row_forward
from chatscale_server.engine.encoding import Task
from chatscale_server.errors import StartupError

ENCODERS: Final = frozenset({"bert", "camembert", "distilbert", "electra", "ernie", "roberta", "xlm-roberta"})
"""`model_type` of the encoders that are served. Each is tested against a plain forward pass."""
MODULES_FILE: Final = "modules.json"
"""sentence-transformers writes it with every embedding model."""
_CLASSIFIER: Final = "ForSequenceClassification"
_EMBEDDERS: Final = ("Model", "ForMaskedLM", "ForPreTraining")
"""Ends of architecture names whose base model gives embeddings. Their output heads are left out."""
_OTHER_HEADS: Final = (_CLASSIFIER, "ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice",
                       "ForRewardModel", "ForMaskedLM")  # fmt: skip
"""Ends of architecture names without a head that generates text."""


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


def task_of(folder: Path, config: Any) -> Task:
    """What the model is for, from its family, architecture and sentence-transformers files.

    Raises StartupError(MODEL_UNSUPPORTED), with the family's name, for a family or architecture that is not served.
    """
    kind, architecture = config.model_type, next(iter(getattr(config, "architectures", None) or ()), "")
    if getattr(config, "is_encoder_decoder", False):
        raise unsupported(folder, f"{kind} is an encoder-decoder model; only decoders and encoders are served")
    if getattr(config, "quantization_config", None) is not None:
        raise unsupported(folder, "the weights are quantised; convert them to dense safetensors")
    if kind in ENCODERS:
        return _encoder_task(folder, config, architecture)
    if (folder / MODULES_FILE).exists():
        reason = f"it is an embedding model ({MODULES_FILE}) of the family {kind}; {_only_encoders('embeddings')}"
        raise unsupported(folder, reason)
    if head := next((head for head in _OTHER_HEADS if architecture.endswith(head)), None):
        reason = f"{architecture} has no output head for text; {_only_encoders('classifiers')}"
        raise unsupported(folder, reason if head == _CLASSIFIER else f"{architecture} has no output head for text")
    return Task.GENERATE


def _encoder_task(folder: Path, config: Any, architecture: str) -> Task:
    if getattr(config, "is_decoder", False):
        raise unsupported(folder, f"{config.model_type} as a decoder (is_decoder) is not served, only as an encoder")
    if architecture.endswith(_CLASSIFIER):
        return Task.CLASSIFY
    if architecture and not architecture.endswith(_EMBEDDERS):
        raise unsupported(
            folder, f"{architecture} is not served; encoders are served for embeddings and for sequence classification"
        )
    return Task.EMBED


def _only_encoders(what: str) -> str:
    return f"{what} are served of the families {', '.join(sorted(ENCODERS))}"


def check_family(folder: Path, config: Any) -> None:
    """Reject models that a plain cache of keys and values, with plain attention, cannot represent.

    Raises StartupError(MODEL_UNSUPPORTED) with the family's name.
    """
    kind = config.model_type
    if (task := task_of(folder, config)) is not Task.GENERATE:
        raise unsupported(folder, f"{kind} is an encoder for {task}, and generates no text")
    layers = set(getattr(config, "layer_types", None) or ["full_attention"])
    if unknown := layers - {"full_attention", "sliding_attention"}:
        raise unsupported(folder, f"{kind} has layers without a plain KV cache: {', '.join(sorted(unknown))}")
    if "AutoModelForCausalLM" not in (getattr(config, "auto_map", None) or {}):
        _check_class(folder, config)
    missing = [name for name in ("num_hidden_layers", "num_attention_heads", "hidden_size", "vocab_size")
               if getattr(config, name, None) is None]  # fmt: skip
    if missing:
        raise unsupported(folder, f"the configuration of {kind} has no {', '.join(missing)}")


def _check_class(folder: Path, config: Any) -> None:
    """Raises StartupError if transformers has no decoder for this family, or one that computes in another way."""
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING or type(config) in MODEL_FOR_MASKED_LM_MAPPING:
        raise unsupported(folder, f"the family {config.model_type} is not served: {_only_encoders('encoders')}")
    for network in _classes(config):
        if not _has_interface(network) and not row_forward.can_compute(network):
            reason = f"{network.__name__} takes no KV cache as transformers' other decoders do"
            raise unsupported(folder, f"the family {config.model_type} is not served: {reason}")


def has_attention_interface(config: Any) -> bool:
    """True if the family's attention can be replaced by ours. Code of the checkpoint must have the interface."""
    if "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {}):
        return True
    return all(map(_has_interface, _classes(config)))


def _classes(config: Any) -> tuple[Any, ...]:
    found = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    return found if isinstance(found, tuple) else (found,)


def _has_interface(network: Any) -> bool:
    return bool(getattr(network, "_supports_attention_backend", False))  # there is no public way to read it


def unsupported(folder: Path, why: str) -> StartupError:
    """An error about the checkpoint in this folder, with exit code 65."""
    return StartupError(ExitCode.MODEL_UNSUPPORTED, f"model {folder}: {why}")
