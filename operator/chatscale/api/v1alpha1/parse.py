"""Validates a ChatModel that the API server returned or that a file contains."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from chatscale.api.v1alpha1.chatmodel import ChatModel, ObjectMeta
from chatscale.api.v1alpha1.status import ChatModelStatus
from chatscale.errors import InvalidSpecError

__all__ = ["InvalidSpecError", "parse_chatmodel", "parse_status"]

_FOUND_LENGTH: Final = 200
"""Characters of an invalid value in a message. For a missing field the value is the whole object around it."""


def parse_chatmodel(manifest: Mapping[str, Any]) -> ChatModel:
    """Validate the spec. The API server has validated it too, but maybe with an older CRD.

    Raises InvalidSpecError with the object and, for each error, the field, the expected and the found value.
    """
    try:
        meta = ObjectMeta.model_validate(manifest["metadata"])
        return ChatModel(metadata=meta, spec=manifest.get("spec") or {}, status=parse_status(manifest))
    except ValidationError as error:
        meta = manifest["metadata"]
        faults = "; ".join(map(_describe, error.errors()))
        raise InvalidSpecError(f"ChatModel {meta.get('namespace')}/{meta.get('name')}: {faults}") from error


def parse_status(manifest: Mapping[str, Any]) -> ChatModelStatus:
    """The last written status; an empty one if it cannot be parsed."""
    try:
        return ChatModelStatus.model_validate(manifest.get("status") or {})
    except ValidationError:
        return ChatModelStatus()


def _describe(fault: ErrorDetails) -> str:
    field = ".".join(str(part) for part in fault["loc"])
    return f"{field}: {fault['msg']}, found {repr(fault['input'])[:_FOUND_LENGTH]}"
