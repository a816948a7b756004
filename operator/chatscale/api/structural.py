"""Translates pydantic models to the structural schemas of a CustomResourceDefinition.

Pydantic's JSON schemas have references, null types and titles. The API server needs one inlined tree of known
keywords; it rejects or, worse, ignores others. So every keyword is either translated here or raises an error.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, NoDefault
from pydantic_core import core_schema, to_jsonable_python
from typing_extensions import override

from chatscale.api.v1alpha1 import ApiModel, CelRule

Schema = dict[str, Any]

_DROPPED: Final = frozenset({"title", "examples"})
"""Without meaning for the API server and `kubectl explain`."""
_KEPT: Final = frozenset(
    {
        "default",
        "description",
        "enum",
        "format",
        "maximum",
        "maxItems",
        "maxLength",
        "maxProperties",
        "minimum",
        "minItems",
        "minLength",
        "pattern",
        "required",
        "type",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    }
)
"""Keywords with the same meaning in both kinds of schema."""
_NULL: Final = {"type": "null"}
_DEEPEST: Final = 32
"""Levels of nesting. Only a model that contains itself is deeper."""
_INT32_MAX: Final = 2**31 - 1


class UnsupportedSchemaError(TypeError):
    """A model uses something that a structural schema cannot express: a bug in `api/`, found by its tests."""


def structural_schema(model: type[BaseModel], *, defaults: bool) -> Schema:
    """The schema of one model, with references inlined and CEL rules added.

    defaults: whether the API server sets defaults. Right for a spec, so that rules can rely on the presence of
    fields; wrong for a status, where a default would report something that nobody observed.
    """
    generated = model.model_json_schema(by_alias=True, schema_generator=_WithDefaultsAndRules)
    definitions: dict[str, Schema] = generated.pop("$defs", {})
    return _Translation(definitions, defaults=defaults).translate(generated, path=(model.__name__,))


class _WithDefaultsAndRules(GenerateJsonSchema):
    """Pydantic's generator, with defaults of factories and our CEL rules."""

    @override
    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        if schema.get("default_factory_takes_data"):
            raise UnsupportedSchemaError("a CRD cannot contain a default that depends on other fields")
        factory: Any = schema.get("default_factory")
        value = super().get_default_value(schema) if factory is None else factory()
        return NoDefault if value in ([], {}) else value

    @override
    def encode_default(self, dft: Any) -> Any:
        """Nested defaults in full: the API server validates a default before it sets nested defaults."""
        return _without_empty(to_jsonable_python(dft, by_alias=True, exclude_none=True))

    @override
    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        json_schema = super().model_schema(schema)
        cls = schema["cls"]
        if issubclass(cls, ApiModel) and cls.cel_rules:
            json_schema["x-kubernetes-validations"] = [validation(rule) for rule in cls.cel_rules]
        return json_schema


def _without_empty(value: Any) -> Any:
    """Drop empty lists and maps: as defaults they only make every object longer."""
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: _without_empty(item) for name, item in value.items() if item not in ([], {})}


def validation(rule: CelRule) -> Schema:
    """One entry of `x-kubernetes-validations`."""
    entry = {"rule": rule.rule, "message": rule.message}
    if rule.message_expression is not None:
        entry["messageExpression"] = rule.message_expression
    return entry


class _Translation:
    """Translates one generated schema; `path` is for error messages."""

    def __init__(self, definitions: Mapping[str, Schema], *, defaults: bool) -> None:
        self._definitions = definitions
        self._defaults = defaults

    def translate(self, node: Schema, path: tuple[str, ...]) -> Schema:
        node = self._without_null(self._without_references(node, path), path)
        result: Schema = {}
        for keyword, value in node.items():
            result |= self._keyword(keyword, value, node, path)
        if not self._defaults:
            result.pop("default", None)
        if result.get("type") == "integer":
            result["format"] = "int32" if result.get("maximum", _INT32_MAX + 1) <= _INT32_MAX else "int64"
        if "type" not in result and "x-kubernetes-int-or-string" not in result:
            raise UnsupportedSchemaError(f"{'.'.join(path)}: expected a type, found {sorted(node)}")
        return result

    def _without_references(self, node: Schema, path: tuple[str, ...]) -> Schema:
        """Inline `$ref`; keywords next to it, such as the field's own description, take precedence."""
        while "$ref" in node:
            if len(path) > _DEEPEST:
                raise UnsupportedSchemaError(f"{'.'.join(path)}: a model that contains itself cannot be inlined")
            name = str(node["$ref"]).removeprefix("#/$defs/")
            beside = {keyword: value for keyword, value in node.items() if keyword != "$ref"}
            node = {**self._definitions[name], **beside}
        return node

    def _without_null(self, node: Schema, path: tuple[str, ...]) -> Schema:
        """An optional field may be absent, but has neither a null type nor a null default."""
        if "anyOf" not in node:
            return node
        choices = [choice for choice in node["anyOf"] if choice != _NULL]
        beside = {keyword: value for keyword, value in node.items() if keyword != "anyOf"}
        if len(choices) < len(node["anyOf"]) and beside.get("default", 0) is None:
            del beside["default"]
        if len(choices) == 1:
            return self._without_null({**self._without_references(choices[0], path), **beside}, path)
        if [choice.get("type") for choice in choices] == ["integer", "string"] and set(choices[0]) == {"type"}:
            # Keywords of strings, such as pattern, do not apply to a value that is an integer.
            text = {keyword: value for keyword, value in choices[1].items() if keyword != "type"}
            return {"x-kubernetes-int-or-string": True, **text, **beside}
        raise UnsupportedSchemaError(f"{'.'.join(path)}: expected T | None or int | str, found {node['anyOf']}")

    def _keyword(self, keyword: str, value: Any, node: Schema, path: tuple[str, ...]) -> Schema:
        translated: Schema
        match keyword:
            case _ if keyword in _DROPPED:
                translated = {}
            case _ if keyword in _KEPT:
                translated = {keyword: deepcopy(value)}
            case "properties":
                translated = {keyword: {name: self.translate(child, (*path, name)) for name, child in value.items()}}
            case "items":
                translated = {keyword: self.translate(value, (*path, "[]"))}
            case "additionalProperties" if isinstance(value, dict):
                translated = {keyword: self.translate(value, (*path, "{}"))}
            case "additionalProperties" if value is False and "properties" in node:
                translated = {}  # The API server prunes unknown fields.
            case "const":
                translated = {"enum": [value]}
            case "exclusiveMinimum":
                translated = {"minimum": value, "exclusiveMinimum": True}
            case "exclusiveMaximum":
                translated = {"maximum": value, "exclusiveMaximum": True}
            case _:
                raise UnsupportedSchemaError(
                    f"{'.'.join(path)}: {keyword}: {value!r} is not possible in a structural schema"
                )
        return translated
