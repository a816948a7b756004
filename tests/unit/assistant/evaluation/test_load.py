import asyncio

import aiohttp
from aiohttp import web

from chatscale.api.v1alpha1.parse import parse_shopassistant
from chatscale_assistant.evaluation import load
from chatscale_assistant.evaluation.load import FAILED, Outcome
from chatscale_assistant.evaluation.process import NAME, external, spec
from chatscale_assistant.evaluation.stand_ins import desk, slow_model
from chatscale_assistant.evaluation.url_model import UrlModel


async def test_each_question_is_its_own_conversation_with_the_assistants_name(aiohttp_server):
    seen = []

    async def chat(request: web.Request) -> web.Response:
        seen.append(await request.json())
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
        return web.json_response({"choices": [choice], "chatscale": {"rung": "quote", "citations": [{}]}})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    server = await aiohttp_server(app)
    found = await load.send(str(server.make_url("")).rstrip("/"), ["one", "two"], per_second=200, seed=1)
    assert [(each.status, each.text, each.is_answer) for each in found] == [(200, "Hi", True)] * 2
    assert {each["model"] for each in seen} == {NAME}
    assert len({each["chatscale"]["conversation"] for each in seen}) == 2


async def test_a_request_without_an_answer_counts_as_failed(unused_tcp_port):
    found = await load.send(f"http://127.0.0.1:{unused_tcp_port}", ["one"], per_second=100, seed=1)
    assert [each.status for each in found] == [FAILED]


def test_an_answer_is_cited_or_a_hand_over():
    def outcome(**extras: object) -> Outcome:
        return Outcome(0.1, 200, dict(extras), "")

    assert outcome(rung="hand_over").is_answer
    assert outcome(hand_over="requested").is_answer
    assert outcome(citations=[{"quote": "x"}]).is_answer
    assert not outcome(rung="no_answer").is_answer


async def test_the_slow_model_answers_as_many_as_it_has_slots():
    async with slow_model(2, 0.05) as url, aiohttp.ClientSession() as session:
        model = UrlModel(session, url, "stand-in")
        texts = await asyncio.gather(*(model.write("s", "u", max_tokens=5, timeout_s=5) for _ in range(4)))
        assert all(texts)
        assert max(model.seconds) >= 0.09
        assert await model.write("s", "u", max_tokens=5, timeout_s=0.01) is None


async def test_the_desk_accepts_every_request():
    async with desk() as url, aiohttp.ClientSession() as session, session.post(url, json={}) as response:
        assert response.status == 200


def test_the_resource_of_the_processes_is_valid():
    resource = parse_shopassistant(spec(external("http://127.0.0.1:1/v1")))
    assert [each.name for each in resource.spec.knowledge] == ["policies", "catalogue"]
    assert resource.spec.guardrails.hand_over is not None
