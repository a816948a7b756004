"""Headers and small endpoints that clients, proxies and platforms look for."""

import asyncio
import re

import openai
import pytest

from chatscale_contract.version import VERSION
from tests.unit.chatscale_server.builders import a_server, chat, eventually, gated_engine

SHOP = "https://shop.example"
ROUTES = [
    pytest.param("GET", "/v1/models", None, 200, id="models"),
    pytest.param("POST", "/v1/chat/completions", chat(), 200, id="chat"),
    pytest.param("POST", "/v1/chat/completions", chat(stream=True), 200, id="stream"),
    pytest.param("POST", "/v1/completions", {"model": "m", "prompt": "x"}, 200, id="completion"),
    pytest.param("POST", "/tokenize", {"prompt": "x"}, 200, id="tokenize"),
    pytest.param("GET", "/readyz", None, 200, id="probe"),
    pytest.param("POST", "/v1/chat/completions", {}, 400, id="invalid"),
    pytest.param("GET", "/nowhere", None, 404, id="no-path"),
    pytest.param("GET", "/v1/completions", None, 405, id="no-method"),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), ROUTES)
async def test_every_response_carries_the_request_id(method, path, body, status):
    async with a_server() as (_server, client):
        given = {"X-Request-Id": "req_1.A-z"}
        async with client.request(method, path, json=body, headers=given) as response:
            assert (response.status, response.headers["X-Request-Id"]) == (status, "req_1.A-z")
        for unsafe in ("a b", "x" * 129, "a;b", "ü", ""):
            async with client.request(method, path, json=body, headers={"X-Request-Id": unsafe}) as response:
                assert re.fullmatch("[0-9a-f]{32}", response.headers["X-Request-Id"])


async def test_the_client_sees_the_request_id_of_answers_and_errors():
    async with (
        a_server() as (server, _client),
        openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0) as client,
    ):
        answer = await client.chat.completions.create(**chat(), extra_headers={"X-Request-Id": "mine"})
        assert answer._request_id == "mine"
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(**chat(temperature=9), extra_headers={"X-Request-Id": "mine"})
        assert caught.value.request_id == "mine"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_streams_are_neither_cached_nor_buffered(path):
    body = chat(stream=True) if "chat" in path else {"model": "m", "prompt": "x", "stream": True}
    async with a_server() as (_server, client), client.post(path, json=body) as response:
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("name", ["m", "owner/model"])
async def test_one_model_is_found_by_its_name(name):
    async with (
        a_server(served_name=name) as (server, http),
        openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0) as client,
    ):
        model = await client.models.retrieve(name)
        assert [model] == (await client.models.list()).data
        async with http.get(f"/v1/models/{name}") as response:
            assert (await response.json())["max_model_len"] == 8192
        with pytest.raises(openai.NotFoundError) as caught:
            await client.models.retrieve("other")
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


async def test_health_endpoints_of_other_servers_follow_readiness():
    engine, gate = gated_engine()
    gate._permits.acquire()
    probes = (("GET", "/health"), ("GET", "/ping"), ("POST", "/ping"))
    async with a_server(engine, loaded=False) as (server, client):
        for method, path in probes:
            async with client.request(method, path) as response:
                assert response.status == 503
        gate.open()
        await eventually(lambda: server.bridge.info is not None)
        for method, path in probes:
            async with client.request(method, path) as response:
                assert response.status == 200
        async with client.get("/version") as response:
            assert await response.json() == {"version": VERSION}


@pytest.mark.parametrize(
    ("allowed", "origin", "answer"),
    [
        pytest.param((SHOP,), SHOP, SHOP, id="listed"),
        pytest.param((SHOP,), "https://other.example", None, id="other"),
        pytest.param(("*",), SHOP, "*", id="all"),
        pytest.param((), SHOP, None, id="off"),
    ],
)
async def test_pages_of_allowed_origins_may_call_the_api(allowed, origin, answer):
    async with a_server(cors_origins=allowed) as (_server, client):
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST",
                 "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os"}  # fmt: skip
        async with client.options("/v1/chat/completions", headers=asked) as response:
            assert response.status == (204 if allowed else 405)
            assert response.headers.get("Access-Control-Allow-Origin") == answer
            if allowed:
                assert "x-stainless-os" in response.headers["Access-Control-Allow-Headers"]
        for body in (chat(), chat(stream=True), {}):
            async with client.post("/v1/chat/completions", json=body, headers={"Origin": origin}) as response:
                assert response.headers.get("Access-Control-Allow-Origin") == answer
                assert response.headers.get("Vary") == ("Origin" if allowed else None)


async def test_requests_at_the_same_time_keep_their_ids():
    async with a_server() as (_server, client):

        async def ask(number: int) -> bool:
            headers = {"X-Request-Id": f"r{number}"}
            async with client.post("/tokenize", json={"prompt": "x"}, headers=headers) as response:
                return response.headers["X-Request-Id"] == f"r{number}"

        assert all(await asyncio.gather(*(ask(number) for number in range(20))))
