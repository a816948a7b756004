"""The official client drives a running server through every field that either side knows, and into every error.

The tables below are checked for completeness against the client's own signatures and our schemas, so a new
field on either side fails here until it is driven.
"""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai.resources.chat.completions import AsyncCompletions as ChatResource
from openai.resources.completions import AsyncCompletions as TextResource

from chatscale_server.engine.protocol import Engine
from chatscale_server.engine.transformers_engine import TransformersEngine
from chatscale_server.http.chat_schema import ChatBody
from chatscale_server.http.lifecycle import Phase
from chatscale_server.http.schema import CompletionBody
from chatscale_server.http.serve import Server, run_to_end
from chatscale_server.settings import Dtype
from tests.unit.chatscale_server.builders import FAST, SETTINGS, a_server, eventually, gated_engine
from tests.unit.chatscale_server.http.test_model_answers import WITH_TOOLS
from tests.unit.chatscale_server.http.test_server import FailsAtStep, FailsOnLongPrompts
from tests.unit.chatscale_server.tiny_models import save_model

HELLO: Any = [{"role": "user", "content": "Where is my order?"}]
TOOL: Any = {"type": "function", "function": {"name": "f"}}
"""Short, since the model's context is 128 bytes."""
SHARED: dict[str, Any] = {
    "max_tokens": {"max_tokens": 2}, "temperature": {"temperature": 0.7}, "top_p": {"top_p": 0.9},
    "presence_penalty": {"presence_penalty": 0.5}, "frequency_penalty": {"frequency_penalty": -0.5},
    "logit_bias": {"logit_bias": {"65": 5}}, "seed": {"seed": 7}, "stop": {"stop": ["x", "yz"]}, "n": {"n": 2},
    "stream": {"stream": True}, "user": {"user": "u-1"},
    "stream_options": {"stream": True, "stream_options": {"include_usage": True}},
}  # fmt: skip
EXTENSIONS: dict[str, Any] = {
    "top_k": {"top_k": 5}, "min_p": {"min_p": 0.1}, "repetition_penalty": {"repetition_penalty": 1.2},
    "max_length": {"max_length": 60}, "do_sample": {"do_sample": False},
    "num_return_sequences": {"num_return_sequences": 2}, "num_beams": {"num_beams": 2},
    "stop_token_ids": {"stop_token_ids": [65]}, "min_tokens": {"min_tokens": 2}, "ignore_eos": {"ignore_eos": True},
    "structured_outputs": {"structured_outputs": {"choice": ["yes", "no"]}},
    "guided_json": {"guided_json": {"const": 1}},
    "guided_regex": {"guided_regex": "[a-c]{2}"}, "guided_choice": {"guided_choice": ["yes", "no"]},
}  # fmt: skip
CHAT: dict[str, Any] = SHARED | {
    "model": {}, "messages": {}, "max_completion_tokens": {"max_completion_tokens": 2},
    "logprobs": {"logprobs": True}, "top_logprobs": {"logprobs": True, "top_logprobs": 3},
    "response_format": {"max_tokens": 60, "response_format": {"type": "json_schema", "json_schema": {
        "name": "s", "schema": {"enum": ["yes", "no"]}}}},
    "tools": {"tools": [TOOL]}, "tool_choice": {"tools": [TOOL], "tool_choice": "required", "max_tokens": 20},
    "parallel_tool_calls": {"tools": [TOOL], "parallel_tool_calls": False}, "modalities": {"modalities": ["text"]},
    "metadata": {"metadata": {"shop": "1"}}, "store": {"store": False}, "service_tier": {"service_tier": "auto"},
    "reasoning_effort": {"reasoning_effort": "low"},
    "safety_identifier": {"safety_identifier": "s"}, "prompt_cache_key": {"prompt_cache_key": "k"},
}  # fmt: skip
CHAT_IGNORED: dict[str, Any] = {
    "prompt_cache_options": {"prompt_cache_options": {}}, "prompt_cache_retention": {"prompt_cache_retention": "24h"},
}  # fmt: skip
CHAT_EXTENSIONS: dict[str, Any] = EXTENSIONS | {
    "add_generation_prompt": {"add_generation_prompt": True},
    "continue_final_message": {"continue_final_message": True,
                               "messages": [*HELLO, {"role": "assistant", "content": "It"}]},
    "chat_template_kwargs": {"chat_template_kwargs": {"reasoning_effort": "high"}},
}  # fmt: skip
CHAT_REFUSED: dict[str, Any] = {
    "audio": {"voice": "alloy", "format": "wav"}, "function_call": "auto",
    "functions": [{"name": "find", "parameters": {}}], "moderation": {}, "prediction": {"type": "content"},
    "verbosity": "low",
    "web_search_options": {},
}  # fmt: skip
TEXT: dict[str, Any] = SHARED | {
    "model": {}, "prompt": {"prompt": ["Once", "Twice"]}, "best_of": {"n": 2, "best_of": 2}, "echo": {"echo": True},
    "logprobs": {"logprobs": 3}, "suffix": {"suffix": ""},
}  # fmt: skip
TEXT_REFUSED: dict[str, Any] = {"suffix": "the end", "best_of": 3, "logprobs": 6}
OF_THE_CALL = {"self", "extra_headers", "extra_query", "extra_body", "timeout"}


