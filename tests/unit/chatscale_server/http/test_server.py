"""The real application over the Simulated engine: answers, refusals, cancellation, drain."""

import asyncio
import io
import json
import time

import aiohttp
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families
from typing_extensions import override

from chatscale_contract.server.endpoints import CACHED_TOKENS_HEADER, PROMPT_TOKENS_HEADER
from chatscale_contract.server.exit_codes import ExitCode
from chatscale_contract.server.load import ReplicaLoad
from chatscale_contract.server.metrics import Metric
from chatscale_server.engine.simulated import SimulatedEngine
from chatscale_server.errors import StartupError
from chatscale_server.http.bridge import STUCK_AFTER_S
from chatscale_server.http.lifecycle import Phase
from chatscale_server.http.serve import run_to_end
from tests.unit.chatscale_server.builders import FAST, SETTINGS, a_server, chat, eventually, gated_engine


async def events(response: aiohttp.ClientResponse) -> list[object]:
    """Payloads of an event stream; `[DONE]` as it is."""
    lines = (await response.read()).decode().split("\n\n")
    payloads = [line.removeprefix("data: ") for line in lines if line]
    return [payload if payload == "[DONE]" else json.loads(payload) for payload in payloads]


async def gauges(client: aiohttp.ClientSession) -> dict[str, float]:
    """The own metrics without labels of their own, by name."""
    async with client.get("/metrics") as response:
        assert response.status == 200
        return own_gauges(await response.text())


def own_gauges(exposition: str) -> dict[str, float]:
    """The same, of an answer that is in hand."""
    families = text_string_to_metric_families(exposition)
    own = {"model_name": "m", "chatmodel": "c"}
    return {s.name: s.value for family in families for s in family.samples if s.labels == own}


async def test_answers_a_chat():
    async with a_server() as (_server, client), client.post("/v1/chat/completions", json=chat()) as response:
        body = await response.json()
        assert response.status == 200
        assert body == {
            "id": body["id"], "object": "chat.completion", "created": body["created"], "model": "m",
            "choices": [{
                "index": 0, "message": {"role": "assistant", "content": body["choices"][0]["message"]["content"],
                                        "refusal": None}, "logprobs": None, "finish_reason": "length",
            }],
            "usage": {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16,
                      "prompt_tokens_details": {"cached_tokens": 0}},
        }  # fmt: skip
        assert len(body["choices"][0]["message"]["content"].split()) == 5


async def test_streams_role_then_text_then_reason_then_usage_then_done():
    asked = chat(stream=True, stream_options={"include_usage": True}, max_tokens=2)
    async with a_server() as (_server, client), client.post("/v1/chat/completions", json=asked) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        counts = [response.headers[name] for name in (PROMPT_TOKENS_HEADER, CACHED_TOKENS_HEADER)]
        *chunks, usage, done = await events(response)
    assert counts == [str(usage["usage"]["prompt_tokens"]), "0"]
    deltas = [(chunk["choices"][0]["delta"], chunk["choices"][0]["finish_reason"]) for chunk in chunks]
    assert deltas[0] == ({"role": "assistant", "content": ""}, None)
    assert deltas[-1] == ({}, "length")
    assert len("".join(delta["content"] for delta, _ in deltas[1:-1]).split()) == 2
    assert (usage["choices"], usage["usage"]["completion_tokens"], done) == ([], 2, "[DONE]")
    assert {chunk["object"] for chunk in (*chunks, usage)} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in (*chunks, usage)}) == 1


async def test_a_stream_and_a_whole_answer_say_the_same():
    async with a_server() as (_server, client):
        async with client.post("/v1/chat/completions", json=chat(max_tokens=50)) as response:
            whole = (await response.json())["choices"][0]["message"]["content"]
        async with client.post("/v1/chat/completions", json=chat(max_tokens=50, stream=True)) as response:
            chunks = [event for event in await events(response) if event != "[DONE]"]
        assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == whole


