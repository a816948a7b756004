"""Calls and reasoning in the output become fields of the message, complete and streamed."""

import json
from dataclasses import replace
from typing import Any

from typing_extensions import override

from chatscale_contract.server.environment import ReasoningFormat
from chatscale_server.engine.protocol import NO_VARIABLES, ModelInfo
from tests.unit.chatscale_server.http.scripted_engine import FIND, HELLO, TOOL, Saying, a_client, refusal


async def test_a_call_in_the_answer_becomes_a_tool_call():
    engine = Saying(*FIND)
    async with a_client(engine) as (client, _server):
        answer = await client.chat.completions.create(model="m", messages=HELLO, tools=[TOOL], tool_choice="auto")
        choice = answer.choices[0]
        assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Let me look.")
        [call] = choice.message.tool_calls
        assert (call.type, call.function.name, json.loads(call.function.arguments)) == ("function", "find", {"id": 7})
        assert engine.tools == [TOOL]
        assert answer.usage.completion_tokens == len(FIND) + 1


async def test_a_streamed_call_comes_whole_and_nothing_of_it_is_text():
    async with a_client(Saying(*FIND)) as (client, _server):
        stream = await client.chat.completions.create(model="m", messages=HELLO, tools=[TOOL], stream=True, n=2)
        texts, calls, ends = ["", ""], [[], []], [None, None]
        async for chunk in stream:
            [choice] = chunk.choices
            texts[choice.index] += choice.delta.content or ""
            calls[choice.index] += choice.delta.tool_calls or []
            ends[choice.index] = choice.finish_reason or ends[choice.index]
        assert (texts, ends) == (["Let me look."] * 2, ["tool_calls"] * 2)
        assert [(c.index, c.function.name, c.function.arguments) for [c] in calls] == [(0, "find", '{"id": 7}')] * 2
        assert calls[0][0].id != calls[1][0].id


async def test_without_parallel_calls_the_first_one_ends_the_answer():
    async with a_client(Saying(*FIND, *FIND)) as (client, _server):
        both = await client.chat.completions.create(model="m", messages=HELLO, tools=[TOOL])
        one = await client.chat.completions.create(model="m", messages=HELLO, tools=[TOOL], parallel_tool_calls=False)
        assert [len(answer.choices[0].message.tool_calls) for answer in (both, one)] == [2, 1]
        assert one.choices[0].finish_reason == "tool_calls"


async def test_without_tools_in_the_request_a_call_is_text():
    engine = Saying(*FIND)
    async with a_client(engine) as (client, _server):
        for fields in ({}, {"tools": [TOOL], "tool_choice": "none"}):
            answer = await client.chat.completions.create(model="m", messages=HELLO, **fields)
            assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("".join(FIND), "stop")
            assert engine.tools == []


async def test_a_call_that_the_limit_cuts_is_no_content():
    async with a_client(Saying(*FIND)) as (client, _server):
        for limit, calls in ((4, []), (5, [("find", '{"id": 7}')])):
            answer = await client.chat.completions.create(model="m", messages=HELLO, tools=[TOOL], max_tokens=limit)
            [choice] = answer.choices
            found = [(call.function.name, call.function.arguments) for call in choice.message.tool_calls or ()]
            assert (choice.finish_reason, choice.message.content, found) == ("length", "Let me look.", calls)


class Thinking(Saying):
    """A model whose template opens the reasoning if `enable_thinking` is not false."""

    @override
    def load(self, phase: Any) -> ModelInfo:
        known = frozenset({"enable_thinking"})
        return replace(super().load(phase), reasoning_format=ReasoningFormat.THINK, template_variables=known)

    @override
    def encode_chat(self, messages: Any, tools: Any = (), variables: Any = NO_VARIABLES) -> list[int]:
        return [1, 1 if variables.get("enable_thinking", True) else 0]

    @override
    def decode(self, tokens: Any) -> str:
        return "<|assistant|><think>\n" if tokens[-1] else "<|assistant|>"


async def test_reasoning_is_no_content_whole_and_streamed():
    words = ("Hm", ".\n</th", "ink>\n", "\nYes", ".", *FIND[2:])
    async with a_client(Thinking(*words)) as (client, _server):
        whole = await client.chat.completions.create(model="m", messages=HELLO, tools=[TOOL])
        message = whole.choices[0].message
        assert (message.content, message.reasoning_content) == ("Yes.", "Hm.")
        assert [call.function.name for call in message.tool_calls] == ["find"]
        stream = await client.chat.completions.create(model="m", messages=HELLO, tools=[TOOL], stream=True)
        deltas = [chunk.choices[0].delta async for chunk in stream]
        assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "Hm."
        assert "".join(delta.content or "" for delta in deltas) == "Yes."


async def test_a_template_variable_turns_the_reasoning_off():
    async with a_client(Thinking("Yes.")) as (client, _server):
        for body in ({"chat_template_kwargs": {"enable_thinking": False}}, {"reasoning_effort": "none"}):
            answer = await client.chat.completions.create(model="m", messages=HELLO, extra_body=body)
            assert answer.choices[0].message.content == "Yes."
        on = await client.chat.completions.create(model="m", messages=HELLO)
        assert on.choices[0].message.reasoning_content == "Yes."
        assert await refusal(client, extra_body={"reasoning_effort": "high"}) == "reasoning_effort"


async def test_arguments_are_streamed_as_they_come():
    words = ("<tool_call>", '{"name": "find", ', '"arguments": {"id"', ": 7", "}}", "</tool_call>")
    async with a_client(Saying(*words)) as (client, _server):
        stream = await client.chat.completions.create(model="m", messages=HELLO, tools=[TOOL], stream=True)
        deltas = [chunk.choices[0].delta.tool_calls async for chunk in stream]
        calls = [call for found in deltas for call in found or ()]
        assert "".join(call.function.arguments for call in calls) == '{"id": 7}'
        assert [(call.index, call.function.name) for call in calls] == [(0, "find"), *[(0, None)] * (len(calls) - 1)]
        assert [call.id is not None for call in calls] == [True, *[False] * (len(calls) - 1)]


async def test_messages_of_tools_are_taken_where_the_template_has_them():
    call = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    turns: Any = [
        *HELLO, {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c1", "content": "sent"},
    ]  # fmt: skip
    async with a_client(Saying("It was sent.")) as (client, _server):
        answer = await client.chat.completions.create(model="m", messages=turns, tools=[TOOL])
        assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("It was sent.", "stop")
    async with a_client() as (client, _server):
        assert await refusal(client, messages=turns) == "messages.1.tool_calls"
