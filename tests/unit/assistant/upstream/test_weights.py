"""Which weights an API states, against a real HTTP server."""

from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from chatscale_assistant.upstream.weights import MAX_CHARACTERS, NotKnown, read_weights


@asynccontextmanager
async def api(text, status=200):
    seen = []

    async def get(http: web.Request) -> web.Response:
        seen.append((http.match_info["name"], http.headers.get("Authorization")))
        return web.Response(text=text, status=status)

    app = web.Application()
    app.router.add_get("/v1/models/{name:.+}", get)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield session, str(server.make_url("/v1/")), seen


@asynccontextmanager
async def list_only(text, status=200, one_status=404):
    """An API like vLLM's: it lists its models, and has no path for one of them."""
    keys = []

    async def get(http: web.Request) -> web.Response:
        keys.append(http.headers.get("Authorization"))
        return web.Response(text=text, status=status)

    async def one(_http: web.Request) -> web.Response:
        return web.json_response({"detail": "Not Found"}, status=one_status)

    app = web.Application()
    app.router.add_get("/v1/models", get)
    app.router.add_get("/v1/models/{name:.+}", one)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield session, str(server.make_url("/v1")), keys


@pytest.mark.parametrize(
    ("text", "status", "weights"),
    [
        pytest.param('{"id": "tiny", "root": "hf://o/m@1"}', 200, "hf://o/m@1", id="stated"),
        pytest.param('{"id": "tiny"}', 200, "", id="not stated"),
        pytest.param('{"root": 7}', 200, "", id="no text"),
        pytest.param("[1]", 200, "", id="no object"),
        pytest.param("<html>", 200, "", id="no JSON"),
        pytest.param("[" * 60_000, 200, "", id="nested too deep"),
        pytest.param('{"root": "a", "data": 7}', 200, "a", id="another field"),
        pytest.param("{}", 404, "", id="the API has no such path"),
        pytest.param("{}", 401, NotKnown("HTTP 401", refused=True), id="the key is refused"),
        pytest.param("{}", 403, NotKnown("HTTP 403", refused=True), id="the key may not ask"),
        pytest.param("{}", 302, NotKnown("HTTP 302", refused=True), id="redirect"),
        pytest.param("{}", 503, NotKnown("HTTP 503"), id="the API is away"),
        pytest.param(f'{{"root": "{"a" * 5000}"}}', 200, "a" * MAX_CHARACTERS, id="long"),
    ],
)
async def test_reads_the_weights_or_says_that_they_are_not_known(text, status, weights):
    async with api(text, status) as (session, url, seen):
        assert await read_weights(session, url, "demo/tiny", "secret") == weights
    assert seen == [("demo/tiny", "Bearer secret")]


VLLM = """{"object": "list", "data": [
    {"id": "big", "object": "model", "owned_by": "vllm", "root": "/models/big", "parent": null},
    {"id": "demo/tiny", "object": "model", "owned_by": "vllm", "root": "org/tiny", "parent": null},
    {"id": "adapter", "object": "model", "owned_by": "vllm", "root": "/adapters/a", "parent": "demo/tiny"}]}"""


@pytest.mark.parametrize("one_status", [404, 405, 501])
@pytest.mark.parametrize(
    ("text", "status", "weights"),
    [
        pytest.param(VLLM, 200, "org/tiny", id="vLLM"),
        pytest.param(
            f'{{"data": [{{"id": "{"b" * 100_000}"}}, {{"id": "demo/tiny", "root": "r"}}]}}', 200, "r", id="long list"
        ),
        pytest.param('{"data": [{"id": "big", "root": "/models/big"}]}', 200, "", id="other models only"),
        pytest.param('{"data": [{"id": "demo/tiny"}]}', 200, "", id="no root"),
        pytest.param('{"data": ["demo/tiny", null, {"root": "r"}]}', 200, "", id="wrong entries"),
        pytest.param("<html>", 200, "", id="no JSON"),
        pytest.param("{}", 404, "", id="no list either"),
        pytest.param("{}", 403, NotKnown("HTTP 403", refused=True), id="the list is refused"),
        pytest.param("{}", 503, NotKnown("HTTP 503"), id="the API is away"),
    ],
)
async def test_reads_the_weights_from_the_list_if_the_api_has_no_path_for_one_model(text, status, weights, one_status):
    async with list_only(text, status, one_status) as (session, url, keys):
        assert await read_weights(session, url, "demo/tiny", "secret") == weights
    assert keys == ["Bearer secret"]


async def test_an_api_that_cannot_be_reached_states_nothing():
    async with aiohttp.ClientSession() as session:
        assert await read_weights(session, "http://127.0.0.1:9/v1", "tiny", "") == NotKnown("ClientConnectorError")
