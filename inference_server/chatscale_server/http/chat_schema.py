"""What POST /v1/chat/completions is asked: tools and formats, on top of messages and what both endpoints share."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints
from typing_extensions import override

from chatscale_contract.openai.errors import ApiError, bad_request
from chatscale_server.engine.protocol import ChatMessage
from chatscale_server.http import tool_calls
from chatscale_server.http.messages import MAX_TOOLS, FunctionName, Messages
from chatscale_server.http.schema import (
    MAX_PROMPT_TOKENS,
    Generation,
    Label,
    Strict,
    Text,
    contradiction,
    encodable,
    not_searched,
)

MAX_TOP_LOGPROBS: Final = 20


def _sound(value: dict[str, Any]) -> dict[str, Any]:
    encodable(json.dumps(value, ensure_ascii=False))
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(_sound)]


@dataclass(frozen=True, slots=True)
class Form:
    """What a whole answer is held to: text that follows a JSON schema, between two texts."""

    param: str
    """The body's field that asks for it."""
    schema: dict[str, Any]
    before: str = ""
    after: str = ""


class FunctionTool(Strict):
    """A function that the model may call."""

    class Function(Strict):
        """Its name, and the JSON schema of its arguments, to which a model is held that has to call it."""

        name: FunctionName
        description: Text | None = None
        parameters: JsonObject | None = None
        strict: bool | None = None

    type: Literal["function"]
    function: Function


Tools = Annotated[list[FunctionTool], Field(max_length=MAX_TOOLS, fail_fast=True)]


class ResponseFormat(Strict):
    """What the whole answer must be."""

    class JsonSchema(Strict):
        """The schema by its name. It holds whatever `strict` says."""

        name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
        description: Text | None = None
        schema_: Annotated[JsonObject, Field(alias="schema")]
        strict: bool | None = None

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @property
    def form(self) -> Form | None:
        """None for free text."""
        if self.json_schema is not None:
            return Form("response_format", self.json_schema.schema_)
        return Form("response_format", {"type": "object"}) if self.type == "json_object" else None


class NamedTool(Strict):
    """The one function that is to be called."""

    class Function(Strict):
        """By its name."""

        name: FunctionName

    type: Literal["function"]
    function: Function


class ChatRequest(Generation):
    """The body of POST /v1/chat/completions."""

    messages: Messages
    max_completion_tokens: Annotated[int, Field(ge=1, le=MAX_PROMPT_TOKENS)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    response_format: ResponseFormat | None = None
    tools: Tools | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    """The model is not shown the tools, decides, or is held to one call."""
    parallel_tool_calls: bool | None = None
    modalities: Annotated[list[Literal["text"]], Field(max_length=1, fail_fast=True)] | None = None
    metadata: Annotated[dict[str, Label], Field(max_length=16)] | None = None
    store: bool | None = None
    service_tier: Label | None = None
    safety_identifier: Label | None = None
    prompt_cache_key: Label | None = None

    @property
    @override
    def answer_tokens(self) -> int | None:
        """The newer name wins, as at OpenAI."""
        return self.max_completion_tokens or self.max_tokens

    @property
    @override
    def stops(self) -> tuple[str, ...]:
        """Without parallel calls, the end of the first one is the end."""
        return (*super().stops, tool_calls.CLOSE) if self._one_call else super().stops

    @property
    def _one_call(self) -> bool:
        return bool(self.offered_tools) and self.parallel_tool_calls is False

    @property
    def scored_alternatives(self) -> int | None:
        """Likeliest tokens to report with each token's score; None reports no scores."""
        return (self.top_logprobs or 0) if self.logprobs else None

    @cached_property
    def offered_tools(self) -> list[dict[str, Any]]:
        """The tools that the model is shown, as the template takes them."""
        shown = self.tools if self.tools and self.tool_choice != "none" else []
        return [tool.model_dump(exclude_none=True) for tool in shown]

    @cached_property
    def form(self) -> Form | None:
        """What the answer is held to, if anything."""
        if callable_now := self._to_be_called():
            functions = [(tool.function.name, tool.function.parameters or {"type": "object"}) for tool in callable_now]
            schema = tool_calls.call_schema(functions)
            return Form("tool_choice", schema, f"{tool_calls.OPEN}\n", f"\n{tool_calls.CLOSE}")
        return self.response_format.form if self.response_format else None

    def _to_be_called(self) -> list[FunctionTool]:
        """The tools of which one has to be called."""
        if isinstance(self.tool_choice, NamedTool):
            return [tool for tool in self.tools or () if tool.function.name == self.tool_choice.function.name]
        return list(self.tools or ()) if self.tool_choice == "required" else []

    @override
    def check(self) -> None:
        super().check()
        for at, message in enumerate(self.messages):
            message.check_at(f"messages.{at}")
        if self.top_logprobs and not self.logprobs:
            raise contradiction("top_logprobs", "needs logprobs to be true")
        if self.response_format and (self.response_format.type == "json_schema") != bool(
            self.response_format.json_schema
        ):
            raise contradiction("response_format.json_schema", "belongs to the type json_schema, and to no other")
        self._check_tools()

    @override
    def check_search(self) -> None:
        super().check_search()
        if self._to_be_called():
            raise not_searched("tool_choice")
        if self._one_call:
            raise not_searched("parallel_tool_calls")

    def _check_tools(self) -> None:
        if self.offered_tools and self.response_format and self.response_format.form:
            raise contradiction("response_format", "would keep the model from calling the tools")
        held = self._to_be_called()
        if self.tool_choice not in {None, "none", "auto"} and not held:
            raise contradiction("tool_choice", "names none of the tools")
        for at, tool in enumerate(self.tools or ()):
            if tool.function.strict and self.offered_tools and not held:
                raise bad_request(
                    f"tools.{at}.function.strict: a model that may speak is not held to a schema; "
                    "use tool_choice to make it call",
                    param=f"tools.{at}.function.strict", code="unsupported_value",
                )  # fmt: skip

    def conversation(self) -> list[ChatMessage]:
        """The messages as the template takes them. Raises ApiError."""
        return [message.to_chat(f"messages.{at}") for at, message in enumerate(self.messages)]

    def check_model(self, *, takes_tools: bool, takes_schemas: bool) -> None:
        """Raises ApiError for what this model cannot do."""
        if takes_tools is False:
            if self.offered_tools:
                raise _beyond("tools", "this model's chat template has no place for them")
            for at, message in enumerate(self.messages):
                if message.speaks_of_tools:
                    field = "role" if message.role == "tool" else "tool_calls"
                    raise _beyond(f"messages.{at}.{field}", "this model's chat template knows no tools")
        if self.form is not None and not takes_schemas:
            raise _beyond(self.form.param, "this server cannot hold answers to a schema")


def _beyond(param: str, reason: str) -> ApiError:
    return bad_request(f"{param}: {reason}", param=param, code="unsupported_value")
