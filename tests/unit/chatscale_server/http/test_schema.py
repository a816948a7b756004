"""Every field is honoured, ignored because it cannot change the answer, or refused with its name."""

import json

import pytest

from chatscale_contract.openai.errors import ApiError
from chatscale_server.engine.request import Sampling
from chatscale_server.http.chat_schema import ChatBody
from chatscale_server.http.handlers import DetokenizeBody, TokenizeBody
from chatscale_server.http.schema import CompletionBody, parse_request
from tests.unit.chatscale_server.http.bodies import CALL, HELLO, TOOL, parse_chat, parse_completion, refusal


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


def test_logit_bias_takes_tokens_of_the_vocabulary_only():
    for token in ("100", "x", "-1", "²", "9" * 5000, "0" * 10 + "5"):
        with pytest.raises(ApiError) as caught:
            parse_chat(logit_bias={token: 1}).sampling(100)
        assert (caught.value.status, caught.value.param) == (400, "logit_bias")


def test_a_very_low_temperature_is_greedy():
    assert parse_chat(temperature=1e-310).sampling(100).temperature == 0
