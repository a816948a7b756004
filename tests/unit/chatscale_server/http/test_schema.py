"""Every field is honoured, ignored because it cannot change the answer, or refused with its name."""

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale_contract.openai.errors import ApiError
from chatscale_contract.server.environment import ReasoningFormat
from chatscale_server.engine.output_form import Chain, Fixed, Json, OneOf, Plain, Regex, TextUntil
from chatscale_server.engine.protocol import ChatMessage, ModelInfo, ToolCall
from chatscale_server.engine.request import Sampling
from chatscale_server.http.chat_schema import ChatBody
from chatscale_server.http.handlers import DetokenizeBody, TokenizeBody
from chatscale_server.http.output_rules import ResponseConstraint, chat_constraint, text_constraint
from chatscale_server.http.schema import MAX_PROMPT_TOKENS, CompletionBody, parse_request

INFO = ModelInfo(
    max_model_len=64, kv_capacity_tokens=64, tokens_per_step=64, max_tokens_per_second=1.0, vocab_size=100,
    end_tokens=frozenset({1}), takes_tools=True, takes_schemas=True,
)  # fmt: skip
HELLO = {"role": "user", "content": "Hello"}
TOOL = {"type": "function", "function": {"name": "find_order", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "find_order", "arguments": '{"id": 7}'}}


def parse_chat(**fields: object) -> ChatBody:
    return parse_request(ChatBody, json.dumps({"model": "m", "messages": [HELLO], **fields}).encode())


def parse_completion(**fields: object) -> CompletionBody:
    return parse_request(CompletionBody, json.dumps({"model": "m", "prompt": "Hello", **fields}).encode())


def refusal(parse, **fields: object) -> tuple[int, str | None, str | None]:
    with pytest.raises(ApiError) as caught:
        parse(**fields)
    return caught.value.status, caught.value.param, caught.value.code


def test_defaults_are_openai_s():
    assert parse_chat().sampling(100) == Sampling(temperature=1.0, top_p=1.0, top_k=0)


