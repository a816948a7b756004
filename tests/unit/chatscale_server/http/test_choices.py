"""The official client gets every choice, every score and every call, whole and streamed."""

import asyncio
from typing import Any

import openai
import pytest

from chatscale_server.http.serve import Server
from tests.unit.chatscale_server.builders import eventually, gated_engine
from tests.unit.chatscale_server.http.scripted_engine import HELLO, TOOL, a_client, refusal


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
