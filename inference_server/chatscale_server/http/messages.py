"""The turns of a conversation, as a request brings them and as the chat template takes them."""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints

from chatscale_contract.openai.errors import ApiError, bad_request
from chatscale_server.engine.protocol import ChatMessage, ToolCall
from chatscale_server.http.body import parse_object
from chatscale_server.http.schema import Strict, Text, contradiction, encodable

MAX_MESSAGES: Final = 1024
MAX_TOOLS: Final = 128
"""Tools offered, and calls in one message."""

FunctionName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_.-]{1,64}$")]
CallId = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(encodable)]


class TextPart(Strict):
    """The only kind of content part that a text model understands."""

    type: Literal["text"]
    text: Text


class CalledFunction(Strict):
    """Name and arguments of a call, as the model wrote them."""

    name: FunctionName
    arguments: Text


class CalledTool(Strict):
    """One call in an assistant's message."""

    id: CallId
    type: Literal["function"]
    function: CalledFunction


class Message(Strict):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | Annotated[list[TextPart], Field(min_length=1, max_length=256, fail_fast=True)] | None = None
    name: Annotated[str, StringConstraints(max_length=64), AfterValidator(encodable)] | None = None
    refusal: None = None
    audio: None = None
    tool_calls: Annotated[list[CalledTool], Field(max_length=MAX_TOOLS, fail_fast=True)] | None = None
    tool_call_id: CallId | None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None

    @property
    def speaks_of_tools(self) -> bool:
        """It calls tools or brings what one answered."""
        return self.role == "tool" or bool(self.tool_calls)

    def check_at(self, place: str) -> None:
        """Raises ApiError for what this role cannot say. place: the message's path in the body."""
        if self.content is None and not (self.role == "assistant" and self.tool_calls):
            path = f"{place}.content"
            raise bad_request(f"{path} is required", param=path, code="missing_required_parameter")
        if self.tool_calls and self.role != "assistant":
            raise contradiction(f"{place}.tool_calls", "belong to the assistant's messages")
        if (self.role == "tool") != (self.tool_call_id is not None):
            raise contradiction(f"{place}.tool_call_id", "belongs to every message of a tool, and to no other")

    def to_chat(self, place: str) -> ChatMessage:
        """As the template takes it; `developer` is OpenAI's newer word for `system`. Raises ApiError."""
        content = self.content or ""
        text = content if isinstance(content, str) else "".join(part.text for part in content)
        return ChatMessage(
            "system" if self.role == "developer" else self.role,
            text,
            self.name,
            tuple(
                ToolCall(call.id, call.function.name, _arguments(call, f"{place}.tool_calls.{at}.function.arguments"))
                for at, call in enumerate(self.tool_calls or ())
            ),
            self.tool_call_id,
        )


Messages = Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)]


def _arguments(call: CalledTool, path: str) -> dict[str, Any]:
    try:
        return parse_object(call.function.arguments.encode())
    except ApiError as error:
        raise bad_request(f"{path}: not a JSON object", param=path, code="invalid_value") from error
