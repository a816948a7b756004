"""The client against a real HTTP server."""

from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from chatscale.api.v1alpha1.shopassistant import AssistantModel
from chatscale_assistant.upstream.client import (
    Completion,
    Failure,
    ModelClient,
    ModelFailedError,
    Target,
    model_session,
    target_of,
)


def completion(text, finish="stop"):
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}]}


@asynccontextmanager
async def client_of(body, *, status=200, headers=None, key="secret"):
    seen = []

    async def chat(http: web.Request) -> web.Response:
        headers_of = http.headers
        seen.append((await http.json(), headers_of.get("Authorization"), headers_of.get("X-Shop-Assistant")))
        if isinstance(body, bytes):
            return web.Response(body=body, status=status, headers=headers)
        return web.json_response(body, status=status, headers=headers)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with model_session() as session:
            target = Target(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", "demo/tiny")
            yield ModelClient(session, target, lambda: key), seen
    finally:
        await runner.cleanup()


async def test_sends_one_request_with_the_key_and_returns_the_text():
    async with client_of(completion(" Within 30 days. ")) as (client, seen):
        found = await client.complete("sys", "question", max_tokens=50)

    assert found == Completion("Within 30 days.")
    ((body, authorization, from_assistant),) = seen
    assert from_assistant == "1"
    assert body == {
        "model": "demo/tiny",
        "messages": [{"role": "system", "content": "sys"}, {"role": "user", "content": "question"}],
        "max_tokens": 50,
        "temperature": 0,
    }
    assert authorization == "Bearer secret"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("One. Two. Thr", "One. Two."), ("在三十天内可以退货。还有", "在三十天内可以退货。")],
)
async def test_a_text_that_was_cut_off_ends_with_its_last_sentence(text, expected):
    async with client_of(completion(text, "length")) as (client, _):
        assert (await client.complete("s", "u", max_tokens=5)).text == expected


@pytest.mark.parametrize(
    ("body", "status", "headers", "failure", "retry_after_s"),
    [
        pytest.param({}, 429, {"Retry-After": "7"}, Failure.OVERLOADED, 7.0, id="429"),
        pytest.param({}, 503, {"Retry-After": "900"}, Failure.OVERLOADED, 30.0, id="503 is bounded"),
        pytest.param({}, 500, None, Failure.ERROR, 0.0, id="500"),
        pytest.param({}, 302, {"Location": "http://169.254.169.254/"}, Failure.ERROR, 0.0, id="redirect"),
        pytest.param(b"planted", 200, None, Failure.ERROR, 0.0, id="no JSON"),
        pytest.param(b"[" * 200_000, 200, None, Failure.ERROR, 0.0, id="deep JSON"),
        pytest.param({"choices": []}, 200, None, Failure.ERROR, 0.0, id="no choice"),
        pytest.param(completion(""), 200, None, Failure.ERROR, 0.0, id="no text"),
        pytest.param(completion("no end", "length"), 200, None, Failure.ERROR, 0.0, id="cut off in sentence one"),
    ],
)
async def test_every_other_answer_is_a_failure(body, status, headers, failure, retry_after_s):
    async with client_of(body, status=status, headers=headers) as (client, _):
        with pytest.raises(ModelFailedError) as caught:
            await client.complete("s", "u", max_tokens=5)

    assert (caught.value.failure, caught.value.retry_after_s) == (failure, retry_after_s)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "under_load"),
    [
        ({"X-Chatscale-Held-Seconds": "0.2"}, False),
        ({"X-Chatscale-Held-Seconds": "1.5"}, True),
        ({"X-Chatscale-Overload": "capped; max_tokens=64"}, True),
    ],
)
async def test_the_gateways_headers_show_its_load(headers, under_load):
    async with client_of(completion("Yes."), headers=headers) as (client, _):
        assert (await client.complete("s", "u", max_tokens=5)).under_load is under_load


@pytest.mark.parametrize(
    ("model", "gateway", "expected"),
    [
        ({"chatModel": "tiny"}, "http://gw/", Target("http://gw/v1", "demo/tiny")),
        ({"chatModel": "tiny"}, "", None),
        (
            {"external": {"baseURL": "https://api.example/v1/", "model": "big"}},
            "",
            Target("https://api.example/v1", "big"),
        ),
    ],
)
def test_the_spec_says_where_the_model_is(model, gateway, expected):
    assert target_of(AssistantModel.model_validate(model), gateway, "demo") == expected
