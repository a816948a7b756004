"""Bodies of GET /v1/models. Pure."""

from collections.abc import Iterable
from typing import Any, Final

OWNER: Final = "chatscale"
"""`owned_by` of all models."""


def model_object(name: str, created: int, *, max_model_len: int | None = None, root: str = "") -> dict[str, Any]:
    """OpenAI's model object, with two fields that vLLM adds.

    created: Unix time, seconds.  max_model_len: context length in tokens; None leaves it out.  root: where the weights
    come from; empty leaves it out.
    """
    model: dict[str, Any] = {"id": name, "object": "model", "created": created, "owned_by": OWNER}
    if root:
        model["root"] = root
    return model if max_model_len is None else {**model, "max_model_len": max_model_len}


def model_list(models: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The list object around model objects."""
    return {"object": "list", "data": [*models]}
