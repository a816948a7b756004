"""Functions and formats in the body of POST /v1/chat/completions."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from chatscale_server.http.schema import ANY_OBJECT, JsonObject, Strict, Text

MAX_TOOLS: Final = 128
"""Limit of `tools` in a request and of `tool_calls` in a message."""

FunctionName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_.-]{1,64}$")]


class FunctionTool(Strict):
    """A function that the model may call."""

    class Function(Strict):
        """Name and JSON schema of the arguments; without a schema it takes no arguments.

        The schema is enforced if `strict` is true, or if the model must call the function.
        """

        name: FunctionName
        description: Text | None = None
        parameters: JsonObject | None = None
        strict: bool | None = None

    type: Literal["function"]
    function: Function


Tools = Annotated[list[FunctionTool], Field(max_length=MAX_TOOLS, fail_fast=True)]


class ResponseFormat(Strict):
    """Required format of the whole response."""

    class JsonSchema(Strict):
        """A named JSON schema. It is enforced whatever the value of `strict`."""

        name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
        description: Text | None = None
        schema_: Annotated[JsonObject, Field(alias="schema")]
        strict: bool | None = None

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @property
    def required_schema(self) -> dict[str, Any] | None:
        """None for free text."""
        if self.json_schema is not None:
            return self.json_schema.schema_
        return ANY_OBJECT if self.type == "json_object" else None


class NamedTool(Strict):
    """The function that the model must call."""

    class Function(Strict):
        """Its name."""

        name: FunctionName

    type: Literal["function"]
    function: Function


class AllowedTools(Strict):
    """The functions that the model may call, of all that are in `tools`."""

    class Choice(Strict):
        """Some functions. `required` forces a call of one of them."""

        mode: Literal["auto", "required"]
        tools: Annotated[list[NamedTool], Field(min_length=1, max_length=MAX_TOOLS, fail_fast=True)]

    type: Literal["allowed_tools"]
    allowed_tools: Choice
