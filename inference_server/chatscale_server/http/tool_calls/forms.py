"""The form of a call in each format, as a constraint enforces it. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from chatscale_contract.server.environment import ToolFormat
from chatscale_server.engine.output_form import (
    Chain,
    Fixed,
    Form,
    FreeText,
    Json,
    OneOf,
    Plain,
    Regex,
    Repeat,
    TextUntil,
    Triggered,
    either,
)

Functions = Sequence[tuple[str, dict[str, Any]]]
"""Name and JSON schema of the arguments of each function."""

_NO_JSON: Final = Regex(r"([^{\s](.|\n)*)?")
"""Llama 3 makes any answer that begins with a brace a call."""
ANALYSIS: Final = Chain(
    (Fixed("<|channel|>analysis<|message|>"), TextUntil("<|end|>"), Fixed("<|start|>assistant"))
)  # fmt: skip
PREAMBLE: Final = Chain(
    (Fixed("<|channel|>commentary<|message|>"), TextUntil("<|end|>"), Fixed("<|start|>assistant"))
)  # fmt: skip
FINAL: Final = Fixed("<|channel|>final<|message|>")


def required_call(kind: ToolFormat, functions: Functions) -> Form:
    """Exactly one call."""
    match kind:
        case ToolFormat.LLAMA3:
            return _json_call(functions, "parameters")
        case ToolFormat.MISTRAL:
            return Chain((Fixed("[TOOL_CALLS]"), _mistral_calls(functions, once=True)))
        case ToolFormat.QWEN3_CODER:
            return Chain((Fixed("<tool_call>"), _coder_call(functions)))
        case ToolFormat.HARMONY:
            return Chain((Repeat(ANALYSIS), _harmony_call(functions)))
        case _:
            return Chain((Fixed("<tool_call>\n"), _json_call(functions, "arguments"), Fixed("\n</tool_call>")))


def possible_calls(kind: ToolFormat, functions: Functions, *, once: bool) -> Form:
    """Any text with any calls. As soon as the model begins a call, it must be a call of one of the functions.

    once: the first call ends the output.
    """
    match kind:
        case ToolFormat.LLAMA3:
            call = _json_call(functions, "parameters")
            return OneOf((call, Chain((Fixed("<|python_tag|>"), call)), _NO_JSON))
        case ToolFormat.MISTRAL:
            return Triggered("[TOOL_CALLS]", _mistral_calls(functions, once=once), once)
        case ToolFormat.QWEN3_CODER:
            return Triggered("<tool_call>", _coder_call(functions), once)
        case ToolFormat.HARMONY:
            return Chain(
                (Repeat(OneOf((ANALYSIS, PREAMBLE))), OneOf((Chain((FINAL, FreeText())), _harmony_call(functions))))
            )
        case _:
            call = Chain((Plain("\n"), _json_call(functions, "arguments"), Fixed("\n</tool_call>")))
            return Triggered("<tool_call>", call, once)


def _json_call(functions: Functions, arguments_key: str) -> Form:
    return Json(json.dumps(call_schema(functions, arguments_key), ensure_ascii=False))


def _mistral_calls(functions: Functions, *, once: bool) -> Form:
    """What follows the mark: a list of calls, or one call with its name first."""
    call = _json_call(functions, "arguments")
    more = () if once else (Repeat(Chain((Plain(", "), call))),)
    listed = Chain((Regex(" ?"), Plain("["), call, *more, Plain("]")))
    named = [
        Chain((Plain(name), Fixed("[ARGS]"), Json(json.dumps(schema, ensure_ascii=False))))
        for name, schema in functions
    ]
    return OneOf((listed, *named))


def _harmony_call(functions: Functions) -> Form:
    kind = OneOf((Fixed(" <|constrain|>json"), Plain(" json"), Plain("")))
    calls = []
    for name, schema in functions:
        recipient = Plain(f" to=functions.{name}")
        header = OneOf(
            (
                Chain((Fixed("<|channel|>commentary"), recipient)),
                Chain((recipient, Fixed("<|channel|>commentary"))),
            )
        )
        calls.append(Chain((header, kind, Fixed("<|message|>"), Json(json.dumps(schema, ensure_ascii=False)))))
    return either(*calls)


def _coder_call(functions: Functions) -> Form:
    calls = [
        Chain((Plain(f"<function={name}>\n"), *_coder_parameters(schema), Plain("</function>")))
        for name, schema in functions
    ]
    return Chain((Plain("\n"), either(*calls), Fixed("\n</tool_call>")))


def _coder_parameters(schema: Mapping[str, Any]) -> list[Form]:
    """The arguments in the order of the schema. An argument that is not required may be missing."""
    required = schema.get("required") or []
    forms: list[Form] = []
    for key, value in (schema.get("properties") or {}).items():
        form = Chain((Plain(f"<parameter={key}>\n"), _coder_value(value, schema.get("$defs"))))
        forms.append(form if key in required else OneOf((form, Plain(""))))
    return forms


def _coder_value(schema: Any, definitions: Any) -> Form:
    """A value and its closing mark."""
    closing = "\n</parameter>\n"
    if isinstance(schema, Mapping) and schema.get("type", None) == "string":
        if isinstance(options := schema.get("enum"), list) and all(isinstance(one, str) for one in options):
            return Chain((either(*map(Plain, options)), Plain(closing)))
        return TextUntil(closing)
    shared = {"$defs": definitions} if definitions else {}
    value = {**shared, **schema} if isinstance(schema, Mapping) else schema
    return Chain((Json(json.dumps(value, ensure_ascii=False)), Plain(closing)))


def call_schema(functions: Functions, arguments_key: str = "arguments") -> dict[str, Any]:
    """JSON schema of a call of one of these functions."""
    calls, definitions = [], {}
    for at, (name, arguments) in enumerate(functions):
        place = f"#/$defs/{at}"
        definitions[str(at)] = _moved(arguments, place)
        members = {"name": {"const": name}, arguments_key: {"$ref": place}}
        calls.append({"type": "object", "properties": members, "required": [*members], "additionalProperties": False})
    return {"anyOf": calls, "$defs": definitions}


def _moved(part: Any, place: str) -> Any:
    """The schema with its local references rewritten for its new location `place`."""
    if isinstance(part, list):
        return [_moved(item, place) for item in part]
    if not isinstance(part, dict):
        return part
    return {
        key: place + value[1:]
        if key == "$ref" and isinstance(value, str) and value.startswith("#")
        else _moved(value, place)
        for key, value in part.items()
    }