@pytest.mark.parametrize(
    ("body", "status", "param", "code"),
    [
        pytest.param(b"{", 400, None, None, id="not-json"),
        pytest.param(chat(model="other"), 404, "model", "model_not_found", id="unknown-model"),
        pytest.param(chat(n=129), 400, "n", "invalid_value", id="more-choices-than-the-limit"),
        pytest.param(chat(num_beams=3), 400, "num_beams", "unsupported_value", id="unsupported"),
        pytest.param(chat(max_tokens=8190), 400, "messages", "context_length_exceeded", id="too-long"),
        pytest.param(b'{"a":"' + b"x" * 5_000_000 + b'"}', 413, None, "body_too_large", id="too-large"),
    ],
)
async def test_refusals_have_openai_s_shape(body, status, param, code):
    async with a_server() as (_server, client):
        data = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
        async with client.post("/v1/chat/completions", data=data) as response:
            error = (await response.json())["error"]
            assert (response.status, error) == (
                status, {"message": error["message"], "type": "invalid_request_error", "param": param, "code": code},
            )  # fmt: skip


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_that_is_not_what_its_headers_say_is_a_400(encoding):
    async with a_server() as (_server, client):
        headers = {"Content-Encoding": encoding}
        async with client.post("/v1/completions", data=b"not packed", headers=headers) as response:
            assert (response.status, (await response.json())["error"]["type"]) == (400, "invalid_request_error")


class Overfull(SimulatedEngine):
    """Its tokenizer knows a token that its model does not."""

    @override
    def encode(self, text):
        return [1, 2**31]


async def test_a_token_that_the_model_does_not_have_is_rejected_before_any_step():
    async with a_server(Overfull(FAST)) as (_server, client):
        status, _headers, body = await _post(client)
        assert (status, body["error"]["param"]) == (400, "messages")


async def test_unknown_paths_and_methods_have_openai_s_shape_too():
    async with a_server() as (_server, client):
        async with client.get("/v1/nothing") as response:
            assert (response.status, (await response.json())["error"]["code"]) == (404, "not_found")
        async with client.get("/v1/chat/completions") as response:
            assert (response.status, response.headers["Allow"]) == (405, "POST")
            assert (await response.json())["error"]["code"] == "method_not_allowed"


async def test_the_official_client_reads_every_answer():
    async with a_server() as (server, _client):
        base = f"http://127.0.0.1:{server.port}/v1"
        async with openai.AsyncOpenAI(base_url=base, api_key="none", max_retries=0) as client:
            assert [model.id async for model in client.models.list()] == ["m"]
            message = [{"role": "user", "content": "Where is my order?"}]
            whole = await client.chat.completions.create(model="m", messages=message, max_completion_tokens=3)
            assert (whole.choices[0].finish_reason, whole.usage.completion_tokens) == ("length", 3)
            stream = await client.chat.completions.create(
                model="m", messages=message, max_tokens=3, stream=True, stream_options={"include_usage": True}
            )
            chunks = [chunk async for chunk in stream]
            assert (
                "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
                == whole.choices[0].message.content
            )
            assert chunks[-1].usage.total_tokens == whole.usage.total_tokens
            text = await client.completions.create(model="m", prompt="Once", stop="\n", seed=1)
            assert (text.usage.completion_tokens, text.choices[0].finish_reason) == (16, "length")
            pieces = [p async for p in await client.completions.create(model="m", prompt=[1, 2], stream=True)]
            assert len("".join(piece.choices[0].text for piece in pieces).split()) == 16
            with pytest.raises(openai.NotFoundError):
                await client.chat.completions.create(model="other", messages=message)
            with pytest.raises(openai.BadRequestError) as caught:
                await client.chat.completions.create(model="m", messages=message, n=129)
            assert caught.value.param == "n"


async def test_a_full_queue_answers_429_with_retry_after_and_stays_ready():
    engine, gate = gated_engine()
    async with a_server(engine, max_concurrency=1, max_queue=1) as (server, client), asyncio.TaskGroup() as tasks:
        admitted = [tasks.create_task(_post(client)) for _ in range(2)]
        await eventually(lambda: server.bridge.in_flight == 2)
        status, headers, body = await _post(client)
        assert (status, headers["Retry-After"], body["error"]["code"]) == (429, "5", "queue_full")
        assert body["error"]["type"] == "rate_limit_error"
        async with client.get("/readyz") as response:
            assert response.status == 200
        await eventually(lambda: server.bridge.state(draining=False).requests_running == 1)
        found = await gauges(client)
        assert (found[Metric.QUEUE_DEPTH], found[Metric.REQUESTS_RUNNING]) == (1, 1), "in its first step it has a slot"
        gate.open()
        assert [(await task)[0] for task in admitted] == [200, 200]


