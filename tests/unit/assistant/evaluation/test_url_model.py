"""A model by URL that answers wrongly: each failure has a reason, and such a model does not pass."""

import argparse
import json
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.errors import SourceError
from chatscale_assistant.evaluation import command
from chatscale_assistant.evaluation.model_suite import QUESTIONS, measure_model
from chatscale_assistant.evaluation.options import add_options
from chatscale_assistant.evaluation.suites import Keys, Plan
from chatscale_assistant.evaluation.url_model import MAX_RESPONSE_BYTES, UrlModel
from chatscale_cli.__main__ import main
from chatscale_contract.assistant.extras import Rung
from chatscale_contract.sysexits import SysExit


def completion(content) -> str:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]})


def parsed(*flags: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return parser.parse_args(["--model", "http://m/v1", "--model-name", "tiny", *flags])


@asynccontextmanager
async def model_with(text: str, status: int = 200, *, breaks: bool = False):
    async def answer(request: web.Request) -> web.StreamResponse:
        if not breaks:
            return web.Response(text=text, status=status)
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(text.encode())
        assert request.transport
        request.transport.close()
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield UrlModel(session, str(server.make_url("/v1")), "tiny")


WRONG = [
    pytest.param({"text": "down", "status": 500}, "status 500: down", id="500"),
    pytest.param({"text": '{"error": "no key"}', "status": 401}, "status 401", id="wrong key"),
    pytest.param({"text": "<html>"}, "no chat completion", id="no JSON"),
    pytest.param({"text": '{"choices": []}'}, "no chat completion", id="no choice"),
    pytest.param({"text": '{"choices": [{"message": "hi"}]}'}, "not an object", id="message is a text"),
    pytest.param({"text": completion("a" * MAX_RESPONSE_BYTES)}, "longer than", id="huge"),
    pytest.param({"text": '{"choi', "breaks": True}, "ClientPayloadError", id="broken off"),
]


@pytest.mark.parametrize(("answer", "reason"), WRONG)
async def test_a_wrong_answer_is_an_error_with_its_reason(answer, reason):
    async with model_with(**answer) as model:
        with pytest.raises(SourceError, match=reason):
            await model.check()
        assert await model.write("s", "u", max_tokens=8, timeout_s=5) is None
    assert reason in model.failures[0]
    assert not model.drafts


class Asks:
    """A responder that calls the model once for each question and sends the quote."""

    def __init__(self, model: UrlModel) -> None:
        self.model = model

    async def answer(self, _conversation):
        await self.model.write("s", "u", max_tokens=8, timeout_s=5)
        return SimpleNamespace(text="See the quote.", rung=Rung.MODEL, citations=(), language=Language.ENGLISH)


@pytest.mark.parametrize("answer", [{"text": completion("")}, {"text": completion(None)}, {"text": "", "status": 500}])
async def test_a_model_without_any_text_is_never_in_time_and_its_suite_does_not_end(answer):
    async with model_with(**answer) as model:
        numbers = measure_model(Asks(model), model, 3)
        invented, in_time = await anext(numbers), await anext(numbers)
        with pytest.raises(SourceError, match="wrote no draft in 3 calls"):
            await anext(numbers)
    assert invented.value == 0
    assert (in_time.reached, in_time.value) == (False, 0)


def test_a_model_that_does_not_answer_ends_the_command_before_the_first_suite(capsys):
    flags = ["--suite", "language", "model", "--model", "http://127.0.0.1:9/v1", "--model-name", "tiny"]
    assert main(["evaluate", *flags]) == SysExit.UNAVAILABLE
    err = capsys.readouterr().err
    assert "model tiny at http://127.0.0.1:9/v1: " in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--tau2", "3"], "--tau2 needs --model"),
        (["--json", "/nowhere/report.json"], "--json /nowhere/report.json: expected a file in a folder that exists"),
        (["--user-key-file", "key"], "--user-key-file needs --user-model"),
        (["--key-file", "/nowhere/key"], "--key-file /nowhere/key: No such file or directory"),
    ],
)
def test_wrong_flags_end_the_command_with_a_reason(flags, message, capsys):
    assert main(["evaluate", *flags]) == SysExit.BAD_SETTINGS
    assert message in capsys.readouterr().err


def test_a_sample_does_not_decide_that_a_model_may_write():
    options = SimpleNamespace(model="http://m/v1", model_name="tiny", sample=QUESTIONS - 1)
    good = SimpleNamespace(suite="model", reached=True)
    assert not command._model_results(options, "w", [good], [])["tiny"].passed
    whole = SimpleNamespace(**{**vars(options), "sample": None})
    assert command._model_results(whole, "w", [good], [])["tiny"].passed


async def test_a_model_whose_weights_changed_during_the_run_does_not_pass(monkeypatch):
    stated = iter(["hf://o/m@1", "hf://o/m@2"])

    async def weights(_model) -> str:
        return next(stated)

    async def checked(_model) -> None: ...

    async def reached(_plan):
        yield SimpleNamespace(suite="model", reached=True)

    monkeypatch.setattr(UrlModel, "weights", weights)
    monkeypatch.setattr(UrlModel, "check", checked)
    monkeypatch.setattr(command, "RUN", {"model": reached})
    monkeypatch.setattr(command, "_line", str)
    monkeypatch.setattr(command, "_write", lambda *_: None)
    report = await command._run(parsed("--suite", "model"), Keys())

    found = report.models["tiny"]
    assert (found.passed, found.weights) == (False, "hf://o/m@1")
    assert "the weights were 'hf://o/m@1' before it and 'hf://o/m@2' after it" in found.reason


@pytest.mark.parametrize(
    ("flags", "key"),
    [
        pytest.param([], "of-model", id="the same API"),
        pytest.param(["--user-model", "http://u/v1", "--user-model-name", "u"], "", id="another without a key"),
        pytest.param(
            ["--user-model", "http://u/v1", "--user-model-name", "u", "--user-key-file", "k"], "of-user", id="its own"
        ),
    ],
)
async def test_no_api_gets_the_key_of_another(flags, key):
    keys = Keys("of-model", "of-user" if "--user-key-file" in flags else "")
    async with Plan(data=Path, folder=Path(), options=parsed(*flags), keys=keys) as plan:
        assert (await plan.model()).key == "of-model"
        assert (await plan.user_model()).key == key
