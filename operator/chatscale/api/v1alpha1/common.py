"""What the models of the API have in common: how they read Kubernetes' JSON and carry CEL rules.

No model of its own meaning stands here. Every string and list that a rule reads is bounded, or the API
server refuses the rule for its cost.
"""

from typing import Annotated, Any, ClassVar, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

KEYED_BY_TYPE: Final[JsonDict] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
"""For lists with at most one entry of each `type`: the API server refuses a second."""
KEYED_BY_NAME: Final[JsonDict] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


class CelRule(NamedTuple):
    """One `x-kubernetes-validations` entry; `self` is the object of the model that carries it."""

    rule: str
    message: str
    message_expression: str | None = None
    """CEL that yields the message, where it can name the value found."""


class ApiModel(BaseModel):
    """Reads Kubernetes' camelCase, ignores unknown fields as the API server prunes them."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")
    cel_rules: ClassVar[tuple[CelRule, ...]] = ()


def not_stored(schema: dict[str, Any]) -> None:
    """For `json_schema_extra`: the API server shall not fill the field in.

    What it fills in is stored, and then beats the defaults of a block that the user adds later.
    """
    schema.pop("default", None)


NonEmptyName = Annotated[str, StringConstraints(min_length=1, max_length=253)]
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
    """A key of a Secret in the ChatModel's namespace."""

    name: NonEmptyName = Field(description="Name of the Secret.")
    key: NonEmptyName = Field(default="token", description="Key within the Secret.")


class LocalObjectRef(ApiModel):
    """An object of the ChatModel's namespace, by name."""

    name: NonEmptyName = Field(description="Name of the object.")
