"""Shared parts of the API models: how they read Kubernetes' JSON, and their CEL rules.

Every string and list that a rule reads has a maximum length; otherwise the API server rejects the rule because of its
estimated cost.
"""

from typing import Annotated, Any, ClassVar, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

KEYED_BY_TYPE: Final[JsonDict] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
"""For lists with at most one entry of each `type`: the API server rejects a second one."""
KEYED_BY_NAME: Final[JsonDict] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


class CelRule(NamedTuple):
    """One `x-kubernetes-validations` entry; `self` is an object of the model that has the rule."""

    rule: str
    message: str
    message_expression: str | None = None
    """A CEL expression for the message, where it can contain the found value."""


class ApiModel(BaseModel):
    """Reads camelCase names and ignores unknown fields, as the API server prunes them."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")
    cel_rules: ClassVar[tuple[CelRule, ...]] = ()


def not_stored(schema: dict[str, Any]) -> None:
    """For `json_schema_extra`: the API server must not set a default for the field.

    It would store the default, and the stored value would replace the defaults of a block that the user adds later.
    """
    schema.pop("default", None)


NonEmptyName = Annotated[str, StringConstraints(min_length=1, max_length=253)]
LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=317)]
"""A name of 63 characters, and a prefix of 253 with a slash. The API server checks the characters in the pod."""
LabelValue = Annotated[str, StringConstraints(max_length=63)]
Quantity = Annotated[
    StrictInt
    | Annotated[
        str,
        StringConstraints(
            max_length=64,
            pattern=r"^[+-]?([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
        ),
    ],
    Field(description="A Kubernetes quantity, such as 500m, 2 or 16Gi."),
]
"""As k8s.io/apimachinery/pkg/api/resource parses it: a decimal number and at most one suffix."""


class SecretKeyRef(ApiModel):
    """A key of a Secret in the ChatModel's namespace. Pods read it when they start."""

    name: NonEmptyName = Field(description="Name of the Secret.")
    key: NonEmptyName = Field(default="token", description="Key within the Secret.")


class LocalObjectRef(ApiModel):
    """An object in the ChatModel's namespace."""

    name: NonEmptyName = Field(description="Name of the object.")
