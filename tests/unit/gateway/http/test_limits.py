"""Limits of keys as clients see them, and what is left of a request's reservation after any end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import openai
import pytest
from aiohttp import web

from chatscale.api.v1alpha1.routing import HoldSpec, RoutingSpec
from chatscale_contract.gateway.demand import KeyUse
from chatscale_contract.gateway.key_secret import StoredKey
from chatscale_contract.gateway.keys import KeyId, KeyPolicy, hash_key
from chatscale_gateway.http.authentication import Authentication
from chatscale_gateway.keys.key_ring import FoundKey, KeyRing
from tests.unit.gateway.http.fakes import (
    CHAT,
    Behaviour,
    Pod,
    World,
    a_gateway,
    answer,
    chat,
    end_without_done,
    eventually,
    never_answer,
    serving,
    start_stream,
    stream_for_ever,
)
from tests.unit.gateway.http.test_relay import die_in_mid_stream, reset

TOKEN = "csk-limited"
PROMPT = 9
"""Estimated tokens of `chat()`."""
LARGE = 10**6


@dataclass
class Keys:
    ring: KeyRing


@asynccontextmanager
async def limited(*pods: Pod, routing: RoutingSpec | None = None, **policy: object) -> AsyncIterator[World]:
    """A gateway whose client has a key with these limits."""
    found = FoundKey(KeyId("demo", "shop"), StoredKey(hash_key(TOKEN), KeyPolicy(**policy)))
    authentication = Authentication(Keys(KeyRing([found], "demo")))
    async with (
        a_gateway(*pods, routing=routing, authentication=authentication, response_timeout_s=0.3) as world,
        aiohttp.ClientSession(world.url, headers={"Authorization": f"Bearer {TOKEN}"}) as client,
    ):
        world.client, unused = client, world.client
        yield world
        world.client = unused


def use(world: World) -> KeyUse:
    return world.dispatcher.demand().keys["demo/shop"]


def tokens(world: World) -> tuple[int, int]:
    """Input and output tokens that were counted, when no request is open any more."""
    found = use(world)
    assert (found.concurrency, found.reserved_input, found.reserved_output) == (0, 0, 0)
    return found.spent_input, found.spent_output


async def refuse_client(_: web.Request) -> web.StreamResponse:
    return web.json_response({"error": {"message": "bad"}}, status=400)


async def fail(_: web.Request) -> web.StreamResponse:
    return web.json_response({"error": {"message": "bug"}}, status=500)


async def be_full(_: web.Request) -> web.StreamResponse:
    return web.json_response({"error": {"message": "full"}}, status=429, headers={"x-should-retry": "false"})


@pytest.mark.parametrize("streamed", [True, False])
async def test_every_answer_to_a_limited_key_has_openais_headers(streamed):
    behaviour = stream_for_ever if streamed else answer
    async with (
        serving(Pod(behaviour=behaviour)) as pod,
        limited(pod, requests_per_minute=60, output_tokens_per_minute=600) as world,
    ):
        async with world.client.post(CHAT, json=chat(stream=streamed, max_tokens=300)) as response:
            assert response.status == 200
            assert response.headers["x-ratelimit-limit-requests"] == "60"
            assert response.headers["x-ratelimit-remaining-requests"] == "59"
            left = int(response.headers["x-ratelimit-remaining-tokens"])
            assert 300 <= left < 500 if streamed else left >= 597  # an answer is settled before its headers
        async with world.client.get("/v1/models") as response:
            assert "x-ratelimit-reset-tokens" in response.headers
        async with world.client.post(CHAT, data=b"[]") as response:
            assert (response.status, response.headers["x-ratelimit-remaining-requests"]) == (400, "59")


async def test_a_key_without_limits_gets_no_such_headers():
    async with serving(Pod()) as pod, limited(pod) as world, world.client.post(CHAT, json=chat()) as response:
        assert not [name for name in response.headers if name.lower().startswith("x-ratelimit")]


async def test_promise_31_openais_client_waits_as_long_as_the_refusal_says():
    async with serving(Pod()) as pod, limited(pod, output_tokens_per_minute=600) as world:
        for status in (200, 429):
            async with world.client.post(CHAT, json=chat(max_tokens=599)) as response:
                body = await response.json()
                assert response.status == status
        assert (body["error"]["code"], body["error"]["type"]) == ("rate_limit_exceeded", "rate_limit_error")
        assert "outputTokensPerMinute is 600" in body["error"]["message"]
        assert response.headers["Retry-After"] == "1"
        assert world.lines[-1]["code"] == "rate_limit_exceeded"
        async with openai.AsyncOpenAI(api_key=TOKEN, base_url=f"{world.url}/v1", max_retries=1) as api:
            await api.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "x"}], max_tokens=598)
        assert len(pod.bodies) == 2


async def test_promise_31_a_request_larger_than_the_bucket_is_not_repeated():
    async with serving(Pod()) as pod, limited(pod, output_tokens_per_minute=600) as world:
        async with world.client.post(CHAT, json=chat(max_tokens=301, n=2)) as response:
            assert (response.status, response.headers["x-should-retry"]) == (429, "false")
        assert not pod.bodies


async def test_one_key_cannot_fill_the_memory_for_bodies():
    found = [FoundKey(KeyId("demo", name), StoredKey(hash_key(name))) for name in ("greedy", "other")]
    authentication = Authentication(Keys(KeyRing(found, "demo")))
    body = json.dumps(chat(padding="x" * 1000))
    limits = {"max_bodies_bytes": 4 * len(body), "max_body_bytes": 2 * len(body)}
    async with a_gateway(authentication=authentication, **limits) as world:

        async def send(key: str) -> int:
            async with world.client.post(CHAT, data=body, headers={"api-key": key}) as response:
                return response.status

        held = [asyncio.ensure_future(send("greedy")) for _ in range(3)]
        await eventually(lambda: world.demand().held == 3)
        assert await send("greedy") == 429
        held.append(asyncio.ensure_future(send("other")))
        await eventually(lambda: world.demand().held == 4)
        for task in held:
            task.cancel()
        await eventually(lambda: world.demand().held == 0)
        again = [asyncio.ensure_future(send("greedy")) for _ in range(3)]
        await eventually(lambda: world.demand().held == 3)
        for task in again:
            task.cancel()


async def test_scripts_of_other_origins_may_read_the_headers():
    async with serving(Pod()) as pod, a_gateway(pod, cors_origins=frozenset({"https://shop.example"})) as world:
        headers = {"Origin": "https://shop.example"}
        async with world.client.post(CHAT, json=chat(), headers=headers) as response:
            assert "x-ratelimit-remaining-tokens" in response.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    ("behaviour", "streamed", "spent"),
    [
        pytest.param(answer, True, (7, 3), id="stream"),
        pytest.param(answer, False, (7, 3), id="answer"),
        pytest.param(refuse_client, False, (0, 0), id="client error"),
        pytest.param(refuse_client, True, (0, 0), id="client error of a stream"),
        pytest.param(be_full, False, (0, 0), id="replica refuses"),
        pytest.param(fail, False, (0, 0), id="server error"),
        pytest.param(reset, False, (0, 0), id="no connection"),
        pytest.param(reset, True, (0, 0), id="no connection of a stream"),
        pytest.param(end_without_done, True, (PROMPT, 1), id="cut stream"),
        pytest.param(die_in_mid_stream, True, (PROMPT, 1), id="broken stream"),
        pytest.param(never_answer, False, (PROMPT, 0), id="no answer in time"),
    ],
)
async def test_promise_19_every_end_settles_by_the_use(behaviour: Behaviour, streamed, spent):
    async with serving(Pod(behaviour=behaviour)) as pod, limited(pod, output_tokens_per_minute=LARGE) as world:
        try:
            async with world.client.post(CHAT, json=chat(stream=streamed, max_tokens=500)) as response:
                await response.read()
        except aiohttp.ClientError:
            pass
        await eventually(lambda: use(world).concurrency == 0)
        assert tokens(world) == spent


async def test_promise_19_a_cancelled_stream_counts_what_was_streamed():
    async with serving(Pod(behaviour=stream_for_ever)) as pod, limited(pod, output_tokens_per_minute=LARGE) as world:
        async with world.client.post(CHAT, json=chat(stream=True)) as response:
            await response.content.readany()
        await eventually(lambda: use(world).concurrency == 0)
        assert tokens(world) == (PROMPT, 1)


async def test_promise_19_a_cancelled_answer_that_was_not_streamed_counts_by_its_time():
    async with serving(Pod(behaviour=never_answer)) as pod, limited(pod, output_tokens_per_minute=LARGE) as world:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.15):
                await world.client.post(CHAT, json=chat(max_tokens=500))
        await eventually(lambda: use(world).concurrency == 0)
        found = tokens(world)
        assert found[0] == PROMPT
        assert 1 <= found[1] <= 10  # 0.1 s for each token


async def test_promise_20_a_refused_request_gives_everything_back():
    routing = RoutingSpec(hold=HoldSpec(max_requests=0))
    async with limited(routing=routing, requests_per_minute=1) as world:
        for _ in range(3):
            async with world.client.post(CHAT, json=chat()) as response:
                assert (await response.json())["error"]["code"] == "hold_disabled"
        assert use(world).requests == 0


async def test_promise_21_a_place_is_free_once_a_stream_is_cancelled():
    async with serving(Pod(behaviour=stream_for_ever)) as pod, limited(pod, max_concurrency=1) as world:
        for _ in range(3):
            async with world.client.post(CHAT, json=chat(stream=True)) as response:
                assert response.status == 200
                await response.content.readany()
                async with world.client.post(CHAT, json=chat()) as second:
                    assert (second.status, second.headers["Retry-After"]) == (429, "1")
            await eventually(lambda: use(world).concurrency == 0)


async def test_promise_21_a_held_request_has_a_place_until_its_client_leaves():
    async with limited(max_concurrency=1, requests_per_minute=60) as world:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await world.client.post(CHAT, json=chat())
        await eventually(lambda: use(world).concurrency == 0)
        assert (use(world).requests, tokens(world)) == (1, (0, 0))


async def test_promises_19_and_21_any_mix_of_ends_leaves_the_use_and_no_place():
    """Streams and answers, cancels, broken replicas, retries and pods that come and go."""
    behaviours = (answer, reset, die_in_mid_stream, end_without_done, stream_for_ever, never_answer, fail, be_full)
    served = 0

    async def mixed(http: web.Request) -> web.StreamResponse:
        nonlocal served
        served += 1
        return await behaviours[served % len(behaviours)](http)

    async with (
        serving(Pod("pod-0", mixed)) as one,
        serving(Pod("pod-1", mixed)) as two,
        limited(one, two, input_tokens_per_minute=6000, output_tokens_per_minute=6000, max_concurrency=60) as world,
    ):
        started_s = asyncio.get_running_loop().time()

        async def send(number: int) -> None:
            try:
                body = chat(stream=number % 2 == 0, max_tokens=50)
                async with asyncio.timeout(0.2 + number % 5 / 10), world.client.post(CHAT, json=body) as response:
                    await response.read()
            except (aiohttp.ClientError, TimeoutError):
                pass

        async def change_pods() -> None:
            for pods in [(one,), (), (two,), (one, two)]:
                await asyncio.sleep(0.1)
                world.show(*pods)

        await asyncio.gather(change_pods(), *(send(number) for number in range(60)))
        await eventually(lambda: use(world).concurrency == 0)
        found = use(world)
        assert (found.reserved_input, found.reserved_output) == (0, 0)
        refilled = 6000 / 60 * (asyncio.get_running_loop().time() - started_s)
        assert max(0, found.spent_input - refilled) <= found.missing_input <= found.spent_input
        assert max(0, found.spent_output - refilled) <= found.missing_output <= found.spent_output
        assert found.spent_input >= sum(line["prompt_tokens"] or 0 for line in world.lines)


async def test_a_body_with_several_choices_reserves_for_all_of_them():
    async def slow(http: web.Request) -> web.StreamResponse:
        response = await start_stream(http)
        await asyncio.Event().wait()
        return response

    async with serving(Pod(behaviour=slow)) as pod, limited(pod, output_tokens_per_minute=LARGE) as world:
        task = asyncio.create_task(world.client.post(CHAT, json=chat(stream=True, n=3, max_completion_tokens=40)))
        await eventually(lambda: bool(pod.bodies))
        assert use(world).reserved_output == 120
        task.cancel()
        await eventually(lambda: use(world).concurrency == 0)


async def test_the_operator_gets_the_demand_without_keys():
    async with serving(Pod()) as pod, limited(pod, requests_per_minute=60) as world:
        async with world.client.post(CHAT, json=chat()):
            pass
        for query, keys in (("", ["demo/shop"]), ("?keys=false", [])):
            async with world.client.get(f"{world.admin_url}/demand{query}") as response:
                assert list((await response.json())["keys"]) == keys
