"""The body of GET `STATE_PATH`: what one pod of an assistant serves with, for the operator's conditions."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Message = Annotated[str, StringConstraints(max_length=1024)]


class _State(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class SourceState(_State):
    """One knowledge source."""

    name: str
    digest: str = ""
    """Digest of the content that the index in use was built from; empty before the first one."""
    chunks: int = Field(default=0, ge=0)
    message: Message = ""
    """Why the source, or its newest content, cannot be used; empty if it is used."""


class ToolServerState(_State):
    """One MCP server."""

    name: str
    digest: str = ""
    """`sha256:` of the descriptions and schemas of the allowed tools that the server offers now."""
    message: Message = ""
    """Why it is not used; empty if it is used."""


class AssistantState(_State):
    """One pod."""

    index: str = ""
    """Version of the index in use: a hash of all sources; empty before the first one."""
    embedded: bool = True
    """False while the index in use lacks vectors of some of its text, which is found by words until then."""
    sources: tuple[SourceState, ...] = ()
    tools: tuple[ToolServerState, ...] = ()
    model_writes: bool = False
    """Whether the chat model may phrase answers."""
    model_message: Message = ""
    """Why it may not; empty if it may."""
    problems: Annotated[tuple[Message, ...], Field(max_length=16)] = ()
    """Settings and Secrets of the spec that the pod cannot use: field, expectation, found value, and the effect. They
    have no text of a Secret."""
