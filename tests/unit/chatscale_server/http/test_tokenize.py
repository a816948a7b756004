"""/tokenize and /detokenize count and decode as generation does."""

import asyncio

import pytest

from tests.unit.chatscale_server.builders import a_server, eventually, gated_engine
from tests.unit.chatscale_server.http.scripted_engine import HELLO, TOOL


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        pytest.param({"prompt": "Where?"}, (200, 3), id="prompt"),
        pytest.param({"messages": HELLO}, (200, 11), id="messages"),
        pytest.param({"model": "m", "prompt": ""}, (200, 1), id="nothing-is-one-token-here"),
        pytest.param({"model": "other", "prompt": "x"}, (404, "model"), id="other-model"),
        pytest.param({}, (400, "prompt"), id="neither"),
        pytest.param({"prompt": "x", "messages": HELLO}, (400, "prompt"), id="both"),
        pytest.param({"prompt": "x", "tools": [TOOL]}, (400, "tools"), id="tools-of-a-prompt"),
        pytest.param({"messages": HELLO, "tools": [TOOL]}, (400, "tools"), id="no-tools-here"),
        pytest.param(
            {"messages": HELLO, "chat_template_kwargs": {"enable_thinking": False}}, (200, 11), id="variables"
        ),
        pytest.param(
            {"messages": HELLO, "chat_template_kwargs": {"tokenize": True}},
            (400, "chat_template_kwargs.tokenize"),
            id="a-variable-of-the-server",
        ),
        pytest.param(
            {"prompt": "x", "chat_template_kwargs": {"a": 1}}, (400, "chat_template_kwargs"), id="variables-of-a-prompt"
        ),
        pytest.param({"messages": HELLO, "reasoning_effort": "low"}, (400, "reasoning_effort"), id="no-effort-here"),
        pytest.param({"prompt": "x", "reasoning_effort": "low"}, (400, "reasoning_effort"), id="effort-of-a-prompt"),
        pytest.param({"messages": []}, (400, "messages"), id="no-messages"),
        pytest.param({"prompt": "x", "add_special_tokens": False}, (400, "add_special_tokens"), id="not-as-generated"),
        pytest.param({"prompt": "x", "x": 1}, (400, "x"), id="unknown"),
    ],
)
async def test_tokenize_counts_what_a_request_would_cost(body, answer):
    async with a_server() as (_server, client), client.post("/tokenize", json=body) as response:
        found = await response.json()
        if response.status == 200:
            assert found == {"count": answer[1], "max_model_len": 8192, "tokens": found["tokens"], "token_strs": None}
            assert len(found["tokens"]) == found["count"]
        else:
            assert (response.status, found["error"]["param"]) == answer


async def test_detokenize_gives_the_text_of_tokens():
    async with a_server() as (_server, client):
        async with client.post("/detokenize", json={"tokens": [0, 1, 2]}) as response:
            assert (response.status, await response.json()) == (200, {"prompt": "Thank you for "})
        async with client.post("/detokenize", json={"tokens": [2**31]}) as response:
            assert (response.status, (await response.json())["error"]["param"]) == (400, "tokens")


async def test_tokenize_needs_no_slot_and_waits_for_the_model():
    engine, gate = gated_engine()
    async with a_server(engine, max_concurrency=1, max_queue=0) as (server, client):
        task = asyncio.ensure_future(client.post("/v1/completions", json={"model": "m", "prompt": "x"}))
        await eventually(lambda: server.bridge.in_flight == 1)
        async with client.post("/tokenize", json={"prompt": "x"}) as response:
            assert response.status == 200
        gate.open()
        assert (await task).status == 200
    async with a_server(gated_engine()[0]) as (server, client):
        server.bridge.info = None
        async with client.post("/tokenize", json={"prompt": "x"}) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (503, "model_loading")
