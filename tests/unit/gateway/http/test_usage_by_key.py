"""Usage by key: metrics and the access log count the tokens that the replicas count, whatever ends a request."""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web

from chatscale.api.v1alpha1.routing import RoutingSpec
from chatscale_contract.gateway.demand import GatewayDemand, ModelDemand
from chatscale_contract.openai import sse
from chatscale_contract.server.endpoints import CACHED_TOKENS_HEADER, PROMPT_TOKENS_HEADER
from chatscale_gateway import metrics
from chatscale_gateway.http.answer_pace import AnswerPace
from chatscale_gateway.routing.catalog import ModelKey
from chatscale_gateway.routing.outcomes import Usage
from tests.support.gateway_world import TINY, a_model
from tests.unit.gateway.http.fakes import (
    CHAT,
    Pod,
    World,
    a_gateway,
    answer,
    chat,
    chunk,
    end_without_done,
    eventually,
    never_answer,
    serving,
    stream_for_ever,
)
from tests.unit.gateway.http.test_limits import PROMPT, limited
from tests.unit.gateway.http.test_relay import die_in_mid_stream, reset

KEY = "demo/shop"
DIRECTIONS = ("prompt", "cached", "generated")


def counted(key: str = KEY) -> Counter[str]:
    """The metrics, which all tests of a process share."""
    get = metrics.REGISTRY.get_sample_value
    labels = {"model": "tiny", "namespace": "demo", "key": key}
    return Counter({way: get("gateway_tokens_total", {**labels, "direction": way}) or 0 for way in DIRECTIONS})


def logged(world: World) -> Counter[str]:
    lines = [line for line in world.lines if line["prompt_tokens"] is not None]
    return Counter({way: sum(line[f"{way}_tokens"] for line in lines) for way in DIRECTIONS})