def test_every_sampling_field_is_honoured():
    asked = parse_chat(temperature=0, top_p=0.5, top_k=7, min_p=0.1, repetition_penalty=1.2, presence_penalty=1,
                       frequency_penalty=-1.5, seed=3,
                       logit_bias={"5": -100}, stop="end", max_tokens=9)  # fmt: skip
    assert asked.sampling(100) == Sampling(
        temperature=0.0, top_p=0.5, top_k=7, min_p=0.1, repetition_penalty=1.2, presence_penalty=1.0,
        frequency_penalty=-1.5, seed=3,
        logit_bias=((5, -100.0),),
    )  # fmt: skip
    assert (asked.stops, asked.max_output_tokens) == (("end",), 9)
    assert parse_chat(stop=["a", "b"], max_tokens=9, max_completion_tokens=4).max_output_tokens == 4


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1}, {"logprobs": False}, {"top_logprobs": 0}, {"tools": []}, {"num_beams": 1}, {"do_sample": True},
        {"min_p": 0}, {"repetition_penalty": 1}, {"n": 2, "num_return_sequences": 2},
        {"tool_choice": "none"}, {"response_format": {"type": "text"}},
        {"user": "u"}, {"metadata": {"a": "b"}}, {"store": True}, {"service_tier": "auto"}, {"stream": False},
        {"stream": True, "stream_options": {"include_usage": True}}, {"stop": None}, {"temperature": None},
        {"top_k": -1}, {"parallel_tool_calls": True}, {"modalities": ["text"]},
        {"made_up": None}, {"prompt_cache_retention": "24h"}, {"prompt_cache_options": {}},
        {"stream": True, "stream_options": {"include_obfuscation": True}}, {"add_generation_prompt": True},
        {"min_tokens": 0}, {"ignore_eos": False}, {"stop_token_ids": []}, {"continue_final_message": False},
    ],
    ids=str,
)  # fmt: skip
def test_fields_that_change_nothing_are_accepted(fields):
    assert parse_chat(**fields).sampling(100) == Sampling()


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"n": 0}, "n", "invalid_value"),
        ({"n": 129}, "n", "invalid_value"),
        ({"n": 2, "num_return_sequences": 3}, "num_return_sequences", "invalid_value"),
        ({"logprobs": 3}, "logprobs", "invalid_value"),
        ({"top_logprobs": 3}, "top_logprobs", "invalid_value"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "invalid_value"),
        ({"max_length": 9, "max_tokens": 3}, "max_length", "invalid_value"),
        ({"do_sample": False, "temperature": 0.5}, "do_sample", "invalid_value"),
        ({"do_sample": True, "temperature": 0}, "do_sample", "invalid_value"),
        ({"min_p": 1.1}, "min_p", "invalid_value"),
        ({"repetition_penalty": 0}, "repetition_penalty", "invalid_value"),
        ({"tools": [{"type": "function"}]}, "tools.0.function", "missing_required_parameter"),
        ({"tools": [TOOL, {**TOOL, "type": "custom"}]}, "tools.1.type", "unsupported_value"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools.0.function.name", "invalid_value"),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {
            "mode": "auto", "tools": [{"type": "function", "function": {"name": "other"}}]}}}, "tool_choice",
         "invalid_value"),
        ({"guided_regex": "a", "guided_choice": ["b"]}, "guided_choice", "invalid_value"),
        ({"structured_outputs": {"grammar": "x"}}, "structured_outputs.grammar", "unsupported_parameter"),
        ({"guided_grammar": "x"}, "guided_grammar", "unsupported_parameter"),
        ({"response_format": {"type": "json_object"}, "guided_json": {}}, "guided_json", "invalid_value"),
        ({"num_beams": 2, "guided_choice": ["b"]}, "guided_choice", "invalid_value"),
        ({"reasoning_effort": "most"}, "reasoning_effort", "unsupported_value"),
        ({"tools": [TOOL], "tool_choice": "always"}, "tool_choice", "unsupported_value"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {}}}, "tool_choice.function.name",
         "missing_required_parameter"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "other"}}}, "tool_choice",
         "invalid_value"),
        ({"tools": [{"type": "function", "function": {"name": "a", "parameters": {"\ud800": 1}}}]},
         "tools.0.function.parameters", "invalid_value"),
        ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice", "invalid_value"),
        ({"response_format": {"type": "grammar"}}, "response_format.type", "unsupported_value"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "invalid_value"),
        ({"response_format": {"type": "json_object", "json_schema": {"name": "a", "schema": {}}}},
         "response_format.json_schema", "invalid_value"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
         "response_format.json_schema.schema", "missing_required_parameter"),
        ({"response_format": {"type": "json_object"}, "tools": [TOOL]}, "response_format", "invalid_value"),
        ({"num_beams": 65}, "num_beams", "invalid_value"),
        ({"num_beams": 2, "n": 3}, "num_beams", "invalid_value"),
        ({"num_beams": 2, "stream": True}, "stream", "invalid_value"),
        ({"num_beams": 2, "temperature": 0.5}, "temperature", "invalid_value"),
        ({"num_beams": 2, "stop": "x"}, "stop", "invalid_value"),
        ({"num_beams": 2, "logprobs": True}, "logprobs", "invalid_value"),
        ({"num_beams": 2, "tools": [TOOL], "tool_choice": "required"}, "tool_choice", "invalid_value"),
        ({"num_beams": 2, "tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "find_order"}}},
         "tool_choice", "invalid_value"),
        ({"num_beams": 2, "tools": [TOOL], "parallel_tool_calls": False}, "parallel_tool_calls", "invalid_value"),
        ({"metadata": {"a": "x" * 513}}, "metadata.a", "invalid_value"),
        ({"service_tier": "x" * 513}, "service_tier", "invalid_value"),
        ({"modalities": ["audio"]}, "modalities.0", "unsupported_value"),
        ({"prediction": {}}, "prediction", "unsupported_parameter"),
        ({"web_search_options": {}}, "web_search_options", "unsupported_parameter"),
        ({"function_call": "auto"}, "function_call", "unsupported_parameter"),
        ({"functions": []}, "functions", "unsupported_parameter"),
        ({"audio": {}}, "audio", "unsupported_parameter"),
        ({"made_up": 1}, "made_up", "unsupported_parameter"),
        ({"temperature": 2.1}, "temperature", "invalid_value"),
        ({"temperature": "0.5"}, "temperature", "invalid_value"),
        ({"temperature": True}, "temperature", "invalid_value"),
        ({"top_p": 0}, "top_p", "invalid_value"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"max_tokens": 1.5}, "max_tokens", "invalid_value"),
        ({"seed": 2**64}, "seed", "invalid_value"),
        ({"stop": ["a"] * 17}, "stop", "invalid_value"),
        ({"stop_token_ids": [1] * 65}, "stop_token_ids", "invalid_value"),
        ({"stop_token_ids": [-1]}, "stop_token_ids.0", "invalid_value"),
        ({"min_tokens": 5, "max_tokens": 4}, "min_tokens", "invalid_value"),
        ({"min_tokens": 5, "response_format": {"type": "json_object"}}, "min_tokens", "invalid_value"),
        ({"ignore_eos": True, "response_format": {"type": "json_object"}}, "ignore_eos", "invalid_value"),
        ({"num_beams": 2, "min_tokens": 1}, "min_tokens", "invalid_value"),
        ({"num_beams": 2, "ignore_eos": True}, "ignore_eos", "invalid_value"),
        ({"num_beams": 2, "stop_token_ids": [1]}, "stop_token_ids", "invalid_value"),
        ({"continue_final_message": True}, "continue_final_message", "invalid_value"),
        ({"add_generation_prompt": False}, "add_generation_prompt", "invalid_value"),
        ({"stop": ""}, "stop", "invalid_value"),
        ({"stream": "yes"}, "stream", "invalid_value"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": [HELLO] * 1025}, "messages", "invalid_value"),
        ({"messages": "Hello"}, "messages", "invalid_value"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.tool_call_id", "invalid_value"),
        ({"messages": [{**HELLO, "tool_call_id": "c"}]}, "messages.0.tool_call_id", "invalid_value"),
        ({"messages": [{**HELLO, "tool_calls": [CALL]}]}, "messages.0.tool_calls", "invalid_value"),
        ({"messages": [{"role": "assistant", "content": "x", "function_call": {"name": "f"}}]},
         "messages.0.function_call", "unsupported_parameter"),
        ({"messages": [{"role": "assistant", "content": "x", "audio": {"id": "a"}}]}, "messages.0.audio",
         "unsupported_parameter"),
        ({"messages": [{**HELLO, "refusal": "no"}]}, "messages.0.refusal", "invalid_value"),
        ({"messages": [{"role": "assistant", "content": "x", "refusal": "no"}]}, "messages.0.refusal", "invalid_value"),
        ({"messages": [{"role": "user", "content": [{"type": "refusal", "refusal": "no"}]}]},
         "messages.0.content.0.type", "invalid_value"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text",
         "missing_required_parameter"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "refusal": "b"}]}]},
         "messages.0.content.0.refusal", "invalid_value"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role", "unsupported_value"),
        ({"messages": [HELLO, {"role": "user"}]}, "messages.1.content", "missing_required_parameter"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
         "messages.0.content.0.type", "unsupported_value"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages.0.content", "invalid_value"),
        ({"messages": [{"role": "user", "content": "x" * 1_000_001}]}, "messages.0.content", "invalid_value"),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused_by_name(fields, param, code):
    assert refusal(parse_chat, **fields) == (400, param, code)


REPLY = {
    "role": "assistant", "content": "Yes.", "refusal": None, "function_call": None, "audio": None, "annotations": [],
    "tool_calls": None, "provider_specific_fields": {"refusal": None}, "reasoning": "hm", "reasoning_content": "hm",
    "thinking_blocks": [], "id": "msg_1", "type": "message", "status": "completed", "parsed": {"a": 1}, "unknown": None,
}  # fmt: skip
CALLING = {
    "role": "assistant", "content": None, "function_call": None,
    "tool_calls": [{**CALL, "index": 0, "provider_specific_fields": {}, "function": {
        **CALL["function"], "parsed_arguments": {"id": 7}, "provider_specific_fields": None}}],
}  # fmt: skip
PART = {"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}, "annotations": None}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(REPLY, ChatMessage("assistant", "Yes.", reasoning="hm"), id="reply"),
        pytest.param(CALLING, ChatMessage("assistant", "", None, (ToolCall("c1", "find_order", {"id": 7}),)),
                     id="call"),
        pytest.param({"role": "assistant", "content": None, "refusal": "No."}, ChatMessage("assistant", "No."),
                     id="refusal"),
        pytest.param({"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
                     ChatMessage("assistant", "No."), id="refusal-part"),
        *(
            pytest.param({"role": role, "content": [PART], "cache_control": {}, "tool_calls": None,
                          "tool_call_id": None, "metadata": {}}, ChatMessage(seen, "Hello"), id=role)
            for role, seen in (("system", "system"), ("developer", "system"), ("user", "user"),
                               ("assistant", "assistant"))
        ),
        pytest.param({"role": "tool", "tool_call_id": "c1", "content": [PART], "status": "ok", "id": "x",
                      "tool_calls": [], "annotations": [{}]}, ChatMessage("tool", "Hello", None, (), "c1"), id="tool"),
    ],
)  # fmt: skip
def test_message_fields_that_cannot_change_the_answer_are_ignored_in_each_role(message, expected):
    assert parse_chat(messages=[message]).conversation() == [expected]


def test_empty_arguments_of_a_call_are_no_arguments():
    for function in ({"name": "f", "arguments": ""}, {"name": "f"}, {"name": "f", "arguments": None}):
        asked = parse_chat(messages=[{"role": "assistant", "tool_calls": [{**CALL, "function": function}]}])
        assert asked.conversation()[0].tool_calls == (ToolCall("c1", "f", {}),)


def test_null_is_unset_for_known_and_unknown_fields_on_every_route():
    nothing = dict.fromkeys((*ChatBody.model_fields, *CompletionBody.model_fields, "made_up", "functions", "audio"))
    for kind in (ChatBody, CompletionBody, TokenizeBody, DetokenizeBody):
        needed = {"model": "m", "messages": [HELLO], "prompt": "x", "tokens": [1]}
        body = nothing | {name: needed[name] for name in kind.model_fields if name in needed}
        if kind is TokenizeBody:
            body["prompt"] = None
        parse_request(kind, json.dumps(body).encode())
        for name, field in kind.model_fields.items():
            if field.is_required():
                with pytest.raises(ApiError) as caught:
                    parse_request(kind, json.dumps(body | {name: None}).encode())
                assert (caught.value.param, caught.value.code) == (name, "missing_required_parameter")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"stop": ["a"] * 17}, "stop: List should have at most 16 items"),
        ({"messages": [{"role": "user", "content": []}]}, "messages.0.content: List should have at least 1 item"),
        ({"stop": 5}, "stop: Input should be a valid string"),
    ],
    ids=str,
)
def test_the_message_is_of_the_branch_that_the_value_is_meant_for(fields, message):
    with pytest.raises(ApiError, match=message):
        parse_chat(**fields)


