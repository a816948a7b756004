from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, StringConstraints

from chatscale.api.structural import UnsupportedSchemaError, structural_schema
from chatscale.api.v1alpha1 import ApiModel, CelRule, Dtype


class Inner(ApiModel):
    """An inner thing."""

    cel_rules = (CelRule("self.size > 0", "size must be positive", "'found %d'.format([self.size])"),)

    size: int = Field(default=3, ge=1, le=5)
    names: list[str] = Field(default_factory=list)
    note: str | None = None


def field(annotation: Any, **options: Any) -> dict[str, Any]:
    """The schema of one field of this type."""
    model = type("Holder", (BaseModel,), {"__annotations__": {"it": annotation}, "it": Field(**options)})
    schema: dict[str, Any] = structural_schema(model, defaults=True)["properties"]["it"]
    return schema


INNER = {
    "type": "object",
    "description": "An inner thing.",
    "properties": {
        "size": {"type": "integer", "minimum": 1, "maximum": 5, "default": 3, "format": "int32"},
        "names": {"type": "array", "items": {"type": "string"}},
        "note": {"type": "string"},
    },
    "x-kubernetes-validations": [
        {
            "rule": "self.size > 0",
            "message": "size must be positive",
            "messageExpression": "'found %d'.format([self.size])",
        }
    ],
}


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        pytest.param(Inner, INNER, id="reference-inlined-with-its-rules"),
        pytest.param(Inner | None, INNER, id="optional-model"),
        pytest.param(list[Inner], {"type": "array", "items": INNER}, id="list-of-models"),
        pytest.param(str | None, {"type": "string"}, id="optional-is-not-nullable"),
        pytest.param(int | str, {"x-kubernetes-int-or-string": True}, id="int-or-string"),
        pytest.param(
            int | Annotated[str, StringConstraints(pattern="^a$", max_length=9)],
            {"x-kubernetes-int-or-string": True, "pattern": "^a$", "maxLength": 9},
            id="int-or-string-with-a-pattern",
        ),
        pytest.param(Literal["x"], {"type": "string", "enum": ["x"]}, id="const"),
        pytest.param(
            Annotated[float, Field(gt=0)], {"type": "number", "minimum": 0, "exclusiveMinimum": True}, id="above"
        ),
        pytest.param(
            Annotated[float, Field(lt=1)], {"type": "number", "maximum": 1, "exclusiveMaximum": True}, id="below"
        ),
        pytest.param(int, {"type": "integer", "format": "int64"}, id="unbounded-integers-are-64-bits"),
        pytest.param(
            dict[str, str], {"type": "object", "additionalProperties": {"type": "string"}}, id="map-keeps-its-values"
        ),
        pytest.param(
            Dtype,
            {
                "type": "string",
                "enum": ["auto", "float32", "bfloat16", "float16"],
                "description": "Data type of weights and activations.",
            },
            id="enum",
        ),
    ],
)
def test_translates_what_pydantic_emits(annotation: Any, schema: dict[str, Any]) -> None:
    assert field(annotation) == schema


def test_a_fields_own_description_replaces_its_types() -> None:
    assert field(Inner, description="Mine.")["description"] == "Mine."


def test_defaults_made_by_factories_are_written_out_without_empty_values() -> None:
    assert field(Inner, default_factory=Inner)["default"] == {"size": 3}


def test_an_enum_default_is_its_value() -> None:
    assert field(Dtype, default=Dtype.AUTO)["default"] == "auto"


def test_optional_fields_have_no_default() -> None:
    assert "default" not in field(str | None, default=None)


def test_status_schemas_have_no_defaults() -> None:
    assert "default" not in str(structural_schema(Inner, defaults=False))


class Endless(BaseModel):
    again: list["Endless"]


class Closed(BaseModel, extra="forbid"):
    size: int


def test_additional_properties_false_is_dropped_because_the_api_server_prunes() -> None:
    assert "additionalProperties" not in structural_schema(Closed, defaults=True)


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        pytest.param(tuple[int, str], "it: .*prefixItems", id="tuple"),
        pytest.param(int | list[str], "it: expected T | None or int | str", id="union"),
        pytest.param(Any, "it: expected a type", id="anything"),
        pytest.param(Endless, "contains itself", id="recursion"),
        pytest.param(Annotated[int, Field(multiple_of=2)], "it: multipleOf: 2", id="unknown-keyword"),
    ],
)
def test_rejects_what_a_structural_schema_cannot_express(annotation: Any, message: str) -> None:
    with pytest.raises(UnsupportedSchemaError, match=message):
        field(annotation)
