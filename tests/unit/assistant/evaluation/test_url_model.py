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
from chatscale_assistant.evaluation.intervals import share
from chatscale_assistant.evaluation.measurement import Measurement
from chatscale_assistant.evaluation.model_suite import QUESTIONS, measure_model
from chatscale_assistant.evaluation.options import add_options
from chatscale_assistant.evaluation.report import Report
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
    weights = command.Weights("w", "w")
    assert not command._model_results(options, weights, [good], [])["tiny"].passed
    whole = SimpleNamespace(**{**vars(options), "sample": None})
    assert command._model_results(whole, weights, [good], [])["tiny"].passed


class Api:
    """Completions work. GET /models/tiny has these answers, one after the other: a location, a status, or None
    for a closed connection. The last one repeats, because the client sends such a request twice."""

    def __init__(self, *answers: str | int | None) -> None:
        self.answers = list(answers)

    async def complete(self, _http: web.Request) -> web.Response:
        return web.Response(text=completion("Hello"))

    async def get(self, http: web.Request) -> web.Response:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            assert http.transport
            http.transport.close()
        if isinstance(answer, str):
            return web.json_response({"id": "tiny", "root": answer} if answer else {"id": "tiny"})
        return web.Response(status=answer or 500)

    @asynccontextmanager
    async def running(self):
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self.complete)
        app.router.add_get("/v1/models/tiny", self.get)
        async with TestServer(app) as server:
            yield str(server.make_url("/v1"))


async def good_suite(_plan):
    yield Measurement.of("model", "in time", share([True] * 10), must=0.5)


async def report_of(api: Api, monkeypatch) -> Report:
    monkeypatch.setattr(command, "RUN", {"model": good_suite})
    async with api.running() as url:
        return await command._run(parsed("--suite", "model", "--model", url), Keys())


CHANGES = [
    pytest.param(("a", "b"), "the location of its weights was 'a' before the suite and 'b' after it", id="changed"),
    pytest.param(("a", ""), "the location of its weights was 'a' before the suite and not stated after it", id="gone"),
    pytest.param((401, 401), "the location of its weights is not known (HTTP 401)", id="401"),
    pytest.param((403, 403), "the location of its weights is not known (HTTP 403)", id="403"),
    pytest.param((503, 503), "the location of its weights is not known (HTTP 503)", id="503"),
    pytest.param(
        ("a", None),
        "the location of its weights was 'a' before the suite and not known (ServerDisconnectedError) after it",
        id="no connection",
    ),
    pytest.param(
        (503, "a"), "the location of its weights was not known (HTTP 503) before the suite and 'a' after it", id="late"
    ),
]


@pytest.mark.parametrize(("answers", "reason"), CHANGES)
async def test_a_model_whose_weights_changed_or_are_not_known_does_not_pass(answers, reason, monkeypatch):
    report = await report_of(Api(*answers), monkeypatch)

    found = report.models["tiny"]
    assert (found.passed, found.reason) == (False, reason)
    assert found.weights == (answers[0] if isinstance(answers[0], str) else "")
    assert not report.missing


@pytest.mark.parametrize("location", ["a", ""])
async def test_a_model_whose_api_states_the_same_before_and_after_its_suite_passes(location, monkeypatch):
    found = (await report_of(Api(location, location), monkeypatch)).models["tiny"]
    assert (found.passed, found.weights) == (True, location)


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        pytest.param(["--strict"], command.MISSED, id="strict"),
        pytest.param(["--strict", "--sample", "3"], 0, id="a sample does not decide"),
        pytest.param([], 0, id="not strict"),
    ],
)
def test_the_command_prints_why_a_model_did_not_pass(flags, code, monkeypatch, capsys):
    stated = iter(["a", "b"])

    async def weights(_model) -> str:
        return next(stated)

    async def checked(_model) -> None: ...

    monkeypatch.setattr(UrlModel, "weights", weights)
    monkeypatch.setattr(UrlModel, "check", checked)
    monkeypatch.setattr(command, "RUN", {"model": good_suite})
    assert command.evaluate(parsed("--suite", "model", *flags)) == code
    out = capsys.readouterr().out
    assert "did not pass: tiny: " in out
    assert "the location of its weights was 'a' before the suite and 'b' after it" in out


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
