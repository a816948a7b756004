"""Checks arguments against the pinned JSON Schema of a tool, more strictly than the schema requires."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from chatscale_assistant.gate.canonical import InvalidArgumentsError

_COMBINING: Final = frozenset({"$ref", "allOf", "anyOf", "oneOf", "not", "if", "$dynamicRef"})
_NESTED_MAPS: Final = frozenset({"properties", "$defs", "definitions", "patternProperties"})
_NESTED: Final = frozenset({"items", "additionalProperties", "contains"})
_NO_REMOTE: Final[Registry[Any]] = Registry()
"""Resolves references within the schema only: a schema must not make the assistant fetch an address."""


@lru_cache(maxsize=1024)
def compile_schema(schema: str) -> "ArgumentSchema":
    """The compiled schema of its canonical JSON. A check of a schema takes milliseconds; tools are listed often.

    Raises ValueError for a schema that is not JSON Schema, or whose top level is not an object.
    """
    return ArgumentSchema(json.loads(schema))


class ArgumentSchema:
    """The schema of one tool, compiled."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Raises ValueError as `compile_schema`."""
        strict = _strict(dict(schema))
        if strict.get("type", "object") != "object":
            raise ValueError("the schema's type is not object")
        try:
            Draft202012Validator.check_schema(strict)
        except (SchemaError, RecursionError) as error:
            raise ValueError("the tool's input is not described by a valid JSON Schema") from error
        self.parameters: Final[frozenset[str]] = frozenset(strict.get("properties", {}))
        self._validator: Final = Draft202012Validator(strict, registry=_NO_REMOTE)

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raises InvalidArgumentsError for arguments that do not fit, or that the schema does not name."""
        extra = set(arguments) - self.parameters
        if extra:
            raise InvalidArgumentsError("an argument is no parameter of the tool")
        try:
            self._validator.validate(dict(arguments))
        except ValidationError as error:
            place = "/".join(str(part) for part in error.absolute_path if isinstance(part, str))
            raise InvalidArgumentsError(f"argument {place or '(all)'} does not fit {error.validator}") from error
        except (Unresolvable, RecursionError) as error:
            raise InvalidArgumentsError("the schema has a reference that cannot be resolved") from error


def _strict(schema: Any) -> Any:
    """The schema with `additionalProperties: false` wherever an object names its properties."""
    if not isinstance(schema, dict):
        return schema
    strict: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _NESTED_MAPS and isinstance(value, dict):
            strict[key] = {name: _strict(each) for name, each in value.items()}
        elif key in _NESTED:
            strict[key] = _strict(value)
        elif key in {"anyOf", "oneOf"} and isinstance(value, list):
            strict[key] = [_strict(each) for each in value]
        else:
            strict[key] = value
    if "properties" in strict and not _COMBINING & strict.keys():
        strict["additionalProperties"] = False
    return strict
