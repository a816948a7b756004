"""Sound fields in any mix, over a real model: answered with effect, or refused by one's name; never a 500."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatscale_server.engine.transformers_engine import TransformersEngine
from chatscale_server.settings import Dtype
from tests.unit.chatscale_server.builders import SETTINGS, a_server
from tests.unit.chatscale_server.http.test_model_answers import WITH_TOOLS
from tests.unit.chatscale_server.tiny_models import save_model

HELLO = {"role": "user", "content": "Hello"}
REPLIED = [
    HELLO,
    {"role": "assistant", "content": "Hi", "function_call": None, "reasoning": "hm", "provider_specific_fields": {}},
    {"role": "user", "content": [{"type": "text", "text": "So?", "cache_control": {"type": "ephemeral"}}]},
]
CONTINUED = [HELLO, {"role": "assistant", "content": "It"}]
TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"enum": ["yes", "no"]}}}
SHARED: dict[str, list[Any]] = {
    "max_tokens": [1, 7, 200],
    "max_length": [5, 40],
    "temperature": [0, 0.5, 2],
    "top_p": [0.1, 1],
    "top_k": [-1, 1, 1000],
    "min_p": [0, 0.2, 1],
    "presence_penalty": [-2, 1],
    "frequency_penalty": [0.5],
    "repetition_penalty": [0.01, 1.5, 100],
    "logit_bias": [{"65": 100}, {"256": -100}, {str(at): -100 for at in range(260)}],
    "seed": [0, -1, 2**63 - 1],
    "stop": ["a", ["b", "cc"], [f"{at}{at}" for at in range(16)]],
    "stop_token_ids": [[65], [66, 256]],
    "min_tokens": [0, 2, 5],
    "ignore_eos": [True, False],
    "unknown": [None],
    "n": [1, 2, 3, 4, 9],
    "num_return_sequences": [1, 2],
    "num_beams": [1, 2, 4],
    "do_sample": [True, False],
    "stream": [True, False],
    "stream_options": [{"include_usage": True}],
}
CHAT: dict[str, list[Any]] = SHARED | {
    "logprobs": [True, False],
    "top_logprobs": [0, 3, 20],
    "tools": [[TOOL]],
    "tool_choice": ["none", "auto", "required", {"type": "function", "function": {"name": "find"}}],
    "parallel_tool_calls": [True, False],
    "response_format": [{"type": "text"}, {"type": "json_object"}, SCHEMA],
    "max_completion_tokens": [3],
    "messages": [REPLIED, CONTINUED],
    "continue_final_message": [True, False],
    "add_generation_prompt": [True],
}
TEXT: dict[str, list[Any]] = SHARED | {
    "logprobs": [0, 5],
    "echo": [True, False],
    "best_of": [1, 2],
    "prompt": ["ab", ["a", "bc"], [1, 2], [[3], [4, 5]], [259], [256], ["a"] * 10],
}


def bodies(fields: dict[str, list[Any]], base: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The base with up to eight more fields, each with a value that is sound alone."""
    names = st.lists(st.sampled_from(sorted(fields)), max_size=8, unique=True)
    mixes = names.flatmap(
        lambda chosen: st.fixed_dictionaries({name: st.sampled_from(fields[name]) for name in chosen})
    )
    return mixes.map(lambda mix: {"max_tokens": 3} | base | mix if "max_length" not in mix else base | mix)


def searches() -> list[tuple[str, dict[str, Any]]]:
    """A beam search beside each value of each other field."""
    chat = {"model": "m", "messages": [HELLO], "max_tokens": 3, "num_beams": 2}
    text = {"model": "m", "prompt": "Once", "max_tokens": 3, "num_beams": 2}
    with_tools = {"tools": [TOOL]}
    return [
        ("/v1/chat/completions", chat | (with_tools if "tool" in name else {}) | {name: value})
        for name, values in CHAT.items()
        for value in values
    ] + [("/v1/completions", text | {name: value}) for name, values in TEXT.items() for value in values]


