"""The form that a response must have: which field requires it, and how it is written in the model's formats. Pure."""

import json
from dataclasses import dataclass
from typing import Any, Final

from chatscale_contract.server.environment import ReasoningFormat, ToolFormat
from chatscale_server.engine.output_form import Chain, Fixed, Form, OneOf, Regex, Repeat, TextUntil
from chatscale_server.engine.protocol import ModelInfo
from chatscale_server.http.chat_schema import ChatBody
from chatscale_server.http.reasoning import MARKS
from chatscale_server.http.schema import GenerationBody
from chatscale_server.http.tool_calls.forms import ANALYSIS, FINAL, possible_calls, required_call
from chatscale_server.http.tool_schema import FunctionTool

NO_ARGUMENTS: Final[dict[str, Any]] = {"type": "object", "properties": {}, "additionalProperties": False}
"""Schema of the arguments of a function without `parameters`, as OpenAI defines it."""
ANY_ARGUMENTS: Final[dict[str, Any]] = {"type": "object"}
_SPACE: Final = Regex(r"[ \n]{0,4}")


@dataclass(frozen=True, slots=True)
class ResponseConstraint:
    """Form of a whole output."""

    param: str
    """The body's field that requires it."""
    form: Form
    source: str
    """The client's schemas as JSON text. Its size is limited."""


def text_constraint(body: GenerationBody) -> ResponseConstraint | None:
    """Form of a text that the body requires; None for free text."""
    if (found := body.structure) is None:
        return None
    param, form, source = found
    return ResponseConstraint(param, form, json.dumps(source, ensure_ascii=False, separators=(",", ":")))


def chat_constraint(body: ChatBody, info: ModelInfo, *, inside: bool) -> ResponseConstraint | None:
    """Form of a chat output; None for free text. inside: the output begins within the reasoning."""
    if body.required_tools:
        functions = [(tool.function.name, arguments_schema(tool)) for tool in body.required_tools]
        form = required_call(info.tool_format, functions)
        if info.tool_format is not ToolFormat.HARMONY:
            form = _after_reasoning(form, info.reasoning_format, inside=inside)
        return ResponseConstraint("tool_choice", form, json.dumps([schema for _name, schema in functions]))
    if body.constrains_calls and info.takes_schemas:
        functions = [
            (tool.function.name, arguments_schema(tool) if tool.function.strict else ANY_ARGUMENTS)
            for tool in body.callable_tools
        ]
        form = possible_calls(info.tool_format, functions, once=body.one_call)
        if info.tool_format is ToolFormat.LLAMA3:
            form = _after_reasoning(form, info.reasoning_format, inside=inside)
        return ResponseConstraint("tools", form, json.dumps([schema for _name, schema in functions]))
    if (required := text_constraint(body)) is None:
        return None
    form = _after_reasoning(required.form, info.reasoning_format, inside=inside)
    return ResponseConstraint(required.param, form, required.source)


def arguments_schema(tool: FunctionTool) -> dict[str, Any]:
    """JSON schema of the function's arguments."""
    return NO_ARGUMENTS if tool.function.parameters is None else tool.function.parameters


def _after_reasoning(form: Form, kind: ReasoningFormat, *, inside: bool) -> Form:
    """The form after any reasoning of the model."""
    if kind is ReasoningFormat.HARMONY:
        return Chain((Repeat(ANALYSIS), FINAL, form))
    if kind not in MARKS:
        return form
    opening, closing = MARKS[kind]
    rest = Chain((TextUntil(closing), _SPACE, form))
    return rest if inside else OneOf((Chain((Fixed(opening), rest)), form))
