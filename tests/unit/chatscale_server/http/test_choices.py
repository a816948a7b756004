"""The official client gets every choice, every score and every call, whole and streamed."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import openai
import pytest
from typing_extensions import override

from chatscale_contract.server.environment import ReasoningFormat
from chatscale_server.engine.protocol import NO_VARIABLES, ModelInfo
from chatscale_server.engine.scheduler import StepPlan
from chatscale_server.engine.simulated import SimulatedEngine
from chatscale_server.http.serve import Server
from tests.unit.chatscale_server.builders import FAST, a_server, eventually, gated_engine

HELLO: Any = [{"role": "user", "content": "Where is my order?"}]
TOOL: Any = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
FIND = ("Let me", " look.\n", "<tool_", 'call>\n{"name": "find", ', '"arguments": {"id": 7}}', "\n</tool_call>")


class Saying(SimulatedEngine):
    """Says the given words, one a step, then the end token."""

    def __init__(self, *words: str) -> None:
        super().__init__(FAST)
        self._words = words
        self.tools: list[Mapping[str, Any]] = []

    @override
    def load(self, phase: Any) -> ModelInfo:
        return replace(super().load(phase), end_tokens=frozenset({99}), takes_tools=True)

    @override
    def encode_chat(self, messages: Any, tools: Any = (), variables: Any = NO_VARIABLES) -> list[int]:
        self.tools = list(tools)
        return super().encode_chat(messages)

    @override
    def decoder(self, *, marks: bool = False) -> Any:
        return self

    def push(self, token: int) -> str:
        return self._words[token]

    def flush(self) -> str:
        return ""

    @override
    def token_bytes(self, token: int) -> bytes:
        return self._words[token].encode()

    @override
    def step(self, plan: StepPlan) -> Mapping[int, int]:
        super().step(plan)
        sequences = [*plan.decodes, *(chunk.sequence for chunk in plan.chunks if chunk.last)]
        return {s.slot: s.generated if s.generated < len(self._words) else 99 for s in sequences}

    @override
    def scores(self) -> Any:
        return {}


@asynccontextmanager
async def a_client(
    engine: SimulatedEngine | None = None, **changes: object
) -> AsyncIterator[tuple[openai.AsyncOpenAI, Server]]:
    changes = {"max_concurrency": 4, **changes}
    async with (
        a_server(engine, **changes) as (server, _client),
        openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client, server


async def refusal(client: openai.AsyncOpenAI, **fields: Any) -> str | None:
    """The `param` of the 400 that the fields get."""
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(**{"model": "m", "messages": HELLO, "max_tokens": 3, **fields})
    return caught.value.param


async def test_n_choices_are_generated_together_and_the_prompt_counts_once():
    async with a_client() as (client, _server):
        one = await client.chat.completions.create(model="m", messages=HELLO, max_tokens=4)
        whole = await client.chat.completions.create(model="m", messages=HELLO, max_tokens=4, n=3, temperature=0)
        assert [choice.index for choice in whole.choices] == [0, 1, 2]
        assert {choice.message.content for choice in whole.choices} == {one.choices[0].message.content}
        assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (one.usage.prompt_tokens, 12)
        stream = await client.chat.completions.create(
            model="m", messages=HELLO, max_tokens=4, n=3, stream=True, stream_options={"include_usage": True}
        )
        texts, ends = ["", "", ""], {}
        async for chunk in stream:
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
                if choice.finish_reason:
                    ends[choice.index] = choice.finish_reason
        assert texts == [choice.message.content for choice in whole.choices]
        assert ends == {0: "length", 1: "length", 2: "length"}
        assert chunk.usage == whole.usage


async def test_choices_are_admitted_together_or_not_at_all():
    engine, gate = gated_engine()
    async with a_client(engine, max_queue=0) as (client, server):
        task = asyncio.ensure_future(client.chat.completions.create(model="m", messages=HELLO, max_tokens=3, n=2))
        await eventually(lambda: server.bridge.in_flight == 2)
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model="m", messages=HELLO, n=3)
        assert "retry-after" in caught.value.response.headers
        assert server.bridge.in_flight == 2
        gate.open()
        assert len((await task).choices) == 2


async def test_more_choices_than_the_limit_are_refused_by_the_field_that_asks():
    async with a_client() as (client, _server):
        assert await refusal(client, n=129) == "n"
        assert await refusal(client, extra_body={"num_return_sequences": 129}) == "num_return_sequences"
        for prompts, n, param in ((129, 1, "prompt"), (3, 64, "n")):
            with pytest.raises(openai.BadRequestError) as caught:
                await client.completions.create(model="m", prompt=["a"] * prompts, n=n)
            assert caught.value.param == param


async def test_more_prompts_and_choices_than_slots_are_queued_inside_and_answered_in_order():
    prompts = [f"{'long ' * at}word" for at in range(10)]
    async with a_client(max_concurrency=2, max_queue=0) as (client, server):
        alone = [await client.completions.create(model="m", prompt=text, max_tokens=3) for text in prompts]
        whole = await client.completions.create(model="m", prompt=prompts, max_tokens=3)
        assert [choice.text for choice in whole.choices] == [one.choices[0].text for one in alone]
        assert whole.usage.prompt_tokens == sum(one.usage.prompt_tokens for one in alone)
        chat = await client.chat.completions.create(model="m", messages=HELLO, max_tokens=3, n=7)
        assert [choice.index for choice in chat.choices] == [*range(7)]
        stream = await client.completions.create(model="m", prompt=prompts, max_tokens=3, stream=True)
        texts = [""] * 10
        async for chunk in stream:
            texts[chunk.choices[0].index] += chunk.choices[0].text
        assert texts == [choice.text for choice in whole.choices]
        assert server.bridge.counts.finished["length"] == 10 + 10 + 7 + 10
        assert (server.bridge.in_flight, server.bridge._held) == (0, {})


async def test_held_choices_leave_the_queue_to_others_and_are_cancelled_with_their_client():
    engine, gate = gated_engine()
    async with a_client(engine, max_concurrency=2, max_queue=1) as (client, server):
        first = asyncio.ensure_future(client.completions.create(model="m", prompt=["x"] * 9, max_tokens=3))
        await eventually(lambda: server.bridge.in_flight == 2)
        assert server.bridge.state(draining=False).queue_depth in {7, 9}
        other = asyncio.ensure_future(client.completions.create(model="m", prompt="y", max_tokens=3))
        await eventually(lambda: server.bridge.in_flight == 3)
        first.cancel()
        await eventually(lambda: server.bridge.counts.client_disconnects == 1)
        gate.open()
        assert (await other).choices[0].finish_reason == "length"
        counts = server.bridge.counts
        assert (server.bridge.in_flight, server.bridge._held) == (0, {})
        assert sum(counts.finished.values()) + sum(counts.rejected.values()) == 10
        assert counts.finished["length"] == 1


async def test_a_failure_of_one_choice_ends_the_held_ones():
    engine, gate = gated_engine()
    async with a_client(engine, max_concurrency=2) as (client, server):
        call = asyncio.ensure_future(client.completions.create(model="m", prompt=["x"] * 9, max_tokens=3))
        await eventually(lambda: server.bridge.in_flight == 2)
        server.bridge._on_failed(RuntimeError("gone"))
        with pytest.raises(openai.InternalServerError):
            await call
        assert (server.bridge.in_flight, server.bridge._held) == (0, {})
        assert server.bridge.counts.finished["error"] == 9
        gate.open()


async def test_a_leaving_client_frees_the_slots_of_all_choices():
    engine, gate = gated_engine()
    async with a_client(engine) as (client, server):
        stream = await _begun(client, server, gate)
        await stream.close()

        def step_until_free() -> bool:
            gate.step()
            return server.bridge.in_flight == 0

        await eventually(step_until_free)
        gate.open()
        assert server.bridge.counts.client_disconnects == 1
        assert server.bridge.counts.finished["cancelled"] == 3


async def _begun(client: openai.AsyncOpenAI, server: Server, gate: Any) -> Any:
    opening = asyncio.ensure_future(
        client.chat.completions.create(model="m", messages=HELLO, max_tokens=1000, n=3, stream=True)
    )
    await eventually(lambda: server.bridge.in_flight == 3)
    gate.step()
    return await opening


async def test_several_prompts_are_answered_in_their_order():
    async with a_client() as (client, _server):
        alone = [await client.completions.create(model="m", prompt=text, max_tokens=3) for text in ("Once", "Twice a")]
        both = await client.completions.create(model="m", prompt=["Once", "Twice a"], max_tokens=3, n=2)
        assert [choice.text for choice in both.choices] == [
            answer.choices[0].text for answer in alone for _ in range(2)
        ]
        assert both.usage.prompt_tokens == sum(answer.usage.prompt_tokens for answer in alone)
        tokens = await client.completions.create(model="m", prompt=[[1, 2], [3]], max_tokens=1)
        assert (len(tokens.choices), tokens.usage.prompt_tokens) == (2, 3)


async def test_echo_gives_the_prompt_first():
    async with a_client() as (client, _server):
        plain = await client.completions.create(model="m", prompt="Once upon", max_tokens=3)
        echoed = await client.completions.create(model="m", prompt="Once upon", max_tokens=3, echo=True)
        assert echoed.choices[0].text == "Once upon" + plain.choices[0].text
        assert (echoed.usage.prompt_tokens, echoed.usage.total_tokens) == (
            plain.usage.prompt_tokens, plain.usage.total_tokens,
        )  # fmt: skip
        stream = await client.completions.create(model="m", prompt="Once upon", max_tokens=3, echo=True, stream=True)
        assert "".join([chunk.choices[0].text async for chunk in stream]) == echoed.choices[0].text


async def test_scores_of_a_chat_name_each_token_whole_and_streamed():
    asked: Any = {"model": "m", "messages": HELLO, "max_tokens": 3, "logprobs": True, "top_logprobs": 2}
    async with a_client() as (client, _server):
        whole = (await client.chat.completions.create(**asked)).choices[0]
        stream = await client.chat.completions.create(**asked, stream=True)
        chunks = [chunk.choices[0] async for chunk in stream]
        scores = whole.logprobs.content
        assert "".join(score.token for score in scores) == whole.message.content
        assert [bytes(score.bytes).decode() for score in scores] == [score.token for score in scores]
        assert [score.logprob for score in scores] == [0.0] * 3
        assert [len(score.top_logprobs) for score in scores] == [2] * 3
        assert scores[0].top_logprobs[0].token == scores[0].token
        assert [score for chunk in chunks if chunk.logprobs for score in chunk.logprobs.content] == scores
        without = await client.chat.completions.create(**{**asked, "top_logprobs": None})
        assert [score.top_logprobs for score in without.choices[0].logprobs.content] == [[]] * 3
        assert (await client.chat.completions.create(model="m", messages=HELLO)).choices[0].logprobs is None


class Spelling(SimulatedEngine):
    """Notes which thread asks for the bytes of a token."""

    def __init__(self) -> None:
        super().__init__(FAST)
        self.threads: list[int] = []

    @override
    def token_bytes(self, token: int) -> bytes:
        self.threads.append(threading.get_ident())
        return super().token_bytes(token)


async def test_a_large_whole_answer_is_built_once_and_off_the_loop():
    engine = Spelling()
    async with a_client(engine) as (client, _server):
        chat = await client.chat.completions.create(
            model="m", messages=HELLO, max_tokens=60, logprobs=True, top_logprobs=2
        )
        scores = chat.choices[0].logprobs.content
        assert (len(scores), len(engine.threads)) == (60, sum(1 + len(score.top_logprobs) for score in scores))
        await client.completions.create(model="m", prompt="Once", max_tokens=60, logprobs=2)
        assert threading.get_ident() not in engine.threads


async def test_scores_of_a_completion_have_the_older_shape():
    asked: Any = {"model": "m", "prompt": "Once", "max_tokens": 3, "logprobs": 2}
    async with a_client() as (client, _server):
        choice = (await client.completions.create(**asked)).choices[0]
        scores = choice.logprobs
        assert "".join(scores.tokens) == choice.text
        assert scores.text_offset == [0, len(scores.tokens[0]), len(scores.tokens[0] + scores.tokens[1])]
        assert (scores.token_logprobs, [len(top) for top in scores.top_logprobs]) == ([0.0] * 3, [2] * 3)
        assert [top[token] for top, token in zip(scores.top_logprobs, scores.tokens, strict=True)] == [0.0] * 3
        stream = await client.completions.create(**asked, stream=True)
        chunks = [chunk.choices[0].logprobs async for chunk in stream if chunk.choices[0].logprobs]
        assert [token for chunk in chunks for token in chunk.tokens] == scores.tokens
        assert [offset for chunk in chunks for offset in chunk.text_offset] == scores.text_offset
        chosen = (await client.completions.create(**{**asked, "logprobs": 0})).choices[0].logprobs
        assert chosen.top_logprobs == [{token: 0.0} for token in scores.tokens]


async def test_max_length_counts_prompt_and_answer():
    async with a_client() as (client, _server):
        answer = await client.chat.completions.create(model="m", messages=HELLO, extra_body={"max_length": 15})
        assert (answer.usage.total_tokens, answer.choices[0].finish_reason) == (15, "length")
        assert await refusal(client, max_tokens=None, extra_body={"max_length": 11}) == "max_length"
        assert await refusal(client, max_tokens=None, extra_body={"max_length": 10_000}) == "messages"


async def test_fields_that_the_simulated_engine_does_not_support_are_rejected():
    async with a_client() as (client, _server):
        assert await refusal(client, tools=[TOOL]) == "tools"
        assert await refusal(client, response_format={"type": "json_object"}) == "response_format"
        assert await refusal(client, extra_body={"num_beams": 2}) == "num_beams"


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


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        pytest.param({"prompt": "Where?"}, (200, 3), id="prompt"),
        pytest.param({"messages": HELLO}, (200, 11), id="messages"),
        pytest.param({"model": "m", "prompt": ""}, (200, 1), id="nothing-is-one-token-here"),
        pytest.param({"model": "other", "prompt": "x"}, (404, "model"), id="other-model"),
        pytest.param({}, (400, "prompt"), id="neither"),
        pytest.param({"prompt": "x", "messages": HELLO}, (400, "prompt"), id="both"),
        pytest.param({"prompt": "x", "tools": [TOOL]}, (400, "tools"), id="tools-of-a-prompt"),
        pytest.param({"messages": HELLO, "tools": [TOOL]}, (400, "tools"), id="no-tools-here"),
        pytest.param(
            {"messages": HELLO, "chat_template_kwargs": {"enable_thinking": False}}, (200, 11), id="variables"
        ),
        pytest.param(
            {"messages": HELLO, "chat_template_kwargs": {"tokenize": True}},
            (400, "chat_template_kwargs.tokenize"),
            id="a-variable-of-the-server",
        ),
        pytest.param(
            {"prompt": "x", "chat_template_kwargs": {"a": 1}}, (400, "chat_template_kwargs"), id="variables-of-a-prompt"
        ),
        pytest.param({"messages": HELLO, "reasoning_effort": "low"}, (400, "reasoning_effort"), id="no-effort-here"),
        pytest.param({"prompt": "x", "reasoning_effort": "low"}, (400, "reasoning_effort"), id="effort-of-a-prompt"),
        pytest.param({"messages": []}, (400, "messages"), id="no-messages"),
        pytest.param({"prompt": "x", "add_special_tokens": False}, (400, "add_special_tokens"), id="not-as-generated"),
        pytest.param({"prompt": "x", "x": 1}, (400, "x"), id="unknown"),
    ],
)
async def test_tokenize_counts_what_a_request_would_cost(body, answer):
    async with a_server() as (_server, client), client.post("/tokenize", json=body) as response:
        found = await response.json()
        if response.status == 200:
            assert found == {"count": answer[1], "max_model_len": 8192, "tokens": found["tokens"], "token_strs": None}
            assert len(found["tokens"]) == found["count"]
        else:
            assert (response.status, found["error"]["param"]) == answer


async def test_detokenize_gives_the_text_of_tokens():
    async with a_server() as (_server, client):
        async with client.post("/detokenize", json={"tokens": [0, 1, 2]}) as response:
            assert (response.status, await response.json()) == (200, {"prompt": "Thank you for "})
        async with client.post("/detokenize", json={"tokens": [2**31]}) as response:
            assert (response.status, (await response.json())["error"]["param"]) == (400, "tokens")


async def test_tokenize_needs_no_slot_and_waits_for_the_model():
    engine, gate = gated_engine()
    async with a_server(engine, max_concurrency=1, max_queue=0) as (server, client):
        task = asyncio.ensure_future(client.post("/v1/completions", json={"model": "m", "prompt": "x"}))
        await eventually(lambda: server.bridge.in_flight == 1)
        async with client.post("/tokenize", json={"prompt": "x"}) as response:
            assert response.status == 200
        gate.open()
        assert (await task).status == 200
    async with a_server(gated_engine()[0]) as (server, client):
        server.bridge.info = None
        async with client.post("/tokenize", json={"prompt": "x"}) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (503, "model_loading")
