"""Who a client is, and what its key opens, as clients see it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from chatscale.api.v1alpha1.routing import RoutingSpec
from chatscale_contract.gateway.key_secret import StoredKey
from chatscale_contract.gateway.keys import KeyId, KeyPolicy, hash_key
from chatscale_contract.openai.errors import ApiError
from chatscale_gateway.http.authentication import Authentication, read_token
from chatscale_gateway.keys.caller import Caller
from chatscale_gateway.keys.key_ring import FoundKey, KeyRing
from chatscale_gateway.routing.catalog import ModelKey
from tests.support.gateway_world import a_model
from tests.unit.gateway.http.fakes import CHAT, Pod, World, a_gateway, chat, serving

DEMO, SHOP, LARGE = ModelKey("demo", "tiny"), ModelKey("shop", "tiny"), ModelKey("demo", "large")
MODELS = (
    a_model(DEMO, routing=RoutingSpec(aliases=["gpt-4o"], extra_paths=["/tokenize"]), served_name="org/tiny"),
    a_model(SHOP, routing=RoutingSpec(aliases=["gpt-4o", "shop-only"], extra_paths=["/score"]), served_name="org/tiny"),
    a_model(LARGE, routing=RoutingSpec(aliases=["big"]), served_name="org/large"),
)
DEMO_KEY, SHOP_KEY, TINY_KEY, ALL_KEY = "csk-demo", "csk-shop", "csk-tiny", "csk-all"


@dataclass
class Keys:
    ring: KeyRing | None


def a_key(token: str, namespace: str, **policy) -> FoundKey:
    return FoundKey(KeyId(namespace, token), StoredKey(hash_key(token), KeyPolicy(**policy)))


def keys() -> Keys:
    found = [
        a_key(DEMO_KEY, "demo"),
        a_key(SHOP_KEY, "shop"),
        a_key(TINY_KEY, "demo", models=frozenset({"tiny"})),
        a_key(ALL_KEY, "system"),
    ]
    return Keys(KeyRing(found, "system"))


@asynccontextmanager
async def a_guarded_gateway(*pods: Pod, source: Keys | None = None, **options) -> AsyncIterator[World]:
    authentication = Authentication(source or keys())
    async with a_gateway(*pods, models=MODELS, authentication=authentication, **options) as world:
        yield world


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(bearer(DEMO_KEY), id="bearer"),
        pytest.param({"authorization": f"bearer  {DEMO_KEY} "}, id="another case"),
        pytest.param({"x-api-key": DEMO_KEY}, id="x-api-key"),
        pytest.param({"Api-Key": DEMO_KEY}, id="api-key"),
        pytest.param({**bearer(DEMO_KEY), "x-api-key": DEMO_KEY}, id="the same key twice"),
        pytest.param({"Authorization": "Basic dTpw", "x-api-key": DEMO_KEY}, id="basic authentication of an ingress"),
    ],
)
async def test_takes_a_key_from_the_headers_that_clients_use(headers):
    async with serving(Pod()) as pod, a_guarded_gateway(pod) as world:
        async with world.client.post(CHAT, json=chat(), headers=headers) as response:
            assert response.status == 200
        assert not {"authorization", "x-api-key", "api-key"} & pod.headers[0].keys()


MISSING = "the request has no API key; send it as `Authorization: Bearer <key>`"
INVALID = "the API key is not valid"
SEVERAL = "the request has several different API keys; send one"


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        pytest.param({}, MISSING, id="none"),
        pytest.param({"Authorization": "Bearer "}, MISSING, id="empty"),
        pytest.param({"Authorization": f"Basic {DEMO_KEY}"}, MISSING, id="another scheme"),
        pytest.param({"Authorization": DEMO_KEY}, MISSING, id="no scheme"),
        pytest.param({"Cookie": f"key={DEMO_KEY}"}, MISSING, id="cookie"),
        pytest.param(bearer("csk-wrong"), INVALID, id="wrong"),
        pytest.param(bearer(hash_key(DEMO_KEY)), INVALID, id="hash"),
        pytest.param(bearer("\u00e4\u20ac"), INVALID, id="not ASCII"),
        pytest.param({**bearer(DEMO_KEY), "x-api-key": ALL_KEY}, SEVERAL, id="two keys"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", CHAT), ("GET", "/v1/models"), ("GET", "/v1/models/tiny"), ("POST", "/tokenize"), ("GET", "/x")],
)
async def test_refuses_in_openais_shape(headers, message, method, path):
    async with (
        a_guarded_gateway() as world,
        world.client.request(method, path, json=chat() if method == "POST" else None, headers=headers) as response,
    ):
        assert response.status == 401
        assert (await response.json())["error"] == {
            "message": message, "type": "invalid_request_error", "param": None, "code": "invalid_api_key",
        }  # fmt: skip
        assert (response.headers["WWW-Authenticate"], response.headers["x-should-retry"]) == ("Bearer", "false")
        assert "Retry-After" not in response.headers


@given(
    st.lists(
        st.tuples(st.sampled_from(["Authorization", "X-Api-Key", "api-key", "Cookie"]), st.text() | st.just("Bearer a"))
    )
)
def test_any_headers_give_one_key_or_a_401(headers: list[tuple[str, str]]):
    try:
        found = read_token(CIMultiDictProxy(CIMultiDict(headers)))
    except ApiError as error:
        found = str(error)
        status = error.status
    else:
        status = 200
    values = {value.strip() for name, value in headers if name != "Cookie"}
    keys = {value.partition(" ")[2].strip() or value for value in values} | values
    assert found in keys if status == 200 else (status == 401 and found in {MISSING, SEVERAL})


@pytest.mark.parametrize(("token", "status"), [("good.jwt", 200), ("bad.jwt", 401), (DEMO_KEY, 200)])
async def test_the_identity_provider_checks_only_what_is_no_key(token: str, status: int):
    checked = []

    class Tokens:
        async def verify(self, token: str, _wall_now: datetime) -> Caller | None:
            checked.append(token)
            return Caller(KeyId("system", "oidc:ada")) if token == "good.jwt" else None

    async with (
        a_gateway(models=MODELS, authentication=Authentication(keys(), Tokens())) as world,
        world.client.get("/v1/models", headers=bearer(token)) as response,
    ):
        assert response.status == status
    assert checked == ([] if token == DEMO_KEY else [token])


async def test_openais_client_raises_its_authentication_error():
    async with a_guarded_gateway() as world, openai.AsyncOpenAI(base_url=f"{world.url}/v1", api_key="wrong") as client:
        with pytest.raises(openai.AuthenticationError) as error:
            await client.models.list()
        assert error.value.code == "invalid_api_key"


@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\r\n"])
@pytest.mark.parametrize("path", [CHAT, "/tokenize"])
async def test_refuses_before_it_reads_the_body(expect: str, path: str):
    async with a_guarded_gateway() as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.gateway.ports.api)
        writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\n{expect}Content-Length: 1000000\r\n\r\n".encode())
        assert await asyncio.wait_for(reader.readline(), 5) == b"HTTP/1.1 401 Unauthorized\r\n"
        writer.close()


async def test_a_client_with_a_key_may_wait_for_the_invitation_to_send_its_body():
    async with serving(Pod()) as pod, a_guarded_gateway(pod) as world:
        for path in (CHAT, "/tokenize"):
            async with world.client.post(path, json=chat(), headers=bearer(DEMO_KEY), expect100=True) as response:
                assert response.status == 200
        async with world.client.post(CHAT, json=chat(), headers=bearer(DEMO_KEY) | {"Expect": "tea"}) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (417, "expectation_failed")


async def test_before_the_first_keys_are_read_the_client_comes_back_later():
    async with (
        a_guarded_gateway(source=Keys(None)) as world,
        world.client.get("/v1/models", headers=bearer(DEMO_KEY)) as response,
    ):
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
        assert (await response.json())["error"]["code"] == "gateway_starting"


async def test_promise_24_identity_comes_from_the_key_alone():
    claims = {
        "OpenAI-Organization": "shop", "OpenAI-Project": "shop", "X-Forwarded-User": "shop/csk-shop",
        "X-Remote-User": "shop", "X-Chatscale-Key": "shop/csk-shop", "X-Forwarded-For": "10.0.0.1", "From": "a@b.c",
    }  # fmt: skip
    async with serving(Pod()) as pod, a_guarded_gateway(pod) as world:
        async with world.client.post(CHAT, json=chat(), headers=claims) as response:
            assert response.status == 401
        body = chat(user=SHOP_KEY, metadata={"key": SHOP_KEY}, model="shop/tiny")
        async with world.client.post(
            f"{CHAT}?api_key={SHOP_KEY}", json=body, headers=claims | bearer(DEMO_KEY)
        ) as found:
            assert found.status == 404
        async with world.client.post(CHAT, json=chat(user=SHOP_KEY), headers=claims | bearer(DEMO_KEY)) as response:
            assert response.status == 200
    found = [(line["key"], line["namespace"]) for line in world.lines]
    assert found == [("", ""), (f"demo/{DEMO_KEY}", ""), (f"demo/{DEMO_KEY}", "demo")]


@pytest.mark.parametrize(
    ("key", "listed"),
    [
        pytest.param(DEMO_KEY, ["large", "tiny"], id="its namespace"),
        pytest.param(TINY_KEY, ["tiny"], id="its models"),
        pytest.param(SHOP_KEY, ["tiny"], id="another namespace"),
        pytest.param(ALL_KEY, ["large", "demo/tiny", "shop/tiny"], id="all"),
    ],
)
async def test_promise_26_lists_only_the_models_of_the_key(key, listed):
    async with a_guarded_gateway() as world:
        async with world.client.get("/v1/models", headers=bearer(key)) as response:
            found = [model["id"] for model in (await response.json())["data"]]
        assert found == listed
        for name in found:
            async with world.client.get(f"/v1/models/{name}", headers=bearer(key)) as response:
                assert response.status == 200
                assert (await response.json())["root"] == f"hf://test/{name.rpartition('/')[2]}@main"


@pytest.mark.parametrize(
    ("key", "name"),
    [
        pytest.param(DEMO_KEY, "shop/tiny", id="full name"),
        pytest.param(DEMO_KEY, "shop-only", id="alias"),
        pytest.param(TINY_KEY, "large", id="name"),
        pytest.param(TINY_KEY, "demo/large", id="full name in its namespace"),
        pytest.param(TINY_KEY, "org/large", id="served name"),
        pytest.param(TINY_KEY, "big", id="alias in its namespace"),
    ],
)
async def test_promise_26_another_model_is_exactly_an_unknown_one(key, name):
    async with a_guarded_gateway() as world:
        answers = []
        for requested in (name, "unknown"):
            for method, path in (("POST", CHAT), ("POST", "/tokenize"), ("GET", f"/v1/models/{requested}")):
                body = chat(model=requested) if method == "POST" else None
                async with world.client.request(method, path, json=body, headers=bearer(key)) as response:
                    fixed = {k: v for k, v in response.headers.items() if k in {"x-should-retry", "Content-Type"}}
                    answers.append((response.status, (await response.text()).replace(requested, "*"), fixed))
        assert answers[:3] == answers[3:]
        assert {status for status, *_ in answers} == {404}


@pytest.mark.parametrize(
    ("key", "name", "found"),
    [
        pytest.param(SHOP_KEY, "tiny", SHOP, id="name"),
        pytest.param(SHOP_KEY, "org/tiny", SHOP, id="served name"),
        pytest.param(SHOP_KEY, "gpt-4o", SHOP, id="alias that another namespace has too"),
        pytest.param(DEMO_KEY, "gpt-4o", DEMO, id="the same alias for another key"),
    ],
)
async def test_promise_26_a_name_is_ambiguous_among_the_models_of_the_key_only(key, name, found):
    async with a_guarded_gateway() as world:
        async with world.client.get(f"/v1/models/{name}", headers=bearer(key)) as response:
            assert response.status == 200
        assert (world.lines[-1]["model"], world.lines[-1]["namespace"]) == (found.name, found.namespace)


async def test_an_ambiguous_name_shows_only_the_models_of_the_key():
    async with (
        a_guarded_gateway() as world,
        world.client.get("/v1/models/tiny", headers=bearer(ALL_KEY)) as response,
    ):
        assert "`demo/tiny`, `shop/tiny`" in (await response.json())["error"]["message"]


async def test_promise_26_extra_paths_of_other_models_do_not_exist():
    async with serving(Pod()) as pod, a_guarded_gateway(pod) as world:
        for path, status in (("/tokenize", 200), ("/score", 404), ("/nothing", 404)):
            async with world.client.post(path, json=chat(), headers=bearer(DEMO_KEY)) as response:
                assert response.status == status
        for path, status in (("/tokenize", 405), ("/score", 404)):
            async with world.client.get(path, headers=bearer(DEMO_KEY)) as response:
                assert response.status == status


async def test_a_preflight_needs_no_key_and_shows_no_path():
    origin = "https://shop.example"
    async with a_guarded_gateway(cors_origins=frozenset({origin})) as world:
        async with world.client.options(CHAT, headers={"Origin": origin}) as response:
            assert response.status == 204
        for path, status in (("/score", 404), ("/nothing", 404)):
            async with world.client.options(path, headers={"Origin": "https://evil.example"}) as response:
                assert response.status == status
        async with world.client.options("/score") as response:
            assert response.status == 401
        async with world.client.post(CHAT, json=chat(), headers={"Origin": origin}) as response:
            assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (401, origin)


async def test_the_dispatcher_gets_the_caller():
    async with serving(Pod()) as pod, a_guarded_gateway(pod) as world:
        seen = []
        lease = world.dispatcher.lease

        async def spy(arrival, **options):
            seen.append(arrival.caller.label)
            return await lease(arrival, **options)

        world.dispatcher.lease = spy  # type: ignore[method-assign]
        async with world.client.post(CHAT, json=chat(), headers=bearer(DEMO_KEY)) as response:
            assert response.status == 200
        assert seen == [f"demo/{DEMO_KEY}"]


async def test_bad_keys_add_no_series_and_cost_one_line_each():
    async with a_guarded_gateway() as world:

        async def series() -> int:
            async with world.client.get(f"{world.admin_url}/metrics") as response:
                return len((await response.text()).splitlines())

        before = 0
        for number in range(50):
            async with world.client.post(CHAT, json=chat(), headers=bearer(f"csk-{number}")) as response:
                assert response.status == 401
            before = before or await series()
        assert await series() == before
        assert len(world.lines) == 50
        assert "csk-" not in json.dumps(world.lines)


async def test_the_check_of_ten_thousand_bad_keys_takes_less_than_a_second_of_cpu_time():
    """A minute's flood. It takes 0.05 s when the machine does nothing else."""
    authentication = Authentication(keys())
    headers = [CIMultiDictProxy(CIMultiDict(bearer(f"csk-{number}"))) for number in range(10_000)]
    started_s = time.process_time()
    for each in headers:
        with suppress(ApiError):
            await authentication.identify(each)
    assert time.process_time() - started_s < 1
