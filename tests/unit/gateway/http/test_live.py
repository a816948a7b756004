"""The live state as clients get it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import aiohttp
import pytest

from chatscale_contract.gateway.key_secret import StoredKey
from chatscale_contract.gateway.keys import KeyId, KeyPolicy, hash_key
from chatscale_contract.gateway.live import LiveSnapshot
from chatscale_contract.openai.errors import ApiError
from chatscale_gateway.http.authentication import Authentication
from chatscale_gateway.http.live import LiveFeed
from chatscale_gateway.keys.key_ring import FoundKey, KeyRing
from chatscale_gateway.routing.catalog import ModelKey
from tests.support.gateway_pods import until
from tests.support.gateway_world import a_model
from tests.unit.gateway.http.fakes import CHAT, OPTIONS, USAGE, Pod, World, a_gateway, chat, serving, stream_for_ever

DATA, STREAM = "/live/data", "/live/stream"
MODELS = (
    a_model(ModelKey("demo", "tiny"), replicas=0),
    a_model(ModelKey("shop", "secret"), replicas=0),
)


def a_key(token: str, namespace: str, *, is_live: bool = True, **policy) -> FoundKey:
    return FoundKey(KeyId(namespace, token), StoredKey(hash_key(token), KeyPolicy(live=is_live, **policy)))


KEYS = (a_key("all", "system"), a_key("demo", "demo"), a_key("chat", "system", is_live=False))


@dataclass
class Keys:
    ring: KeyRing | None


@asynccontextmanager
async def a_live_gateway(*pods: Pod, keys: Keys | None = None, **options) -> AsyncIterator[World]:
    authentication = Authentication(keys or Keys(KeyRing(KEYS, "system")))
    async with a_gateway(*pods, models=MODELS, authentication=authentication, **options) as world:
        yield world


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def next_event(response: aiohttp.ClientResponse) -> dict:
    async with asyncio.timeout(10):
        while line := await response.content.readline():
            if line.startswith(b"data: "):
                return json.loads(line.removeprefix(b"data: "))
    raise EOFError


@pytest.mark.parametrize("path", [DATA, STREAM])
@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        pytest.param({}, 401, "invalid_api_key", id="no key"),
        pytest.param(bearer("wrong"), 401, "invalid_api_key", id="a wrong key"),
        pytest.param(bearer("chat"), 403, "live_not_allowed", id="a key without live"),
    ],
)
async def test_needs_a_key_with_live(path, headers, status, code):
    async with a_live_gateway() as world, world.client.get(path, headers=headers) as response:
        assert response.status == status
        assert (await response.json())["error"]["code"] == code


async def test_a_key_sees_only_the_models_that_it_opens():
    async with a_live_gateway() as world:
        for token, models in (("all", ["demo/tiny", "shop/secret"]), ("demo", ["demo/tiny"])):
            async with world.client.get(DATA, headers=bearer(token)) as response:
                assert response.headers["Cache-Control"] == "no-store"
                snapshot = LiveSnapshot.from_json(await response.json())
            assert [model.key for model in snapshot.models] == models
            async with world.client.get(STREAM, headers=bearer(token)) as response:
                assert response.headers["Content-Type"] == "text/event-stream"
                assert [model["name"] for model in (await next_event(response))["models"]] == [
                    model.partition("/")[2] for model in models
                ]


async def test_without_keys_everybody_may_look():
    async with a_gateway(models=MODELS) as world, world.client.get(DATA) as response:
        assert response.status == 200
        assert len((await response.json())["models"]) == 2


async def test_looking_wakes_no_model_and_is_no_demand_and_no_usage():
    async with a_live_gateway() as world:
        before = world.dispatcher.demand()
        async with world.client.get(STREAM, headers=bearer("all")) as response:
            await next_event(response)
            async with world.client.get(DATA, headers=bearer("all")) as data:
                assert data.status == 200
            assert world.dispatcher.demand() == before
        await asyncio.sleep(0)
        assert all(line["usage"] == "" and line["model"] == "" for line in world.lines)


async def test_the_stream_brings_a_new_snapshot_each_second():
    async with a_live_gateway() as world, world.client.get(STREAM, headers=bearer("all")) as response:
        began_s = time.monotonic()
        times = [(await next_event(response))["time"] for _ in range(3)]
        assert times == sorted(set(times))
        assert 1.0 < time.monotonic() - began_s < 4.0


async def test_shows_tokens_and_latencies_of_answers():
    async with serving(Pod()) as pod, a_gateway(pod) as world:
        async with world.client.post(CHAT, json=chat(stream=True)) as response:
            await response.read()
        async with world.client.get(STREAM) as response:
            await next_event(response)
            model = (await next_event(response))["models"][0]
        assert model["replicas"] == {"wanted": 1, "starting": 0, "ready": 1, "draining": 0}
        assert (model["ttft"]["samples"], model["ttft"]["slo_s"]) == (1, 2.0)
        assert 0 < model["ttft"]["p50_s"] == model["ttft"]["p95_s"] < 2
        assert 0 < model["generated_tokens_per_s"] < model["prompt_tokens_per_s"]


async def test_tokens_are_counted_while_they_pass_and_stay_when_the_client_leaves():
    async with serving(Pod(behaviour=stream_for_ever)) as pod, a_gateway(pod) as world:
        async with world.client.post(CHAT, json=chat(stream=True)) as response:
            await response.content.readany()
            await until(lambda: world.demand().passed_tokens == 1)
            assert world.demand().generated_tokens == 0
        await until(lambda: world.demand().in_flight == 0)
        assert world.demand().passed_tokens == 1


async def test_the_count_of_the_replica_replaces_the_events_that_passed():
    async with serving(Pod()) as pod, a_gateway(pod) as world:
        for stream in (True, False):
            async with world.client.post(CHAT, json=chat(stream=stream)) as response:
                await response.read()
        assert world.demand().passed_tokens == world.demand().generated_tokens == 2 * USAGE["completion_tokens"]


class CountedSource:
    def __init__(self) -> None:
        self.computed = 0

    def sample(self) -> None:
        pass

    def snapshot(self) -> LiveSnapshot:
        self.computed += 1
        return LiveSnapshot(datetime(2026, 11, 27, tzinfo=UTC), "gateway-0", 1, 15.0)


async def test_all_viewers_of_a_second_share_one_computation():
    source = CountedSource()
    feed = LiveFeed(source, OPTIONS)
    assert feed.frame() is feed.frame()
    assert source.computed == 1


async def test_refuses_more_viewers_than_it_can_serve():
    async with a_live_gateway(max_live_viewers=1) as world, world.client.get(STREAM, headers=bearer("all")) as first:
        await next_event(first)
        async with world.client.get(STREAM, headers=bearer("all")) as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "10")
            assert (await response.json())["error"]["code"] == "too_many_viewers"


async def test_a_viewer_that_left_takes_no_place():
    feed = LiveFeed(CountedSource(), replace(OPTIONS, max_live_viewers=1))
    for _ in range(3):
        with feed.viewing(None):
            pass


async def test_one_key_cannot_take_the_places_of_the_others():
    options = {"max_live_viewers": 3, "max_live_viewers_per_key": 1}
    async with a_live_gateway(**options) as world, world.client.get(STREAM, headers=bearer("all")) as first:
        await next_event(first)
        async with world.client.get(STREAM, headers=bearer("all")) as response:
            assert response.status == 429
            assert "with the API key system/all" in (await response.json())["error"]["message"]
        async with world.client.get(STREAM, headers=bearer("demo")) as other:
            await next_event(other)


async def test_without_keys_viewers_share_all_places():
    feed = LiveFeed(CountedSource(), replace(OPTIONS, max_live_viewers=2, max_live_viewers_per_key=1))
    with feed.viewing(None), feed.viewing(None), pytest.raises(ApiError, match="2 viewers"), feed.viewing(None):
        pass


async def test_a_stream_ends_at_shutdown_and_another_one_does_not_begin():
    async with a_live_gateway() as world, world.client.get(STREAM, headers=bearer("all")) as response:
        await next_event(response)
        began_s = time.monotonic()
        async with world.client.get(DATA, headers=bearer("all")) as other:
            assert other.status == 200
            await world.gateway.lifecycle.drain()
        assert time.monotonic() - began_s < 3
        while True:
            try:
                await next_event(response)
            except EOFError:
                break


async def test_a_stream_ends_when_its_key_is_revoked():
    keys = Keys(KeyRing(KEYS, "system"))
    async with (
        a_live_gateway(keys=keys, live_key_check_s=0.0, live_period_s=0.05) as world,
        world.client.get(STREAM, headers=bearer("all")) as response,
    ):
        keys.ring = KeyRing((), "system")
        while "error" not in (event := await next_event(response)):
            pass
        assert event["error"]["code"] == "invalid_api_key"
        with pytest.raises(EOFError):
            await next_event(response)


async def test_a_stream_follows_a_key_that_is_narrowed():
    keys = Keys(KeyRing(KEYS, "system"))
    async with (
        a_live_gateway(keys=keys, live_key_check_s=0.0, live_period_s=0.05) as world,
        world.client.get(STREAM, headers=bearer("all")) as response,
    ):
        assert len((await next_event(response))["models"]) == 2
        keys.ring = KeyRing([a_key("all", "system", models=("demo/tiny",))], "system")
        while len((event := await next_event(response))["models"]) == 2:
            pass
        assert [model["name"] for model in event["models"]] == ["tiny"]
        keys.ring = KeyRing([a_key("all", "system", is_live=False)], "system")
        while "error" not in (event := await next_event(response)):
            pass
        assert event["error"]["code"] == "live_not_allowed"


async def test_a_viewer_that_leaves_is_no_client_that_left():
    async with a_live_gateway() as world:
        async with world.client.get(STREAM, headers=bearer("all")) as response:
            await next_event(response)
        await until(lambda: any(line["path"] == STREAM for line in world.lines))
        lines = [line for line in world.lines if line["path"] == STREAM]
        assert [(line["status"], line["outcome"], line["key"]) for line in lines] == [(200, "completed", "system/all")]


async def test_serves_under_the_path_prefix():
    async with (
        a_live_gateway(path_prefix="/llm") as world,
        world.client.get("/llm" + DATA, headers=bearer("all")) as response,
    ):
        assert response.status == 200
