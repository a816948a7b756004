"""Prompts and answers are in no log line, at any level, whatever goes wrong with a request."""

import json
import logging

import pytest
from typing_extensions import override

from chatscale_server.engine.protocol import NO_VARIABLES, PromptError
from chatscale_server.engine.simulated import SimulatedEngine
from chatscale_server.logs import JsonFormatter, where
from tests.unit.chatscale_server.builders import FAST, a_server, chat, eventually

CANARY = "canary-4711"


class Quoting(SimulatedEngine):
    """Answers with the canary, and quotes it in the errors that its name asks for."""

    @override
    def encode_chat(self, messages, tools=(), variables=NO_VARIABLES):
        text = messages[-1].content
        if "refuse" in text:
            raise PromptError(f"no template for {text}")
        if "break" in text:
            try:
                {}[text]
            except KeyError as error:
                raise ValueError(f"cannot tokenise {text}") from error
        return super().encode_chat(messages, tools, variables)

    @override
    def decoder(self):
        return Parrot()


class Parrot:
    def push(self, _token: int) -> str:
        return f"{CANARY} "

    def flush(self) -> str:
        return ""


def said(text: str, **fields: object) -> bytes:
    return json.dumps(chat(messages=[{"role": "user", "content": f"{CANARY} {text}"}], **fields)).encode()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(said("hello"), 200, id="whole"),
        pytest.param(said("hello", stream=True, n=2), 200, id="stream"),
        pytest.param(said("hello")[:-1], 400, id="cut-short"),
        pytest.param(said("hello", **{CANARY: CANARY}), 400, id="unknown-field"),
        pytest.param(said("hello", temperature=CANARY), 400, id="wrong-type"),
        pytest.param(said("hello", model=CANARY), 404, id="model"),
        pytest.param(said("hello", max_tokens=10**6), 400, id="too-long"),
        pytest.param(said("refuse"), 400, id="template"),
        pytest.param(said("break"), 500, id="our-own-bug"),
    ],
)
async def test_no_log_line_holds_a_prompt_or_an_answer(body, status, caplog):
    caplog.set_level(logging.DEBUG)
    async with (
        a_server(Quoting(FAST)) as (_server, client),
        client.post("/v1/chat/completions", data=body) as response,
    ):
        assert (response.status, CANARY in await response.text() or status != 200) == (status, True)
    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert [line for line in lines if CANARY in line] == []


async def test_a_client_that_leaves_in_the_middle_leaves_no_text_behind(caplog):
    caplog.set_level(logging.DEBUG)
    async with a_server(Quoting(FAST)) as (server, client):
        async with client.post("/v1/chat/completions", data=said("hello", stream=True, max_tokens=4000)) as response:
            await response.content.readany()
            response.close()
        await eventually(lambda: server.bridge.in_flight == 0)
    assert CANARY not in "".join(map(JsonFormatter().format, caplog.records))


async def test_our_own_bug_can_still_be_found(caplog):
    async with (
        a_server(Quoting(FAST)) as (_server, client),
        client.post("/v1/chat/completions", data=said("break")) as response,
    ):
        assert (await response.json())["error"]["code"] == "internal_error"
    (line,) = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    assert (line["event"], line["error"]) == ("request failed", "ValueError from KeyError")
    assert "in encode_chat" in line["traceback"]


def test_a_failure_is_logged_with_type_and_traceback():
    try:
        int(CANARY)
    except ValueError as error:
        found = where(error)
    assert found["error"] == "ValueError"
    assert "test_a_failure_is_logged_with_type_and_traceback" in found["traceback"]