def test_a_continued_message_is_rendered_without_a_generation_prompt():
    turns = [HELLO, {"role": "assistant", "content": "Once upon"}]
    asked = parse_chat(messages=turns, continue_final_message=True, add_generation_prompt=False)
    assert asked.template_variables(frozenset()) == {"continue_final_message": True, "add_generation_prompt": False}
    assert parse_chat(messages=turns).template_variables(frozenset()) == {}
    for fields, param in (
        ({"add_generation_prompt": True}, "add_generation_prompt"),
        ({"response_format": {"type": "json_object"}}, "continue_final_message"),
        ({"messages": [HELLO, CALLING]}, "continue_final_message"),
    ):
        found = refusal(parse_chat, **{"messages": turns, "continue_final_message": True, **fields})
        assert found == (400, param, "invalid_value")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"echo": True, "logprobs": 0}, "echo"), ({"suffix": "x"}, "suffix"), ({"best_of": 2}, "best_of"),
        ({"num_beams": 2, "logprobs": 0}, "logprobs"),
        ({"n": 2, "best_of": 1}, "best_of"), ({"n": 2, "best_of": 3}, "best_of"),
        ({"logprobs": 6}, "logprobs"), ({"logprobs": True}, "logprobs"), ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": [[1], "a"]}, "prompt"), ({"prompt": ["a"] * 129}, "prompt"), ({"prompt": []}, "prompt"),
        ({"prompt": [-1]}, "prompt.0"), ({"prompt": [[1], [-1]]}, "prompt.1.0"), ({"prompt": [["a"]]}, "prompt.0.0"),
        ({"prompt": None}, "prompt"), ({"messages": []}, "messages"),
    ],
    ids=str,
)  # fmt: skip
def test_completions_refuse_by_name_too(fields, param):
    assert refusal(parse_completion, **fields)[:2] == (400, param)


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        ("Hi", ["Hi"]),
        (["Hi"], ["Hi"]),
        (["Hi", "Ho"], ["Hi", "Ho"]),
        ([1, 2], [[1, 2]]),
        ([[1, 2], [3]], [[1, 2], [3]]),
    ],
    ids=str,
)
def test_prompts_come_as_text_or_as_tokens_alone_or_in_a_list(prompt, prompts):
    assert parse_completion(prompt=prompt).prompts == prompts


