"""When the chat model may phrase answers."""

import json

import pytest

from chatscale.api.v1alpha1.shopassistant import AssistantModel
from chatscale_assistant.upstream.permission import ModelPermission, Permission


def model(writes="WhenEvaluated"):
    return AssistantModel.model_validate({"chatModel": "tiny", "writes": writes})


async def refreshed(file, weights, writes="WhenEvaluated"):
    async def read():
        return weights

    permission = ModelPermission(model(writes), file, read)
    await permission.refresh()
    return permission


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
async def test_a_model_writes_only_while_the_report_says_that_it_passed(tmp_path, report, message):
    file = tmp_path / "report.json"
    file.write_text(json.dumps(report))

    assert (await refreshed(file, "")).current == Permission(allowed=not message, message=message)


@pytest.mark.parametrize(
    ("evaluated", "now", "message"),
    [
        pytest.param("hf://o/m@1", "hf://o/m@1", "", id="the same"),
        pytest.param(
            "hf://o/m@1", "hf://o/m@2",
            "the evaluation report is about the weights 'hf://o/m@1' of model tiny, and its API now states "
            "'hf://o/m@2'", id="other ones",
        ),
        pytest.param(
            "hf://o/m@1", "",
            "the evaluation report is about the weights 'hf://o/m@1' of model tiny, and its API states none",
            id="none now",
        ),
        pytest.param(
            None, "hf://o/m@1",
            "the evaluation report is about the weights '' of model tiny, and its API now states 'hf://o/m@1'",
            id="none in the report",
        ),
        pytest.param(
            "hf://o/m@1", None, "the API of model tiny has not answered GET /models yet", id="the API does not answer"
        ),
    ],
)  # fmt: skip
async def test_a_report_lets_only_the_weights_write_that_it_is_about(tmp_path, evaluated, now, message):
    file = tmp_path / "report.json"
    entry = {"passed": True} | ({"weights": evaluated} if evaluated is not None else {})
    file.write_text(json.dumps({"models": {"tiny": entry}}))

    assert (await refreshed(file, now)).current == Permission(allowed=not message, message=message)


async def test_a_model_with_new_weights_stops_writing_within_half_a_minute(tmp_path):
    (tmp_path / "report.json").write_text('{"models": {"tiny": {"passed": true, "weights": "a"}}}')
    stated: dict[str, str | None] = {"now": "a"}
    clock = iter(range(0, 1000, 2))

    async def weights() -> str | None:
        return stated["now"]

    permission = ModelPermission(model(), tmp_path / "report.json", weights, lambda: next(clock))
    await permission.refresh()
    assert permission.current.allowed

    stated["now"] = None  # an API that is away says nothing about its weights
    for _ in range(40):
        await permission.refresh()
    assert permission.current.allowed

    stated["now"] = "b"
    for _ in range(15):
        await permission.refresh()
    assert not permission.current.allowed


async def test_a_changed_report_is_read_again(tmp_path):
    file = tmp_path / "report.json"
    permission = await refreshed(file, "")
    assert permission.current.message == "there is no evaluation report for spec.model.evaluation"

    file.write_text('{"models": {"tiny": {"passed": true}}}')
    await permission.refresh()
    assert permission.current.allowed

    file.write_text("not JSON at all")
    await permission.refresh()
    assert not permission.current.allowed

    file.unlink()
    await permission.refresh()
    assert not permission.current.allowed


@pytest.mark.parametrize(("writes", "allowed"), [("Never", False), ("Always", True)])
async def test_the_spec_can_decide_without_a_report(tmp_path, writes, allowed):
    permission = await refreshed(tmp_path / "none", None, writes)
    assert permission.current.allowed is allowed
