"""What the operator reports about a ShopAssistant. The user sets none of it."""

from typing import Annotated

from pydantic import Field, StringConstraints

from chatscale.api.v1alpha1.common import KEYED_BY_NAME, KEYED_BY_TYPE, ApiModel
from chatscale.api.v1alpha1.status import Condition


class SourceStatus(ApiModel):
    """One knowledge source, as the pods read it."""

    name: str = Field(description="Name of the source.")
    chunks: int = Field(default=0, description="Passages or rows in the index.")
    digest: str = Field(default="", description="Digest of the source's content in the oldest index of the pods.")
    message: Annotated[str, StringConstraints(max_length=1024)] = Field(
        default="", description="Why it cannot be used; empty if it is used."
    )


class ToolServerStatus(ApiModel):
    """One MCP server, as the pods see it."""

    name: str = Field(description="Name of the server.")
    digest: str = Field(
        default="",
        description="Digest of the descriptions that are pinned: spec.tools[].pinnedDigest, or else the first that all "
        "pods reported.",
    )
    pinned_for: str = Field(
        default="",
        description="Digest of address and allow list that the pin belongs to. After a change of them the next "
        "descriptions are pinned.",
    )
    message: Annotated[str, StringConstraints(max_length=1024)] = Field(
        default="", description="Why it is not used; empty if it is used."
    )


class ShopAssistantStatus(ApiModel):
    """Observed state of a ShopAssistant."""

    observed_generation: int | None = Field(
        default=None, description="metadata.generation that the status was computed for."
    )
    replicas: int = Field(default=0, description="Pods, without terminating ones.")
    ready_replicas: int = Field(default=0, description="Pods that are Ready.")
    desired_replicas: int | None = Field(
        default=None, description="Replica count that `spec.replicas.min` or the HPA sets."
    )
    model: Annotated[str, StringConstraints(max_length=253)] | None = Field(
        default=None, description="The chat model: a ChatModel, or the name of the model outside Chatscale."
    )
    phase: str | None = Field(default=None, description="Reason of the Ready condition, for display only.")
    endpoint: str | None = Field(
        default=None,
        description="Base URL of the assistant's own Service inside the cluster. With NetworkPolicies, the default, "
        "clients cannot reach it and use the gateway.",
    )
    index: str | None = Field(
        default=None, description="Version of the index that all Ready pods use; absent while they differ."
    )
    sources: Annotated[list[SourceStatus], Field(max_length=16, json_schema_extra=KEYED_BY_NAME)] = Field(
        default_factory=list, description="The knowledge sources."
    )
    tools: Annotated[list[ToolServerStatus], Field(max_length=8, json_schema_extra=KEYED_BY_NAME)] = Field(
        default_factory=list, description="The MCP servers."
    )
    model_writes: bool | None = Field(
        default=None, description="Whether all Ready pods let the chat model phrase answers; absent before they report."
    )
    conditions: Annotated[list[Condition], Field(max_length=16, json_schema_extra=KEYED_BY_TYPE)] = Field(
        default_factory=list, description="Ready, KnowledgeReady, ToolsReady, ModelReady, SettingsReady."
    )
