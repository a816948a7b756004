import argparse
import json

import pytest

from chatscale_assistant.errors import SourceError
from chatscale_assistant.evaluation import command
from chatscale_assistant.evaluation.intervals import share
from chatscale_assistant.evaluation.measurement import Measurement
from chatscale_assistant.evaluation.options import SUITES, add_options
from chatscale_assistant.evaluation.suites import RUN
from chatscale_cli.__main__ import main


def options(*flags: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return parser.parse_args(flags)


@pytest.fixture
def suites(monkeypatch):
    async def good(_plan):
        yield Measurement.of("language", "share", share([True] * 10), must=0.5)

    async def bad(_plan):
        yield Measurement.of("gate", "share", share([False] * 10), must=0.5)

    async def without_data(_plan):
        if True:
            raise SourceError("no data")
        yield

    async def broken(_plan):
        if True:
            raise ZeroDivisionError
        yield

    found = {**RUN, "language": good, "gate": bad, "demand": without_data, "schema": broken, "model": good}
    monkeypatch.setattr(command, "RUN", found)


def test_each_declared_suite_has_a_program():
    assert list(RUN) == list(SUITES)


def test_a_missed_must_is_an_error_only_with_strict(suites, tmp_path, capsys):
    flags = ["--suite", "language", "gate", "--json", str(tmp_path / "r.json"), "--page", str(tmp_path / "r.md")]
    assert command.evaluate(options(*flags)) == 0
    assert command.evaluate(options(*flags, "--strict")) == 1
    assert command.evaluate(options("--suite", "language", "--strict")) == 0
    assert [each["suite"] for each in json.loads((tmp_path / "r.json").read_text())["measurements"]] == [
        "gate",
        "language",
    ]
    assert "missed: gate: share: 0" in capsys.readouterr().out


def test_a_suite_that_fails_does_not_end_the_run(suites, tmp_path, capsys):
    file = tmp_path / "r.json"
    assert command.evaluate(options("--suite", "schema", "demand", "language", "--json", str(file), "--strict")) == 1
    report = json.loads(file.read_text())
    assert report["not_run"] == [
        {"suite": "demand", "reason": "no data"},
        {"suite": "schema", "reason": "ZeroDivisionError: "},
    ]
    assert len(report["measurements"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_model_passes_only_if_its_own_suite_ran(suites, tmp_path):
    file = tmp_path / "r.json"
    flags = ["--model", "http://m/v1", "--model-name", "tiny", "--json", str(file)]
    command.evaluate(options(*flags, "--suite", "language"))
    assert json.loads(file.read_text())["models"]["tiny"]["passed"] is False


def test_model_and_its_name_belong_together(capsys):
    assert main(["evaluate", "--model", "http://m/v1"]) != 0
    assert "--model and --model-name belong together" in capsys.readouterr().err
