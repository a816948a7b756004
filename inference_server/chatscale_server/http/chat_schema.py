"""The body of POST /v1/chat/completions: messages, tools and response formats."""

import json
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints
from typing_extensions import override

from chatscale_contract.openai.bounded_json import parse_object
from chatscale_contract.openai.errors import ApiError, bad_request
from chatscale_server.engine.output_form import Form, Json
from chatscale_server.engine.protocol import ChatMessage, ToolCall
from chatscale_server.http.schema import (
    MAX_PROMPT_TOKENS,
    GenerationBody,
    JsonObject,
    Label,
    Strict,
    Text,
    encodable,
    invalid_combination,
    unsupported_with_beams,
)
from chatscale_server.http.tool_schema import (
    MAX_TOOLS,
    AllowedTools,
    FunctionName,
    FunctionTool,
    NamedTool,
    ResponseFormat,
    Tools,
)

MAX_MESSAGES: Final = 1024
MAX_TOP_LOGPROBS: Final = 20
RESERVED_VARIABLES: Final = frozenset({
    "messages", "conversation", "tools", "documents", "chat_template", "add_generation_prompt", "tokenize",
    "continue_final_message", "return_dict", "return_tensors", "return_assistant_tokens_mask", "padding", "truncation",
    "max_length", "tokenizer_kwargs", "load_audio_from_video", "processor_kwargs",
})  # fmt: skip
"""Parameters of `apply_chat_template` that clients cannot set."""

CallId = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(encodable)]


PART_LABELS: Final = frozenset({
    "id", "index", "annotations", "logprobs", "cache_control", "cachePoint", "prompt_cache_breakpoint",
    "provider_specific_fields", "providerOptions", "provider_options", "providerMetadata", "provider_metadata",
    "extra_content",
})  # fmt: skip
"""Fields of parts and calls that clients keep for themselves, or that concern caching. Templates do not get them."""
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]


class TextPart(Strict):
    """A content part. Text models support no other type than text; a refusal is text that the assistant sent."""

    ignored = PART_LABELS

    type: Literal["text", "refusal"]
    text: Text | None = None
    refusal: Text | None = None

    def check_at(self, place: str, role: str) -> None:
        """Raises ApiError unless the part has its text, and no other. place: the part's path in the body."""
        if self.type == "refusal" and role != "assistant":
            raise invalid_combination(f"{place}.type", "refusal is only valid in assistant messages")
        other = "text" if self.type == "refusal" else "refusal"
        if getattr(self, self.type) is None:
            path = f"{place}.{self.type}"
            raise bad_request(f"{path} is required", param=path, code="missing_required_parameter")
        if getattr(self, other) is not None:
            raise invalid_combination(f"{place}.{other}", f"is invalid in a part of type {self.type}")

    @property
    def content(self) -> str:
        """The text."""
        return (self.refusal if self.type == "refusal" else self.text) or ""


class CalledFunction(Strict):
    """Name and arguments of a tool call, as the model generated them."""

    ignored = PART_LABELS | {"parsed_arguments", "description", "strict"}

    name: FunctionName
    arguments: Text = ""
    """Empty if the function takes no arguments."""


class CalledTool(Strict):
    """One tool call in an assistant message."""

    ignored = PART_LABELS - {"id"} | {"caller", "status"}

    id: CallId
    type: Literal["function"] = "function"
    function: CalledFunction


class Message(Strict):
    """One message of a conversation.

    Clients send a response's message back with the fields that they or other servers added to it.
    """

    ignored = PART_LABELS | {
        "object", "type", "status", "created", "created_at", "model", "finish_reason", "stop_reason", "usage", "weight",
        "metadata", "parsed", "example", "thinking_blocks", "reasoning_details", "reasoning_items",
    }  # fmt: skip

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | Annotated[list[TextPart], Field(min_length=1, max_length=256, fail_fast=True)] | None = None
    name: Annotated[str, StringConstraints(max_length=64), AfterValidator(encodable)] | None = None
    refusal: Text | None = None
    """The content of an assistant message that has no other."""
    tool_calls: Annotated[list[CalledTool], Field(max_length=MAX_TOOLS, fail_fast=True)] | None = None
    tool_call_id: CallId | None = None
    reasoning_content: Text | None = None
    reasoning: Text | None = None
    """The reasoning of an earlier response, under the names that servers use."""

    @property
    def uses_tools(self) -> bool:
        """True if the message contains tool calls or the result of one."""
        return self.role == "tool" or bool(self.tool_calls)

    def check_at(self, place: str) -> None:
        """Raises ApiError for fields that this role cannot have. place: the message's path in the body."""
        for at, part in enumerate(self.content if isinstance(self.content, list) else ()):
            part.check_at(f"{place}.content.{at}", self.role)
        if self.refusal is not None and (self.role != "assistant" or self.content):
            raise invalid_combination(f"{place}.refusal", "is only valid in assistant messages without content")
        has_text = self.content is not None or self.refusal is not None
        if not has_text and not (self.role == "assistant" and self.tool_calls):
            path = f"{place}.content"
            raise bad_request(f"{path} is required", param=path, code="missing_required_parameter")
        if self.tool_calls and self.role != "assistant":
            raise invalid_combination(f"{place}.tool_calls", "are only valid in assistant messages")
        if (self.role == "tool") != (self.tool_call_id is not None):
            raise invalid_combination(f"{place}.tool_call_id", "is required in tool messages and invalid in others")

    def to_chat(self, place: str) -> ChatMessage:
        """The message as the chat template gets it. `developer` is OpenAI's newer name of `system`. Raises ApiError."""
        content = self.content or self.refusal or ""
        text = content if isinstance(content, str) else "".join(part.content for part in content)
        return ChatMessage(
            "system" if self.role == "developer" else self.role,
            text,
            self.name,
            tuple(
                ToolCall(call.id, call.function.name, _arguments(call, f"{place}.tool_calls.{at}.function.arguments"))
                for at, call in enumerate(self.tool_calls or ())
            ),
            self.tool_call_id,
            (self.reasoning_content or self.reasoning or "") if self.role == "assistant" else "",
        )