def fields_of(resource: Any) -> set[str]:
    """What the client's `create` takes for the body."""
    return set(inspect.signature(resource.create).parameters) - OF_THE_CALL


def test_the_tables_below_leave_no_field_out():
    assert set(CHAT) | set(CHAT_EXTENSIONS) == set(ChatBody.model_fields)
    assert set(CHAT) | set(CHAT_IGNORED) | set(CHAT_REFUSED) == fields_of(ChatResource)
    assert set(TEXT) | set(EXTENSIONS) == set(CompletionBody.model_fields)
    assert set(TEXT) == fields_of(TextResource)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return save_model("llama", tmp_path_factory.mktemp("models") / "llama")


@asynccontextmanager
async def a_client(
    engine: Engine | None = None, *, loaded: bool = True, **changes: Any
) -> AsyncIterator[tuple[openai.AsyncOpenAI, Server]]:
    async with (
        a_server(engine, loaded=loaded, **changes) as (server, _client),
        openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client, server


@asynccontextmanager
async def a_real_client(tiny: Path) -> AsyncIterator[openai.AsyncOpenAI]:
    changes: dict[str, Any] = {"model_uri": f"file://{tiny}", "dtype": Dtype.FLOAT32, "max_concurrency": 4,
                               "chat_template": WITH_TOOLS + "{{ reasoning_effort }}"}  # fmt: skip
    async with a_client(TransformersEngine(SETTINGS.model_copy(update=changes)), **changes) as (client, _server):
        yield client


async def chat(client: openai.AsyncOpenAI, **fields: Any) -> Any:
    return await client.chat.completions.create(**{"model": "m", "messages": HELLO, "max_tokens": 3, **fields})


async def complete(client: openai.AsyncOpenAI, **fields: Any) -> Any:
    return await client.completions.create(**{"model": "m", "prompt": "Once", "max_tokens": 3, **fields})


async def error_of(call: Coroutine[Any, Any, Any]) -> openai.APIStatusError:
    """What the call raises."""
    with pytest.raises(openai.APIStatusError) as caught:
        await call
    return caught.value


async def ends(answer: Any) -> list[str]:
    """Why each choice of an answer ended, streamed or not."""
    if not isinstance(answer, openai.AsyncStream):
        return [choice.finish_reason for choice in answer.choices]
    return [c.finish_reason async for chunk in answer for c in chunk.choices if c.finish_reason]


async def test_every_field_of_a_chat_is_honoured_through_the_client(tiny):
    async with a_real_client(tiny) as client:
        for name, fields in (CHAT | CHAT_IGNORED).items():
            found = await ends(await chat(client, **fields))
            assert len(found) == fields.get("n", 1), name
            assert set(found) <= {"stop", "length", "tool_calls"}, name
        for name, fields in CHAT_EXTENSIONS.items():
            body = {"max_tokens": openai.omit} if name == "max_length" else {}
            assert await ends(await chat(client, extra_body=fields, **body)), name


async def test_every_field_of_a_completion_is_honoured_through_the_client(tiny):
    async with a_real_client(tiny) as client:
        for name, fields in TEXT.items():
            prompts = fields.get("prompt", "one")
            wanted = fields.get("n", 1) * (len(prompts) if isinstance(prompts, list) else 1)
            assert len(await ends(await complete(client, **fields))) == wanted, name
        for name, fields in EXTENSIONS.items():
            body = {"max_tokens": openai.omit} if name == "max_length" else {}
            assert await ends(await complete(client, extra_body=fields, **body)), name


async def test_every_field_that_is_not_honoured_is_refused_by_name_through_the_client():
    async with a_client() as (client, _server):
        for ask, table in ((chat, CHAT_REFUSED), (complete, TEXT_REFUSED)):
            for name, value in table.items():
                with pytest.raises(openai.BadRequestError) as caught:
                    await ask(client, **{name: value})
                assert caught.value.param == name


async def test_a_bad_request_another_model_and_another_path_have_their_exceptions():
    async with a_client() as (client, _server):
        with pytest.raises(openai.BadRequestError) as bad:
            await chat(client, temperature=9)
        assert (bad.value.param, bad.value.code, bad.value.type) == (
            "temperature", "invalid_value", "invalid_request_error"
        )  # fmt: skip
        with pytest.raises(openai.BadRequestError) as long:
            await chat(client, max_tokens=1_000_000)
        assert (long.value.param, long.value.code) == ("messages", "context_length_exceeded")
        with pytest.raises(openai.NotFoundError) as other:
            await chat(client, model="other")
        assert (other.value.param, other.value.code) == ("model", "model_not_found")
        with pytest.raises(openai.BadRequestError) as task:
            await client.embeddings.create(model="m", input="x")
        assert task.value.code == "unsupported_endpoint"
        with pytest.raises(openai.NotFoundError):
            await client.audio.speech.create(model="m", input="x", voice="alloy")


async def test_a_full_queue_is_a_rate_limit_that_the_client_waits_out():
    engine, gate = gated_engine()
    async with a_client(engine, max_concurrency=1, max_queue=0) as (client, server), asyncio.TaskGroup() as tasks:
        first = tasks.create_task(chat(client))
        await eventually(lambda: server.bridge.in_flight == 1)
        with pytest.raises(openai.RateLimitError) as full:
            await chat(client)
        assert (full.value.code, int(full.value.response.headers["Retry-After"]) >= 1) == ("queue_full", True)
        gate.open()
        assert (await first).choices[0].finish_reason == "length"


async def test_loading_and_draining_are_503_with_retry_after():
    engine, gate = gated_engine()
    gate._permits.acquire()
    async with a_client(engine, loaded=False, drain_timeout_s=100.0) as (client, server):
        with pytest.raises(openai.InternalServerError) as loading:
            await chat(client)
        gate.step()
        await eventually(lambda: server.lifecycle.phase is Phase.READY)
        async with asyncio.TaskGroup() as tasks:
            admitted = tasks.create_task(chat(client))
            await eventually(lambda: server.bridge.in_flight == 1)
            end = tasks.create_task(run_to_end(server))
            server.stop.set()
            await eventually(lambda: server.lifecycle.phase is Phase.DRAINING)
            with pytest.raises(openai.InternalServerError) as draining:
                await chat(client)
            gate.open()
            assert (await admitted).choices[0].finish_reason == "length"
            await end
    for caught, code in ((loading, "model_loading"), (draining, "draining")):
        assert (caught.value.status_code, caught.value.code) == (503, code)
        assert int(caught.value.response.headers["Retry-After"]) >= 1


async def test_a_request_that_gets_no_slot_in_time_is_a_503():
    engine, gate = gated_engine()
    async with a_client(engine, max_concurrency=1) as (client, server), asyncio.TaskGroup() as tasks:
        first = tasks.create_task(chat(client))
        await eventually(lambda: server.bridge.state(draining=False).requests_running == 1)
        late = tasks.create_task(error_of(chat(client, stream=True)))
        await eventually(lambda: server.bridge.in_flight == 2)
        server.worker.clock = lambda: time.monotonic() + SETTINGS.queue_timeout_s + 1
        gate.open()
        error = await late
        assert (type(error), error.status_code, error.code) == (openai.InternalServerError, 503, "queue_timeout")
        assert (await first).choices[0].finish_reason == "length"


async def test_a_failing_engine_is_a_500_and_within_a_stream_an_error_of_the_api():
    async with a_client(FailsAtStep(FAST)) as (client, _server):
        with pytest.raises(openai.InternalServerError) as whole:
            await chat(client)
        assert (whole.value.status_code, whole.value.code) == (500, "engine_failed")
    engine, gate = gated_engine()
    async with a_client(engine) as (client, server):
        gate.step()
        stream = await chat(client, stream=True, max_tokens=50)  # returns with the first token
        server.bridge._on_failed(RuntimeError("illegal memory access"))
        with pytest.raises(openai.APIError) as cut:
            await ends(stream)
        assert (cut.value.code, "illegal" in str(cut.value)) == ("engine_failed", False)
        gate.open()


async def test_the_client_does_not_retry_a_request_that_the_engine_cannot_compute():
    async with a_client(FailsOnLongPrompts(FAST)) as (client, server):
        with pytest.raises(openai.InternalServerError):
            await client.with_options(max_retries=3).chat.completions.create(
                model="m", messages=[{"role": "user", "content": "no " * 60}]
            )
        assert server.bridge.counts.finished["error"] == 1


async def test_a_client_that_gives_up_frees_its_slot():
    engine, gate = gated_engine()
    async with a_client(engine) as (client, server):
        with pytest.raises(openai.APITimeoutError):
            await client.with_options(timeout=httpx.Timeout(0.05, connect=5)).chat.completions.create(
                model="m", messages=HELLO
            )
        await eventually(lambda: server.bridge.counts.client_disconnects == 1)
        gate.open()
        await eventually(lambda: server.bridge.in_flight == 0)