def test_the_field_names_of_transformers_are_aliases():
    assert parse_chat(num_return_sequences=3).choices_per_prompt == parse_chat(n=3).choices_per_prompt == 3
    assert parse_chat(do_sample=False).sampling(100).temperature == 0
    assert parse_completion(n=2, best_of=2).choices_per_prompt == 2


def test_what_a_model_cannot_do_is_refused_by_the_field_that_asks_for_it():
    answer = {"role": "tool", "tool_call_id": "c1", "content": "x"}
    called = {"role": "assistant", "tool_calls": [CALL]}
    for fields, param in (
        ({"tools": [TOOL]}, "tools"),
        ({"messages": [HELLO, called, answer]}, "messages.1.tool_calls"),
        ({"messages": [HELLO, answer]}, "messages.1.role"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"tools": [TOOL], "tool_choice": "required"}, "tools"),
    ):
        asked = parse_chat(**fields)
        asked.check_model(takes_tools=True, takes_schemas=True)
        with pytest.raises(ApiError) as caught:
            asked.check_model(takes_tools=False, takes_schemas=False)
        assert (caught.value.status, caught.value.param, caught.value.code) == (400, param, "unsupported_value")
    parse_chat(tools=[TOOL], tool_choice="none").check_model(takes_tools=False, takes_schemas=False)


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


