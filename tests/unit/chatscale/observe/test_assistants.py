"""States are read within limits, and a pod that cannot be read has a reason."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from chatscale.observe.assistants import MOST_BYTES, HttpStateReader, StateReading
from chatscale.observe.pods import Pod
from chatscale.scaling.signals import ReplicaPhase
from chatscale_contract.assistant.state import AssistantState, SourceState
from tests.support.builders import START

READY = Pod("shop-assistant-1", ReplicaPhase.READY, START, START, address="127.0.0.1")
STATE = AssistantState(index="i1", sources=(SourceState(name="policies", digest="d", chunks=3),), model_writes=True)

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as found:
        yield found


async def read(session: aiohttp.ClientSession, answer: Answer, *pods: Pod) -> StateReading:
    app = web.Application()
    app.router.add_get("/state", answer)
    async with TestServer(app) as server:
        assert server.port is not None
        return await HttpStateReader(session, server.port).read("demo/shop", pods or (READY,))


def answering(text: str, status: int = 200) -> Answer:
    async def answer(_http: web.Request) -> web.Response:
        return web.Response(text=text, status=status)

    return answer


async def test_reads_the_state_of_every_pod_that_has_an_address(session: aiohttp.ClientSession):
    starting = replace(READY, name="shop-assistant-2", phase=ReplicaPhase.STARTING)
    ending = replace(READY, name="shop-assistant-3", phase=ReplicaPhase.TERMINATING)
    new = replace(starting, name="shop-assistant-4", address="")

    found = await read(session, answering(STATE.model_dump_json()), READY, starting, ending, new)

    assert found == StateReading({"shop-assistant-1": STATE, "shop-assistant-2": STATE})


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param(answering("no", 503), "GET /state: HTTP 503", id="an error"),
        pytest.param(answering("[]"), "GET /state: 1 validation error", id="no object"),
        pytest.param(answering("{"), "GET /state: 1 validation error", id="no JSON"),
        pytest.param(answering("x" * (MOST_BYTES + 1)), "GET /state: the answer has more than", id="a long answer"),
        pytest.param(
            answering('{"model_message": "' + "x" * 2000 + '"}'), "GET /state: 1 validation", id="a long text"
        ),
    ],
)
async def test_a_pod_without_a_usable_state_has_a_reason(answer: Any, why: str, session: aiohttp.ClientSession):
    found = await read(session, answer)

    assert found.states == {}
    assert found.failures["shop-assistant-1"].startswith(why)


async def test_a_redirect_is_not_followed(session: aiohttp.ClientSession):
    async def answer(_http: web.Request) -> web.Response:
        raise web.HTTPFound("/elsewhere")

    found = await read(session, answer)

    assert found.failures == {"shop-assistant-1": "GET /state: HTTP 302"}


async def test_a_pod_that_does_not_answer_ends_at_the_deadline(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
):
    async def answer(_http: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("chatscale.observe.assistants.READ_TIMEOUT_S", 0.05)
    found = await read(session, answer)

    assert found.failures == {"shop-assistant-1": "no answer within 0.05 s"}