async def _post(client: aiohttp.ClientSession, **fields: object):
    async with client.post("/v1/chat/completions", json=chat(**fields)) as response:
        return response.status, response.headers, await response.json()


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_client_that_leaves_frees_its_slot(stream):
    engine, gate = gated_engine()
    async with a_server(engine, max_concurrency=1) as (server, client):
        task = asyncio.create_task(_read_all(client, chat(max_tokens=4000, stream=stream)))
        await eventually(lambda: server.bridge.in_flight == 1)
        gate.step()
        await eventually(lambda: server.bridge.counts.generated_tokens == 1)
        task.cancel()
        await asyncio.wait([task])
        await eventually(lambda: server.bridge.counts.client_disconnects == 1)
        gate.step()
        gate.step()
        await eventually(lambda: server.bridge.in_flight == 0)
        assert server.bridge.counts.finished["cancelled"] == 1
        assert server.bridge.counts.generated_tokens < 5
        gate.open()
        assert (await _post(client))[0] == 200


async def _read_all(client: aiohttp.ClientSession, body: object) -> bytes:
    async with client.post("/v1/chat/completions", json=body) as response:
        return await response.read()


async def test_a_request_that_waits_too_long_for_a_slot_gets_503():
    engine, gate = gated_engine()
    async with a_server(engine, max_concurrency=1) as (server, client), asyncio.TaskGroup() as tasks:
        first = tasks.create_task(_post(client, max_tokens=3))
        await eventually(lambda: server.bridge.state(draining=False).requests_running == 1)
        late = tasks.create_task(_post(client, stream=True))
        await eventually(lambda: server.bridge.in_flight == 2)
        server.worker.clock = lambda: time.monotonic() + SETTINGS.queue_timeout_s + 1
        gate.open()
        status, headers, body = await late
        assert (status, body["error"]["code"], int(headers["Retry-After"]) >= 1) == (503, "queue_timeout", True)
        assert (await first)[0] == 200


async def test_http_answers_while_the_model_is_loading():
    engine, gate = gated_engine()
    gate._permits.acquire()
    async with a_server(engine, loaded=False) as (server, client):
        statuses = {}
        for path in ("/livez", "/readyz", "/load", "/metrics", "/v1/models"):
            async with client.get(path) as response:
                statuses[path] = response.status
        assert statuses == {"/livez": 200, "/readyz": 503, "/load": 200, "/metrics": 200, "/v1/models": 200}
        status, headers, body = await _post(client)
        assert (status, headers["Retry-After"], body["error"]["code"]) == (503, "5", "model_loading")
        assert (await gauges(client))[Metric.SLOTS] == 2
        gate.open()
        await eventually(lambda: server.lifecycle.phase is Phase.READY)


async def test_drain_serves_on_then_refuses_then_finishes_what_was_admitted():
    engine, gate = gated_engine()
    async with a_server(engine, drain_delay_s=0.2) as (server, client), asyncio.TaskGroup() as tasks:
        end = tasks.create_task(run_to_end(server))
        early = tasks.create_task(_read_all(client, chat(stream=True)))
        await eventually(lambda: server.bridge.in_flight == 1)
        server.stop.set()
        await eventually(lambda: server.lifecycle.phase is Phase.LEAVING)
        async with client.get("/readyz") as response:
            assert (response.status, response.headers["Connection"]) == (503, "close")
        during = tasks.create_task(_read_all(client, chat(stream=True)))
        await eventually(lambda: server.bridge.in_flight == 2)
        await eventually(lambda: server.lifecycle.phase is Phase.DRAINING)
        status, headers, body = await _post(client)
        assert (status, headers["Retry-After"], body["error"]["code"]) == (503, "1", "draining")
        assert (await gauges(client))[Metric.DRAINING] == 1
        async with client.get("/livez") as response:
            assert response.status == 200
        assert not end.done()
        gate.open()
        assert (await early).endswith(b"data: [DONE]\n\n")
        assert (await during).endswith(b"data: [DONE]\n\n")
        await end


async def test_streams_still_open_at_the_drain_deadline_end_with_an_error_event():
    engine, gate = gated_engine()
    async with a_server(engine, drain_timeout_s=0.05) as (server, client), asyncio.TaskGroup() as tasks:
        stream = tasks.create_task(_read_all(client, chat(stream=True)))
        await eventually(lambda: server.bridge.in_flight == 1)
        gate.step()
        await eventually(lambda: server.bridge.counts.generated_tokens == 1)
        server.stop.set()
        await run_to_end(server)
        assert json.loads((await stream).split(b"\n\n")[-2].removeprefix(b"data: "))["error"]["code"] == "draining"
        gate.open()