def test_logit_bias_takes_tokens_of_the_vocabulary_only():
    for token in ("100", "x", "-1", "²", "9" * 5000, "0" * 10 + "5"):
        with pytest.raises(ApiError) as caught:
            parse_chat(logit_bias={token: 1}).sampling(100)
        assert (caught.value.status, caught.value.param) == (400, "logit_bias")


def test_a_very_low_temperature_is_greedy():
    assert parse_chat(temperature=1e-310).sampling(100).temperature == 0


def test_messages_reach_the_template_as_plain_turns():
    asked = parse_chat(
        messages=[
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "Ada"},
            {"role": "assistant", "content": "c", "refusal": None, "tool_calls": []},
        ]
    )
    assert asked.conversation() == [
        ChatMessage("system", "Be kind."), ChatMessage("user", "ab", "Ada"), ChatMessage("assistant", "c"),
    ]  # fmt: skip


def test_calls_and_their_answers_reach_the_template_as_objects():
    asked = parse_chat(
        messages=[
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "on its way"},
        ]
    )
    assert asked.conversation() == [
        ChatMessage("assistant", "", None, (ToolCall("c1", "find_order", {"id": 7}),)),
        ChatMessage("tool", "on its way", None, (), "c1"),
    ]


@pytest.mark.parametrize("arguments", [" ", "7", "{", '{"a":' * 50], ids=str)
def test_arguments_that_are_no_object_are_refused(arguments):
    call = {**CALL, "function": {"name": "f", "arguments": arguments}}
    asked = parse_chat(messages=[{"role": "assistant", "tool_calls": [call]}])
    with pytest.raises(ApiError) as caught:
        asked.conversation()
    assert (caught.value.status, caught.value.param) == (400, "messages.0.tool_calls.0.function.arguments")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"model":"m","messages":' + b"[" * 100_000,
        b'{"temperature":NaN}',
        b'{"seed":' + b"9" * 10_000 + b"}", b'{"a":"\\',
        ('{"a":"\\"","b":' + "[" * 9_000).encode("utf-16"),
        b"[" * 33 + b"]" * 33, b'{"a":"' + b"[" * 50 + b'"}', b'{"a":"\\"',
    ],
    ids=lambda body: str(body[:30]),
)  # fmt: skip
def test_anything_but_a_valid_json_object_is_a_400(body):
    with pytest.raises(ApiError) as caught:
        parse_request(ChatBody, body)
    assert caught.value.status == 400


