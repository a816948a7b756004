"""Formats, tools and choices that constrain the output."""

import json
from dataclasses import replace
from typing import Any

import pytest

from chatscale_contract.openai.errors import ApiError
from chatscale_contract.server.environment import ReasoningFormat
from chatscale_server.engine.output_form import Chain, Fixed, Json, OneOf, Plain, Regex, TextUntil
from chatscale_server.engine.protocol import ModelInfo
from chatscale_server.http.output_rules import ResponseConstraint, chat_constraint, text_constraint
from tests.unit.chatscale_server.http.bodies import INFO, TOOL, parse_chat, parse_completion


def constraint_of(*, info: ModelInfo = INFO, inside: bool = False, **fields: Any) -> ResponseConstraint | None:
    return chat_constraint(parse_chat(**fields), info, inside=inside)


def test_a_format_is_a_schema():
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    named = {"type": "json_schema", "json_schema": {"name": "order", "schema": schema, "strict": True}}
    text = '{"type":"object","properties":{"b":{},"a":{}}}'
    form = Json('{"type": "object", "properties": {"b": {}, "a": {}}}')
    assert constraint_of(response_format=named) == ResponseConstraint("response_format", form, text)
    assert constraint_of(response_format={"type": "json_object"}).form == Json('{"type": "object"}')
    assert constraint_of(response_format={"type": "text"}) is None


@pytest.mark.parametrize(
    ("fields", "param", "form"),
    [
        ({"guided_json": {"type": "null"}}, "guided_json", Json('{"type": "null"}')),
        ({"guided_regex": "a+"}, "guided_regex", Regex("a+")),
        ({"guided_choice": ["a", "b"]}, "guided_choice", OneOf((Plain("a"), Plain("b")))),
        ({"structured_outputs": {"json": {}}}, "structured_outputs.json", Json("{}")),
        ({"structured_outputs": {"json_object": True}}, "structured_outputs.json_object", Json('{"type": "object"}')),
        ({"structured_outputs": {"regex": "a+"}}, "structured_outputs.regex", Regex("a+")),
        ({"structured_outputs": {"choice": ["a"]}}, "structured_outputs.choice", Plain("a")),
    ],
)
def test_the_names_of_vllm_are_constraints_on_both_routes(fields, param, form):
    chat = constraint_of(**fields)
    assert (chat.param, chat.form) == (param, form)
    assert text_constraint(parse_completion(**fields)) == chat


def test_a_required_call_is_a_response_constraint():
    node = {"$ref": "#/$defs/node", "$defs": {"node": {"items": [{"$ref": "#"}]}}}
    walk = {"type": "function", "function": {"name": "walk", "parameters": node, "strict": True}}
    moved = {"$ref": "#/$defs/0/$defs/node", "$defs": {"node": {"items": [{"$ref": "#/$defs/0"}]}}}
    call = {
        "type": "object", "properties": {"name": {"const": "walk"}, "arguments": {"$ref": "#/$defs/0"}},
        "required": ["name", "arguments"], "additionalProperties": False,
    }  # fmt: skip
    chosen = {"type": "function", "function": {"name": "walk"}}
    schema = Json(json.dumps({"anyOf": [call], "$defs": {"0": moved}}))
    required = Chain((Fixed("<tool_call>\n"), schema, Fixed("\n</tool_call>")))
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [chosen]}}
    for fields in (
        {"tools": [walk], "tool_choice": "required"},
        {"tools": [TOOL, walk], "tool_choice": chosen},
        {"tools": [TOOL, walk], "tool_choice": allowed},
    ):
        found = constraint_of(**fields)
        assert (found.param, found.form) == ("tool_choice", required)
    assert constraint_of(tools=[TOOL], tool_choice="auto") is None


def test_strict_functions_constrain_the_calls_that_the_model_begins():
    walk = {"type": "function", "function": {"name": "walk", "strict": True}}
    found = constraint_of(tools=[walk])
    assert (found.param, found.form.trigger) == ("tools", "<tool_call>")
    assert '"properties": {}, "additionalProperties": false' in found.form.body.forms[1].schema


def test_only_allowed_tools_are_offered_and_strict_is_not_shown():
    walk = {"type": "function", "function": {"name": "walk", "strict": True}}
    named = [{"type": "function", "function": {"name": "walk"}}]
    body = parse_chat(
        tools=[TOOL, walk],
        tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": named}},
    )
    assert body.offered_tools == named
    assert chat_constraint(body, INFO, inside=False) is not None


def test_a_required_format_begins_after_the_reasoning():
    thinking = replace(INFO, reasoning_format=ReasoningFormat.THINK)
    found = constraint_of(info=thinking, inside=True, guided_choice=["a"])
    assert found.form == Chain((TextUntil("</think>"), Regex(r"[ \n]{0,4}"), Plain("a")))


def test_template_variables_are_those_of_the_request():
    body = parse_chat(chat_template_kwargs={"enable_thinking": False})
    assert body.template_variables(frozenset()) == {"enable_thinking": False}
    effort = parse_chat(reasoning_effort="low")
    assert effort.template_variables(frozenset({"reasoning_effort"})) == {"reasoning_effort": "low"}
    none = parse_chat(reasoning_effort="none")
    assert none.template_variables(frozenset({"enable_thinking"})) == {"enable_thinking": False}
    for refused, known in (
        (effort, frozenset({"enable_thinking"})),
        (none, frozenset()),
        (parse_chat(chat_template_kwargs={"tools": []}), frozenset({"tools"})),
    ):
        with pytest.raises(ApiError):
            refused.template_variables(known)


def test_without_parallel_tool_calls_the_first_call_is_the_only_one():
    assert parse_chat(tools=[TOOL], parallel_tool_calls=False).one_call
    assert not parse_chat(tools=[TOOL], parallel_tool_calls=True).one_call
    assert not parse_chat(parallel_tool_calls=False).one_call