async def test_an_idle_server_leaves_after_the_delay_alone():
    async with a_server(drain_timeout_s=100.0) as (server, _client):
        server.stop.set()
        await asyncio.wait_for(run_to_end(server), 5)


class FailsAtStep(SimulatedEngine):
    """Breaks as soon as it has work."""

    @override
    def step(self, plan):
        raise RuntimeError("illegal memory access")


class FailsOnLongPrompts(SimulatedEngine):
    """Cannot compute prompts from 50 tokens on."""

    @override
    def step(self, plan):
        if any(len(chunk.sequence.request.prompt) >= 50 for chunk in plan.chunks):
            raise RuntimeError("too long for this engine")
        return super().step(plan)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_that_the_engine_cannot_compute_is_a_500_without_a_retry_and_others_are_answered(stream):
    async with a_server(FailsOnLongPrompts(FAST), max_concurrency=4) as (server, client):
        bodies = [chat(stream=stream), chat(messages=[{"role": "user", "content": "no " * 60}], stream=stream)]
        bodies += [chat(stream=stream)] * 2
        responses = await asyncio.gather(*(client.post("/v1/chat/completions", json=body) for body in bodies))
        assert [response.status for response in responses] == [200, 500, 200, 200]
        bad = responses[1]
        assert (bad.headers["x-should-retry"], "Retry-After" in bad.headers) == ("false", False)
        assert (await bad.json())["error"]["code"] == "engine_failed"
        for response in (responses[0], *responses[2:]):
            assert "finish_reason" in await response.text()
        assert server.bridge.counts.finished["error"] == 1
        async with client.get("/readyz") as response:
            assert response.status == 200


async def test_an_engine_failure_ends_every_request_and_the_server():
    async with a_server(FailsAtStep(FAST)) as (server, client), asyncio.TaskGroup() as tasks:
        answers = [tasks.create_task(_post(client, stream=stream)) for stream in (True, False)]
        with pytest.raises(StartupError, match="illegal memory access") as caught:
            await run_to_end(server)
        assert caught.value.code == ExitCode.ENGINE_FAILED
        for answer in answers:
            status, _headers, body = await answer
            assert (status, body["error"]["type"]) in {(500, "server_error"), (503, "server_error")}
        async with client.get("/livez") as response:
            assert response.status == 500


async def test_a_stuck_engine_is_not_drained_and_ends_the_server_with_its_reason():
    engine, gate = gated_engine()
    async with (
        a_server(engine, drain_delay_s=100.0, drain_timeout_s=100.0) as (server, client),
        asyncio.TaskGroup() as tasks,
    ):
        answer = tasks.create_task(_post(client))
        await eventually(lambda: server.bridge.state(draining=False).requests_running == 1)
        server.bridge.clock = lambda: time.monotonic() + STUCK_AFTER_S + 1
        async with client.get("/livez") as response:
            assert response.status == 500
        server.stop.set()
        with pytest.raises(StartupError, match="the engine made no step for 60 seconds") as caught:
            await asyncio.wait_for(run_to_end(server), 10)
        assert (caught.value.code, (await answer)[0]) == (ExitCode.ENGINE_FAILED, 500)
        gate.open()


async def test_a_busy_server_responds_to_every_request_once():
    async with a_server(max_concurrency=4, max_queue=100) as (server, client), asyncio.TaskGroup() as tasks:
        asked = [(2 + at % 7, at % 2 == 0) for at in range(60)]
        answers = [tasks.create_task(_read_all(client, chat(max_tokens=n, stream=stream))) for n, stream in asked]
        await asyncio.wait(answers)
        for (count, stream), answer in zip(asked, answers, strict=True):
            if not stream:
                assert json.loads(answer.result())["usage"]["completion_tokens"] == count
            else:
                assert answer.result().endswith(b"[DONE]\n\n")
        assert server.bridge.counts.finished["length"] == 60
        assert server.bridge.counts.generated_tokens == sum(count for count, _ in asked)


async def test_reports_its_load_while_loading_and_under_load():
    engine, gate = gated_engine()
    async with a_server(engine) as (server, client), asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(ask(client))
        await eventually(lambda: server.bridge.in_flight == 3)
        async with client.get("/load") as response:
            load = ReplicaLoad.from_json(await response.json())
        assert (load.running + load.waiting, load.slots, load.draining) == (3, 2, False)
        assert server.lifecycle._open_requests == 3
        gate.open()


async def ask(client: aiohttp.ClientSession) -> int:
    async with client.post("/v1/chat/completions", json=chat()) as response:
        await response.read()
        return response.status