NUMBERS = ",".join("1" * 1_900_000)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param(ChatBody, '{"a":"' + '\\"' * 60_000, id="escaped-quotes-without-an-end"),
        pytest.param(ChatBody, '""' * 2_000_000, id="empty-strings"),
        pytest.param(ChatBody, '"' + "\\" * 4_000_000, id="backslashes"),
        pytest.param(ChatBody, "[]" * 2_000_000, id="brackets"),
        pytest.param(ChatBody, "]" * 4_000_000, id="ends-without-a-beginning"),
        pytest.param(CompletionBody, '{"model":"m","prompt":[' + "{}," * 1_300_000 + "{}]}", id="objects"),
        pytest.param(ChatBody, "{" + ",".join(f'"{at}":1' for at in range(350_000)) + "}", id="members"),
        pytest.param(ChatBody, '{"modalities":[' + NUMBERS + '],"model":"m","messages":[]}', id="modalities"),
        pytest.param(ChatBody, '{"messages":[{"role":"user","content":[' + NUMBERS + "]}]}", id="parts"),
        pytest.param(CompletionBody, '{"model":"m","prompt":["",' + NUMBERS + "]}", id="mixed-prompt"),
        pytest.param(CompletionBody, '{"model":"m","prompt":[' + '"a",' * 1_040_000 + '""]}', id="texts"),
    ],
)
def test_the_cost_of_a_malicious_body_is_linear_in_its_length(kind, body):
    began_s = time.process_time()
    with pytest.raises(ApiError) as caught:
        parse_request(kind, body.encode())
    assert caught.value.status == 400
    assert time.process_time() - began_s < 1, "the loop answers nobody meanwhile; before the bounds it was minutes"


@pytest.mark.parametrize(
    "text",
    ["[" * 100, '"[' * 100, "\\" * 9 + "[" * 100, '\\"' * 100 + "{" * 100, "," * 500_000, "]" * 30_000],
    ids=lambda text: text[:10],
)
def test_brackets_in_strings_do_not_count_as_structure(text):
    assert parse_chat(messages=[{**HELLO, "content": text}]).messages[0].content == text


def test_a_prompt_may_have_as_many_token_ids_as_the_longest_context():
    assert len(parse_completion(prompt=[7] * MAX_PROMPT_TOKENS).prompts[0]) == MAX_PROMPT_TOKENS
    body = b'{"model":"m","prompt":"x","stop":[' + b"1," * 1_100_000 + b"1]}"
    with pytest.raises(ApiError, match="more than 1100000 commas"):
        parse_request(CompletionBody, body)


def test_a_refusal_never_repeats_the_customer_s_text():
    with pytest.raises(ApiError) as caught:
        parse_chat(messages=[{"role": "user", "content": ["my card is 4111"]}])
    assert "4111" not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
field_names = st.sampled_from(sorted({*ChatBody.model_fields, *CompletionBody.model_fields}))


@given(fields=st.dictionaries(field_names, json_values, max_size=6), kind=st.sampled_from([ChatBody, CompletionBody]))
def test_no_body_does_worse_than_a_400(fields, kind):
    body = {"model": "m", "messages": [HELLO], "prompt": "x"} | fields
    try:
        request = parse_request(kind, json.dumps({key: body[key] for key in body if key in kind.model_fields}).encode())
        request.sampling(100)
    except ApiError as error:
        status = error.status
    else:
        status = 400
    assert status == 400
