"""How the gateway names, holds and routes the requests of a ChatModel."""

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, StringConstraints, model_validator

from chatscale.api.v1alpha1.common import ApiModel, CelRule

_GIBIBYTE: Final = 1024**3

ModelAlias = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._:/-]*[A-Za-z0-9])?$")
]
HttpPath = Annotated[str, StringConstraints(max_length=128, pattern=r"^/[A-Za-z0-9._~/-]+$")]
HeaderName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9-]+$")]


class RoutingStrategy(StrEnum):
    """How the gateway chooses a replica."""

    LEAST_LOAD = "LeastLoad"
    PREFIX_HASH = "PrefixHash"


class KeepAlive(StrEnum):
    """What the gateway sends to a streaming client that waits. No value is `off`: YAML 1.1 reads it as false."""

    COMMENT = "Comment"
    CHUNK = "Chunk"
    DISABLED = "Disabled"


class HoldSpec(ApiModel):
    """The queue of requests that wait in the gateway for a replica. Each gateway pod applies the limits by itself."""

    max_requests: Annotated[int, Field(ge=0, le=100_000)] = Field(
        default=1000,
        description="Maximum held requests; a further request gets 429 with Retry-After. 0 holds "
        "none; at 0 replicas a refused request still starts the model.",
    )
    max_bytes: Annotated[int, Field(ge=1024, le=16 * _GIBIBYTE)] = Field(
        default=64 * 1024**2, description="Maximum bytes of the bodies of held requests."
    )
    max_prompt_tokens: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = Field(
        default=None,
        description="Maximum prompt tokens of held requests, as the gateway estimates them. An empty queue accepts a "
        "prompt of any length. Defaults to no limit.",
    )
    timeout_seconds: Annotated[int, Field(ge=1, le=590)] = Field(
        default=300,
        description="A request that is held for this many seconds gets 503 with Retry-After. Most clients stop waiting "
        "after 600 s. A request that is not streamed is held for at most 55 s, because it cannot be kept alive.",
    )
    keep_alive: KeepAlive = Field(
        default=KeepAlive.COMMENT,
        description="What a streaming client gets every 5 s while it waits. Comment: an SSE comment; OpenAI's clients "
        "ignore it. Chunk: a chunk with an empty delta, for clients that cannot parse comments. Disabled: nothing.",
    )


class OverloadSpec(ApiModel):
    """What new requests get while too many requests are held."""

    cel_rules = (
        CelRule(
            "has(self.maxTokens) != has(self.fallback)",
            "spec.routing.overload needs exactly one of maxTokens and fallback",
        ),
    )

    held_requests: Annotated[int, Field(ge=0, le=100_000)] = Field(
        description="The mode begins above this number of held requests, over all gateway pods, and ends at it."
    )
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None,
        description="Shorter answers: the gateway lowers max_tokens of new requests to this, and sets it where a "
        "request has none. It never raises it.",
    )
    fallback: Annotated[str, StringConstraints(min_length=1, max_length=63)] | None = Field(
        default=None,
        description="Answers of another, usually smaller ChatModel in the same namespace. Its own overload mode does "
        "not apply to them. Requests wait as usual while it is missing or stopped, or if the API key does not open it.",
    )

    @model_validator(mode="after")
    def _has_one_mode(self) -> Self:
        if (self.max_tokens is None) == (self.fallback is None):
            raise ValueError("needs exactly one of maxTokens and fallback")
        return self


class RoutingSpec(ApiModel):
    """How clients name this model at the gateway, and how the gateway distributes requests to replicas."""

    cel_rules = (
        CelRule(
            "!has(self.sessionHeader) || !self.sessionHeader.lowerAscii().startsWith('x-chatscale-')",
            "spec.routing.sessionHeader must not start with X-Chatscale-: the gateway sets those",
        ),
    )

    aliases: Annotated[list[ModelAlias], Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"})] = (
        Field(
            default_factory=list,
            description="Further values of `model` in requests, besides name and namespace/name. The name of a "
            "ChatModel takes precedence over an alias. An alias of two ChatModels belongs to neither.",
        )
    )
    strategy: RoutingStrategy = Field(
        default=RoutingStrategy.LEAST_LOAD,
        description="LeastLoad: the replica with the fewest requests. PrefixHash: requests with the same system prompt "
        "and first user message go to the same replica, which has them in its prefix cache, unless it is overloaded.",
    )
    session_header: HeaderName | None = Field(
        default=None,
        description="Requests with the same value of this header go to the same replica, unless it is overloaded.",
    )
    extra_paths: Annotated[
        list[HttpPath], Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = Field(
        default_factory=list,
        description="Further paths of the runtime that the gateway forwards, such as /tokenize. The request body "
        "must name the model.",
    )
    overload: OverloadSpec | None = Field(
        default=None, description="What new requests get while too many are held. If left out: they wait."
    )
    hold: HoldSpec = Field(default_factory=HoldSpec, description="The queue of requests that wait for a replica.")
