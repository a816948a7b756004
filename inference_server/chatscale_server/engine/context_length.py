"""The number of tokens that a model is served with. Pure.

Some kinds of rotary scaling take their frequencies from the longest sequence of a forward pass: beyond the length of
the original training all rows of the batch change, and so do the keys that are in the cache already. A batch of
requests cannot reproduce that, so such models are served within their original length.
"""

from collections.abc import Mapping
from typing import Any, Final

from chatscale_contract.server.environment import Env
from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.errors import StartupError

LENGTH_DEPENDENT: Final = frozenset({"longrope", "su"})
"""Rotary scalings with other frequencies beyond the original length. `su` is the old name of `longrope`. The type
`dynamic` changes beyond `max_position_embeddings` only, which is the limit of every model."""


_NAMES: Final = ("max_position_embeddings", "max_seq_len", "seq_length")
"""Names of the longest length in config.json. MPT and Bloom use the last two."""


def positions(config: Any) -> int | None:
    """Tokens that the model was trained with; None if the configuration does not name them.

    Bloom computes any length, and most of its configurations name none.
    """
    found = (getattr(config, name, None) for name in _NAMES)
    return next((length for length in found if length), None)


def context_length(config: Any, requested: int | None) -> int:
    """Prompt plus output tokens of one request.

    requested: the setting; None selects the longest length that can be served. Raises StartupError.
    """
    limit = positions(config) or requested
    if limit is None:
        reason = f"the configuration of {config.model_type} names no context length: set {Env.MAX_MODEL_LEN}"
        raise StartupError(ExitCode.BAD_SETTINGS, reason)
    if requested is not None and requested > limit:
        raise StartupError(
            ExitCode.BAD_SETTINGS, f"{Env.MAX_MODEL_LEN} must be within the model's {limit} tokens, found {requested}"
        )
    original = min((_original_length(config, rope, limit) for rope in _length_dependent(config)), default=limit)
    if requested is not None and requested > original:
        raise StartupError(
            ExitCode.BAD_SETTINGS,
            f"{Env.MAX_MODEL_LEN} must be within {original} tokens, found {requested}: with longer sequences the "
            f"rotary scaling of {config.model_type} changes the output of all requests in the batch",
        )
    return requested or original


def _length_dependent(config: Any) -> list[Mapping[str, Any]]:
    """The rotary parameters with a length-dependent type. A model has one set, or one for each type of layer."""
    parameters = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    sets = [value for value in parameters.values() if isinstance(value, Mapping)] or [parameters]
    return [rope for rope in sets if rope.get("rope_type", rope.get("type")) in LENGTH_DEPENDENT]


def _original_length(config: Any, rope: Mapping[str, Any], limit: int) -> int:
    """Transformers switches beyond this length. It prefers the value in the rotary parameters."""
    original = rope.get("original_max_position_embeddings") or getattr(config, "original_max_position_embeddings", None)
    return min(original or limit, limit)
