"""Validates a custom resource that the API server returned or that a file contains."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from chatscale.api.v1alpha1.chatmodel import ChatModel, ObjectMeta
from chatscale.api.v1alpha1.shopassistant import ShopAssistant
from chatscale.api.v1alpha1.shopassistant_status import ShopAssistantStatus
from chatscale.api.v1alpha1.status import ChatModelStatus
from chatscale.errors import InvalidSpecError

__all__ = ["InvalidSpecError", "parse_assistant_status", "parse_chatmodel", "parse_shopassistant", "parse_status"]

_FOUND_LENGTH: Final = 200
"""Characters of an invalid value in a message. For a missing field the value is the whole object around it."""

_Resource = TypeVar("_Resource", ChatModel, ShopAssistant)
_Status = TypeVar("_Status", bound=BaseModel)


def parse_chatmodel(manifest: Mapping[str, Any]) -> ChatModel:
    """Validate the spec. The API server has validated it too, but maybe with an older CRD.

    Raises InvalidSpecError with the object and, for each error, the field, the expected and the found value.
    """
    return _parse(ChatModel, manifest, parse_status(manifest))


def parse_shopassistant(manifest: Mapping[str, Any]) -> ShopAssistant:
    """As `parse_chatmodel`."""
    return _parse(ShopAssistant, manifest, parse_assistant_status(manifest))


def parse_status(manifest: Mapping[str, Any]) -> ChatModelStatus:
    """The last written status of a ChatModel; an empty one if it cannot be parsed."""
    return _status(ChatModelStatus, manifest)


def parse_assistant_status(manifest: Mapping[str, Any]) -> ShopAssistantStatus:
    """The last written status of a ShopAssistant; an empty one if it cannot be parsed."""
    return _status(ShopAssistantStatus, manifest)


def _parse(kind: type[_Resource], manifest: Mapping[str, Any], status: BaseModel) -> _Resource:
    try:
        meta = ObjectMeta.model_validate(manifest["metadata"])
        return kind.model_validate({"metadata": meta, "spec": manifest.get("spec") or {}, "status": status})
    except ValidationError as error:
        meta = manifest["metadata"]
        faults = "; ".join(map(_describe, error.errors()))
        name = f"{kind.__name__} {meta.get('namespace')}/{meta.get('name')}"
        raise InvalidSpecError(f"{name}: {faults}") from error


def _status(kind: type[_Status], manifest: Mapping[str, Any]) -> _Status:
    try:
        return kind.model_validate(manifest.get("status") or {})
    except ValidationError:
        return kind()


def _describe(fault: ErrorDetails) -> str:
    field = ".".join(str(part) for part in fault["loc"])
    return f"{field}: {fault['msg']}, found {repr(fault['input'])[:_FOUND_LENGTH]}"
