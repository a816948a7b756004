"""When the chat model may phrase answers."""

import json

import pytest

from chatscale.api.v1alpha1.shopassistant import AssistantModel
from chatscale_assistant.upstream.permission import ModelPermission, Permission


def model(writes="WhenEvaluated"):
    return AssistantModel.model_validate({"chatModel": "tiny", "writes": writes})


@pytest.mark.parametrize(
    ("report", "message"),
    [
        pytest.param({"models": {"tiny": {"passed": True}}, "revision": "a"}, "", id="passed"),
        pytest.param(
            {"models": {"tiny": {"passed": False}}}, "model tiny did not pass the evaluation", id="not passed"
        ),
        pytest.param({"models": {"tiny": {"passed": "yes"}}}, "model tiny did not pass the evaluation", id="no bool"),
        pytest.param({"models": {"big": {"passed": True}}}, "the evaluation report has no model tiny", id="another"),
        pytest.param({"models": []}, "the evaluation report has no `models`", id="no models"),
        pytest.param([], "the evaluation report has no `models`", id="no object"),
    ],
)
def test_a_model_writes_only_while_the_report_says_that_it_passed(tmp_path, report, message):
    file = tmp_path / "report.json"
    file.write_text(json.dumps(report))

    assert ModelPermission(model(), file).current == Permission(allowed=not message, message=message)


def test_a_changed_report_is_read_again(tmp_path):
    file = tmp_path / "report.json"
    permission = ModelPermission(model(), file)
    assert permission.current.message == "there is no evaluation report for spec.model.evaluation"

    file.write_text('{"models": {"tiny": {"passed": true}}}')
    permission.refresh()
    assert permission.current.allowed

    file.write_text("not JSON at all")
    permission.refresh()
    assert not permission.current.allowed

    file.unlink()
    permission.refresh()
    assert not permission.current.allowed


@pytest.mark.parametrize(("writes", "allowed"), [("Never", False), ("Always", True)])
def test_the_spec_can_decide_without_a_report(tmp_path, writes, allowed):
    assert ModelPermission(model(writes), tmp_path / "none").current.allowed is allowed