Messages = Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)]


class ChatBody(GenerationBody):
    """The body of POST /v1/chat/completions."""

    ignored = frozenset({"prompt_cache_retention", "prompt_cache_options"})

    messages: Messages
    continue_final_message: bool | None = None
    """True: the output continues the last message, which is the assistant's. As in vLLM."""
    add_generation_prompt: bool | None = None
    """False only together with `continue_final_message`."""
    max_completion_tokens: Annotated[int, Field(ge=1, le=MAX_PROMPT_TOKENS)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    response_format: ResponseFormat | None = None
    tools: Tools | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | AllowedTools | None = None
    """`none` hides the tools from the model, `auto` lets it decide, `required` and a name force one call."""
    parallel_tool_calls: bool | None = None
    chat_template_kwargs: JsonObject | None = None
    """Variables of the chat template. Those that it does not read cannot change the prompt."""
    reasoning_effort: ReasoningEffort | None = None
    modalities: Annotated[list[Literal["text"]], Field(max_length=1, fail_fast=True)] | None = None
    metadata: Annotated[dict[str, Label], Field(max_length=16)] | None = None
    store: bool | None = None
    service_tier: Label | None = None
    safety_identifier: Label | None = None
    prompt_cache_key: Label | None = None

    @property
    @override
    def max_output_tokens(self) -> int | None:
        """`max_completion_tokens` takes precedence over `max_tokens`, as with OpenAI."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def one_call(self) -> bool:
        """True if the first call ends the response."""
        return bool(self.callable_tools) and self.parallel_tool_calls is False

    @property
    def scored_alternatives(self) -> int | None:
        """Most likely tokens to report with each token's score; None reports no scores."""
        return (self.top_logprobs or 0) if self.logprobs else None

    @cached_property
    def callable_tools(self) -> list[FunctionTool]:
        """The tools that the model may call. The others are not shown to it."""
        if not self.tools or self.tool_choice == "none":
            return []
        if isinstance(self.tool_choice, AllowedTools):
            names = {tool.function.name for tool in self.tool_choice.allowed_tools.tools}
            return [tool for tool in self.tools if tool.function.name in names]
        return list(self.tools)

    @cached_property
    def offered_tools(self) -> list[dict[str, Any]]:
        """The tools that the model may call, as the chat template gets them. `strict` is not for the model."""
        return [tool.model_dump(exclude={"function": {"strict"}}, exclude_none=True) for tool in self.callable_tools]

    @property
    def constrains_calls(self) -> bool:
        """True if a call that the model begins must follow a schema, or call one of some functions."""
        strict = any(tool.function.strict for tool in self.callable_tools)
        return strict or (isinstance(self.tool_choice, AllowedTools) and bool(self.callable_tools))

    @override
    def _structures(self) -> list[tuple[str, Form, object]]:
        schema = self.response_format.required_schema if self.response_format else None
        if schema is None:
            return super()._structures()
        return [("response_format", Json(json.dumps(schema, ensure_ascii=False)), schema), *super()._structures()]

    @property
    def required_tools(self) -> list[FunctionTool]:
        """The tools of which the model must call one; empty if it need not."""
        match self.tool_choice:
            case NamedTool():
                return [tool for tool in self.tools or () if tool.function.name == self.tool_choice.function.name]
            case AllowedTools() if self.tool_choice.allowed_tools.mode == "required":
                return self.callable_tools
            case "required":
                return list(self.tools or ())
            case _:
                return []

    @property
    def _constraining(self) -> str | None:
        """The field that constrains the output; None for free text."""
        if self.required_tools:
            return "tool_choice"
        if self.constrains_calls:
            return "tools"
        return self.structure[0] if self.structure else None

    @override
    def check(self) -> None:
        super().check()
        for at, message in enumerate(self.messages):
            message.check_at(f"messages.{at}")
        self._check_continuation()
        if self.top_logprobs and not self.logprobs:
            raise invalid_combination("top_logprobs", "requires logprobs to be true")
        if self.response_format and (self.response_format.type == "json_schema") != bool(
            self.response_format.json_schema
        ):
            raise invalid_combination(
                "response_format.json_schema", "is required with type json_schema and invalid with others"
            )
        self._check_tools()
        for name in ("min_tokens", "ignore_eos"):
            if (param := self._constraining) and getattr(self, name):
                raise invalid_combination(name, f"cannot be combined with {param}, which ends the output")

    def _check_continuation(self) -> None:
        if not self.continue_final_message:
            if self.add_generation_prompt is False:
                raise invalid_combination("add_generation_prompt", "false requires continue_final_message")
            return
        if self.add_generation_prompt:
            raise invalid_combination("add_generation_prompt", "cannot be combined with continue_final_message")
        last = self.messages[-1]
        if last.role != "assistant" or not last.content or last.tool_calls:
            raise invalid_combination(
                "continue_final_message", "requires that the last message is text of the assistant"
            )
        if self.required_tools or self.structure:
            raise invalid_combination("continue_final_message", "cannot be combined with a required format or tool")

    @override
    def check_beam_search(self) -> None:
        super().check_beam_search()
        if self.required_tools:
            raise unsupported_with_beams("tool_choice")
        if self.one_call:
            raise unsupported_with_beams("parallel_tool_calls")
        if self.constrains_calls:
            raise unsupported_with_beams("tools")

    def _check_tools(self) -> None:
        if self.offered_tools and self.structure:
            raise invalid_combination(self.structure[0], "cannot be combined with tools")
        if isinstance(self.tool_choice, AllowedTools):
            known = {tool.function.name for tool in self.tools or ()}
            if not {tool.function.name for tool in self.tool_choice.allowed_tools.tools} <= known:
                raise invalid_combination("tool_choice", "names a tool that is not in tools")
        elif self.tool_choice not in {None, "none", "auto"} and not self.required_tools:
            raise invalid_combination("tool_choice", "does not match any of the tools")

    def template_variables(self, known: frozenset[str]) -> dict[str, Any]:
        """Variables of the chat template, which reads the `known` ones, and parameters of `apply_chat_template`.

        Raises ApiError.
        """
        given = dict(self.chat_template_kwargs or {})
        for name in given:
            if name in RESERVED_VARIABLES:
                param = f"chat_template_kwargs.{name}"
                raise bad_request(f"{param} is set by the server", param=param, code="unsupported_parameter")
        if self.continue_final_message:
            given |= {"continue_final_message": True, "add_generation_prompt": False}
        if self.reasoning_effort is None:
            return given
        if "reasoning_effort" in known:
            return {"reasoning_effort": self.reasoning_effort, **given}
        switches: dict[str, Any] = {name: False for name in ("enable_thinking", "thinking") if name in known}
        if self.reasoning_effort == "none" and switches:
            return {**switches, **given}
        raise _unsupported("reasoning_effort", "this model's chat template does not support it")

    def conversation(self) -> list[ChatMessage]:
        """The messages as the chat template gets them. Raises ApiError."""
        return [message.to_chat(f"messages.{at}") for at, message in enumerate(self.messages)]

    def check_model(self, *, takes_tools: bool, takes_schemas: bool) -> None:
        """Raises ApiError for fields that this model does not support."""
        if takes_tools is False:
            if self.offered_tools:
                raise _unsupported("tools", "this model's chat template does not support tools")
            for at, message in enumerate(self.messages):
                if message.uses_tools:
                    field = "role" if message.role == "tool" else "tool_calls"
                    raise _unsupported(f"messages.{at}.{field}", "this model's chat template does not support tools")
        if not takes_schemas:
            if self.required_tools:
                raise _unsupported("tool_choice", "this server does not support structured output")
            for at, tool in enumerate(self.callable_tools):
                if tool.function.strict:
                    param = f"tools.{at}.function.strict"
                    raise _unsupported(param, "this server does not support structured output")
            if self.structure:
                raise _unsupported(self.structure[0], "this server does not support structured output")


def _unsupported(param: str, reason: str) -> ApiError:
    return bad_request(f"{param}: {reason}", param=param, code="unsupported_value")


def _arguments(call: CalledTool, path: str) -> dict[str, Any]:
    if not call.function.arguments:
        return {}
    try:
        return parse_object(call.function.arguments.encode())
    except ApiError as error:
        raise bad_request(f"{path}: not a JSON object", param=path, code="invalid_value") from error