async def ten_tokens(http: web.Request) -> web.StreamResponse:
    """The role, ten tokens, and then nothing; as the inference server streams."""
    headers = {"Content-Type": sse.CONTENT_TYPE, PROMPT_TOKENS_HEADER: "100", CACHED_TOKENS_HEADER: "60"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(http)
    role = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    await response.write(chunk(choices=[role]))
    for _ in range(10):
        await response.write(chunk())
    await asyncio.Event().wait()
    return response


async def leave_after(world: World, events: int, **fields: object) -> None:
    async with world.client.post(CHAT, json=chat(stream=True, **fields)) as response:
        for _ in range(events):
            await response.content.readuntil(b"\n\n")
        response.close()


async def test_promise_22_counts_what_the_replica_counted_though_the_client_left():
    before = counted()
    async with serving(Pod(behaviour=ten_tokens)) as pod, limited(pod) as world:
        await leave_after(world, 11)
        await eventually(lambda: len(world.lines) == 1)
        expected = {"prompt_tokens": 100, "cached_tokens": 60, "generated_tokens": 10, "key": KEY, "usage": "estimated"}
        assert expected.items() <= world.lines[0].items()
        assert counted() - before == {"prompt": 100, "cached": 60, "generated": 10}


async def test_promise_22_metrics_equal_the_sum_of_the_log_after_any_mix_of_ends():
    before = counted()
    async with serving(Pod()) as pod, limited(pod) as world:
        behaviours = (answer, ten_tokens, die_in_mid_stream, end_without_done, stream_for_ever, reset, never_answer)
        for behaviour in behaviours:
            pod.behaviour = behaviour
            for streamed in (True, False):
                with suppress(TimeoutError, OSError, aiohttp.ClientError):
                    async with asyncio.timeout(0.1), world.client.post(CHAT, json=chat(stream=streamed)) as response:
                        await response.read()
        await eventually(lambda: len(world.lines) == 2 * len(behaviours))
        assert counted() - before == +logged(world)
        assert {line["key"] for line in world.lines} == {KEY}


async def test_without_the_replicas_header_the_prompt_is_estimated():
    async with serving(Pod(behaviour=stream_for_ever)) as pod, limited(pod) as world:
        await leave_after(world, 1)
        await eventually(lambda: len(world.lines) == 1)
        line = world.lines[0]
        assert (line["prompt_tokens"], line["generated_tokens"], line["usage"]) == (PROMPT, 1, "estimated")


async def test_a_path_that_computes_no_tokens_counts_none():
    async def tokenize(http: web.Request) -> web.Response:
        return web.json_response({"tokens": [1, 2]})

    routing = RoutingSpec(extra_paths=["/tokenize"])
    async with serving(Pod(behaviour=tokenize)) as pod, limited(pod, routing=routing) as world:
        async with world.client.post("/tokenize", json=chat()) as response:
            assert response.status == 200
        assert world.lines[0]["prompt_tokens"] is None


async def test_requests_without_work_on_a_replica_count_no_tokens():
    async with serving(Pod(behaviour=reset)) as pod, limited(pod) as world:
        async with world.client.post(CHAT, json=chat()) as response:
            assert response.status == 503
        line = world.lines[0]
        assert (line["prompt_tokens"], line["usage"], line["key"]) == (None, "", KEY)


async def test_a_key_that_is_unknown_has_no_series_of_its_own():
    async with serving(Pod()) as pod, limited(pod) as world:
        async with world.client.post(CHAT, json=chat(), headers={"Authorization": "Bearer csk-x"}) as response:
            assert response.status == 401
        assert world.lines[0]["key"] == ""


async def test_the_label_is_empty_where_keys_are_off():
    before = counted("")
    async with serving(Pod()) as pod, a_gateway(pod) as world:
        async with world.client.post(CHAT, json=chat()) as response:
            assert response.status == 200
        assert (counted("") - before)["generated"] == 3


def test_keys_beyond_the_cap_share_one_label(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metrics, "_LABELLED_KEYS", set())
    labels = [metrics.key_label(f"demo/{number}") for number in range(metrics.MAX_KEYS + 2)]
    assert (len(set(labels)), labels[-1], metrics.key_label("demo/0")) == (metrics.MAX_KEYS + 1, "other", "demo/0")


def test_the_pace_of_complete_answers_estimates_one_that_was_left():
    pace = AnswerPace()
    assert pace.of(TINY) is None
    for _ in range(100):
        pace.record(TINY, Usage(10, 0, 100), 2.0)
    pace.record(TINY, Usage(10, 0, 100, estimated=True), 50.0)
    assert pace.of(TINY) == pytest.approx(0.02)
    assert pace.of(ModelKey("demo", "other")) is None


# ---- overload ----


def set_overload(world: World, pod: Pod, **overload: object) -> None:
    model = a_model()
    routing = model.routing.model_copy(
        update={"overload": type(model.routing).model_validate({"overload": overload}).overload}
    )
    small = a_model(ModelKey("demo", "small"))
    world.models = (replace(model, routing=routing), replace(small, routing=routing))
    world.show(pod, slots=8)


def another_gateway_holds(world: World, held: int) -> None:
    report = GatewayDemand("gateway-1", "i", 0, draining=False, models={str(TINY): ModelDemand(held=held)})
    world.dispatcher.peers_read({"gateway-1": report})


async def test_overload_caps_the_answer_and_says_so():
    async with serving(Pod()) as pod, a_gateway(pod, cors_origins=frozenset({"*"})) as world:
        set_overload(world, pod, heldRequests=0, maxTokens=256)
        another_gateway_holds(world, 1)
        fields, headers = {"max_tokens": 4000, "n": 2}, {"Origin": "https://shop.example"}
        async with world.client.post(CHAT, json=chat(**fields), headers=headers) as response:
            assert response.headers["X-Chatscale-Overload"] == "capped; max_tokens=256"
            assert "X-Chatscale-Overload" in response.headers["Access-Control-Expose-Headers"]
        async with world.client.post(CHAT, json=chat(max_tokens=10)) as response:
            assert "X-Chatscale-Overload" not in response.headers
        assert pod.bodies == [chat(max_tokens=256, n=2), chat(max_tokens=10)]
        assert [line["overload"] for line in world.lines] == ["capped", ""]


async def test_overload_answers_with_the_fallback_and_logs_both_models():
    async with serving(Pod()) as pod, a_gateway(pod) as world:
        set_overload(world, pod, heldRequests=0, fallback="small")
        # The pod is the small model's.
        world.models = world.models[::-1]
        world.show(pod, slots=8)
        another_gateway_holds(world, 1)
        async with world.client.post(CHAT, json=chat(stream=True)) as response:
            assert (await response.text()).endswith("[DONE]\n\n")
            assert response.headers["X-Chatscale-Overload"] == "fallback; model=small"
        assert pod.bodies[0]["model"] == "small"
        line = world.lines[0]
        assert (line["model"], line["requested_model"], line["overload"]) == ("small", "tiny", "fallback")


async def test_overload_never_sends_a_request_to_an_assistant_which_may_use_the_overloaded_model():
    async with serving(Pod()) as pod, a_gateway(pod) as world:
        set_overload(world, pod, heldRequests=0, fallback="small")
        world.models = (world.models[0], replace(world.models[1], is_assistant=True))
        world.show(pod, slots=8)
        another_gateway_holds(world, 1)
        async with world.client.post(CHAT, json=chat()) as response:
            assert "X-Chatscale-Overload" not in response.headers
        assert pod.bodies[0]["model"] == "tiny"


async def test_promise_32_overload_sends_no_request_of_a_key_that_wakes_no_model_to_a_fallback_at_0_replicas():
    async with serving(Pod()) as pod, limited(pod, wake=False) as world:
        set_overload(world, pod, heldRequests=0, fallback="small")
        world.models = (world.models[0], replace(world.models[1], replicas=0))
        world.show(pod, slots=8)
        another_gateway_holds(world, 1)
        async with world.client.post(CHAT, json=chat()) as response:
            assert response.status == 200
        assert pod.bodies[0]["model"] == "tiny"
