"""Chat completions as OpenAI clients use them."""

import json
from typing import Any

import pytest

from chatscale_assistant.domain.conversation import Customer
from tests.unit.assistant.http.fakes import ANSWER, CITATION, FakeResponder, question, running

CHAT = "/v1/chat/completions"


async def test_an_answer_has_openais_form_and_the_extras():
    async with running() as world:
        status, body, headers = await world.post(CHAT, question())

    assert status == 200
    assert body["object"] == "chat.completion"
    assert body["model"] == "shop"
    assert body["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": ANSWER.text, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]
    assert body["chatscale"]["rung"] == "quote"
    assert body["chatscale"]["hand_over"] == "none"
    assert headers["X-Request-Id"] in body["id"]


async def test_citations_are_there_over_the_openai_api_and_in_streams():
    """Promise 12."""
    expected = [CITATION.model_dump()]
    async with running() as world:
        _, body, _ = await world.post(CHAT, question())
        chunks = await stream(world, question(stream=True, stream_options={"include_usage": True}))

    assert body["chatscale"]["citations"] == expected
    with_choice = [chunk for chunk in chunks if chunk["choices"]]
    assert with_choice[-1]["chatscale"]["citations"] == expected
    assert with_choice[-1]["choices"][0]["finish_reason"] == "stop"
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in with_choice) == ANSWER.text
    assert chunks[-1]["usage"]["completion_tokens"] > 0


async def test_a_stream_without_include_usage_has_no_usage():
    async with running() as world:
        chunks = await stream(world, question(stream=True))

    assert all("usage" not in chunk for chunk in chunks)


async def test_parameters_of_openai_clients_are_accepted():
    body = question(
        temperature=0.7, top_p=1, max_tokens=100, presence_penalty=0, user="u", n=1, seed=3, store=False, tools=[],
        metadata={"a": "b"}, response_format={"type": "text"}, logit_bias=None, stream=None, stream_options=None,
    )  # fmt: skip
    async with running() as world:
        status, _, _ = await world.post(CHAT, body)

    assert status == 200


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        pytest.param({"n": 2}, 400, "n", id="n"),
        pytest.param({"messages": []}, 400, "messages", id="no message"),
        pytest.param({"messages": "x"}, 400, "messages", id="no list"),
        pytest.param({"messages": [{"role": "tool", "content": "x"}]}, 400, "messages[0].role", id="tool"),
        pytest.param({"chatscale": {"conversation": "a b"}}, 400, "chatscale.conversation", id="bad id"),
        pytest.param({"model": "other"}, 404, "model", id="other model"),
        pytest.param({"messages": [{"role": "user", "content": "x" * 201}]}, 400, "messages[0].content", id="long"),
    ],
)
async def test_a_wrong_request_gets_an_error_in_openais_form(change, status, param):
    async with running() as world:
        found, body, _ = await world.post(CHAT, {**question(), **change})

    assert (found, body["error"]["param"], body["error"]["type"]) == (status, param, "invalid_request_error")
    assert world.responder.seen == []


async def test_the_shops_token_names_the_customer():
    async with running() as world:
        await world.post(CHAT, question(), headers={"X-Shop-Customer": "token-of-ann"})
        await world.post(CHAT, question(chatscale={"customer_token": "token-of-ann"}))
        await world.post(CHAT, question(chatscale={"customer_token": "forged"}))

    assert [each.customer for each in world.responder.seen] == [Customer("ann"), Customer("ann"), None]


async def test_an_assistant_is_no_chat_model_of_an_assistant():
    # Otherwise two assistants that name each other would call each other without end.
    async with running() as world:
        status, body, _ = await world.post(
            "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}, headers={"X-Shop-Assistant": "1"}
        )

    assert (status, body["error"]["code"], world.responder.seen) == (400, "assistant_as_model", [])


async def test_a_failure_is_an_error_in_openais_form_without_its_text():
    async with running(responder=FakeResponder(error=RuntimeError("planted"))) as world:
        status, body, _ = await world.post(CHAT, question())

    assert status == 500
    assert body["error"]["code"] == "internal_error"
    assert "planted" not in json.dumps(body)


async def test_the_model_list_has_the_assistant():
    async with running() as world:
        status, text = await world.get("/v1/models")
        one, _ = await world.get("/v1/models/shop")
        other, _ = await world.get("/v1/models/x")

    assert [each["id"] for each in json.loads(text)["data"]] == ["shop"]
    assert (status, one, other) == (200, 200, 404)


async def stream(world, body: dict[str, Any]) -> list[dict[str, Any]]:
    async with world.session.post(world.url + CHAT, json=body) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        text = await response.text()
    events = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    return [json.loads(each) for each in events[:-1]]