REQUESTS = st.tuples(st.just("/v1/chat/completions"), bodies(CHAT, {"model": "m", "messages": [HELLO]})) | st.tuples(
    st.just("/v1/completions"), bodies(TEXT, {"model": "m", "prompt": "Once"})
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save_model("llama", tmp_path_factory.mktemp("models") / "llama")


async def test_any_combination_of_valid_fields_is_answered_or_rejected_by_name(tiny):
    mixes: list[tuple[str, dict[str, Any]]] = []

    @settings(max_examples=200, database=None)
    @given(REQUESTS)
    def collect(mix: tuple[str, dict[str, Any]]) -> None:
        mixes.append(mix)

    collect()
    mixes += searches()
    changes: dict[str, Any] = {"model_uri": f"file://{tiny}", "dtype": Dtype.FLOAT32, "max_concurrency": 4,
                               "max_queue": 1000, "chat_template": WITH_TOOLS}  # fmt: skip
    async with a_server(TransformersEngine(SETTINGS.model_copy(update=changes)), **changes) as (server, client):

        async def ask(path: str, body: dict[str, Any]) -> int:
            async with client.post(path, json=body) as response:
                text = await response.text()
            if response.status == 200:
                check_answer(text, body)
            else:
                error = json.loads(text)["error"]
                assert (response.status, error["param"].split(".")[0] in body) == (400, True), (body, error)
            return response.status

        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(ask(path, body)) for path, body in mixes]
        assert server.bridge.in_flight == 0
        assert [task.result() for task in asked].count(200) > len(mixes) / 4


def check_answer(text: str, body: dict[str, Any]) -> None:
    """As many choices as asked for, each ended, and the usage that belongs to them."""
    wanted = body.get("n", body.get("num_return_sequences", 1))
    prompts = body.get("prompt", "")
    wanted *= len(prompts) if isinstance(prompts, list) and not isinstance(prompts[0], int) else 1
    least = body.get("min_tokens", 0)
    if body.get("stream"):
        *events, done = text.removesuffix("\n\n").split("\n\n")
        assert done == "data: [DONE]", body
        chunks = [json.loads(event.removeprefix("data: ")) for event in events]
        ends = [one["index"] for chunk in chunks for one in chunk["choices"] if one["finish_reason"]]
        assert sorted(ends) == list(range(wanted)), body
        assert bool(chunks[-1].get("usage")) == bool(body.get("stream_options"))
    else:
        answer = json.loads(text)
        assert [one["index"] for one in answer["choices"]] == list(range(wanted)), body
        assert all(one["finish_reason"] in {"stop", "length", "tool_calls"} for one in answer["choices"])
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or body["max_length"]
        assert wanted * least <= answer["usage"]["completion_tokens"] <= wanted * limit, body
        if body.get("ignore_eos") and not body.get("stop") and not body.get("stop_token_ids"):
            assert {one["finish_reason"] for one in answer["choices"]} <= {"length", "tool_calls"}, body
        for choice in answer["choices"]:
            check_effect(choice, body)


def check_effect(choice: dict[str, Any], body: dict[str, Any]) -> None:
    """The choice shows each field that can be seen in it."""
    scores = body.get("logprobs")
    assert (choice["logprobs"] is None) == (scores is None or scores is False), body
    text = choice["message"]["content"] or "" if "message" in choice else choice["text"]
    calls = choice.get("message", {}).get("tool_calls", [])
    stops = [body["stop"]] if isinstance(body.get("stop"), str) else body.get("stop", [])
    assert body.get("echo") or body.get("min_tokens") or not any(stop in text for stop in stops), body
    ended = choice["finish_reason"] != "length" and not stops and not body.get("stop_token_ids")
    tools = body.get("tools") and body.get("tool_choice") != "none"
    if tools and body.get("parallel_tool_calls") is False:
        assert len(calls) <= 1, body
    if tools and body.get("tool_choice") not in {None, "auto"}:
        assert "<tool_call>\n".startswith(text[:12]), body
        assert not ended or [call["function"]["name"] for call in calls] == ["find"], body
    match body.get("response_format", {}).get("type", "text"):
        case "json_schema":
            assert any(word.startswith(text) for word in ('"yes"', '"no"')), body
            assert not ended or json.loads(text) in {"yes", "no"}, body
        case "json_object":
            assert "{".startswith(text[:1]), body
            assert not ended or isinstance(json.loads(text), dict), body
