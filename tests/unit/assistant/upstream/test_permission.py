"""When the chat model may phrase answers."""

import json
from pathlib import Path

import pytest

from chatscale.api.v1alpha1.shopassistant import AssistantModel
from chatscale_assistant.upstream.permission import MAX_REPORT_BYTES, ModelPermission, Permission
from chatscale_assistant.upstream.weights import NotKnown

AWAY, REFUSED = NotKnown("ClientConnectorError"), NotKnown("HTTP 403", refused=True)


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
            "the evaluation report states the location 'hf://o/m@1' of the weights of model tiny, and its API now "
            "states 'hf://o/m@2'", id="other ones",
        ),
        pytest.param(
            "hf://o/m@1", "",
            "the evaluation report states the location 'hf://o/m@1' of the weights of model tiny, and its API now "
            "states none",
            id="none now",
        ),
        pytest.param(
            None, "hf://o/m@1",
            "the evaluation report states no location of the weights of model tiny, and its API now states 'hf://o/m@1'",
            id="none in the report",
        ),
        pytest.param(
            [[7]], "", "the evaluation report has a wrong location of the weights of model tiny", id="no text"
        ),
        pytest.param(
            "hf://o/m@1", AWAY,
            "the location of the weights of model tiny is not known: GET /models: ClientConnectorError", id="away",
        ),
        pytest.param(
            "hf://o/m@1", REFUSED,
            "the location of the weights of model tiny is not known: GET /models: HTTP 403", id="refused",
        ),
    ],
)  # fmt: skip
async def test_a_report_lets_only_the_weights_write_that_it_is_about(tmp_path, evaluated, now, message):
    file = tmp_path / "report.json"
    entry = {"passed": True} | ({"weights": evaluated} if evaluated is not None else {})
    file.write_text(json.dumps({"models": {"tiny": entry}}))

    assert (await refreshed(file, now)).current == Permission(allowed=not message, message=message)


class Api:
    """States a location of the weights, or does not. The clock goes on by 2 s after each refresh."""

    def __init__(self, folder: Path, states: str | NotKnown) -> None:
        file = folder / "report.json"
        file.write_text('{"models": {"tiny": {"passed": true, "weights": "a"}}}')
        self.now_s, self.asked_s, self.states = 0.0, list[float](), states
        self.permission = ModelPermission(model(), file, self.weights, lambda: self.now_s)

    async def weights(self) -> str | NotKnown:
        self.asked_s.append(self.now_s)
        return self.states

    async def follow(self, seconds: int) -> None:
        for _ in range(seconds // 2):
            await self.permission.refresh()
            self.now_s += 2


async def test_a_model_whose_api_states_another_location_stops_writing_within_half_a_minute(tmp_path):
    api = Api(tmp_path, "a")
    await api.follow(2)
    assert api.permission.current.allowed

    api.states = "b"
    await api.follow(30)
    assert not api.permission.current.allowed


@pytest.mark.parametrize("states", [AWAY, REFUSED])
async def test_a_model_writes_for_five_minutes_without_an_answer_of_its_api(tmp_path, states):
    api = Api(tmp_path, "a")
    await api.follow(2)
    api.states = states
    await api.follow(298)
    assert api.permission.current.allowed

    await api.follow(2)
    message = f"the location of the weights of model tiny is not known: GET /models: {states.reason}"
    assert api.permission.current == Permission(allowed=False, message=message)

    api.states = "a"
    await api.follow(30)
    assert api.permission.current.allowed


@pytest.mark.parametrize(
    ("first", "then", "asked_s"),
    [
        pytest.param(AWAY, AWAY, [0, 2, 4, 6, 8], id="before the first answer"),
        pytest.param(REFUSED, REFUSED, [0, 30], id="refused"),
        pytest.param("a", AWAY, [0, 30], id="after the first answer"),
        pytest.param("a", "a", [0, 30], id="answers"),
    ],
)
async def test_asks_every_two_seconds_only_until_the_api_answers(tmp_path, first, then, asked_s):
    api = Api(tmp_path, first)
    await api.follow(2)
    api.states = then
    await api.follow(58 if len(asked_s) == 2 else 8)
    assert api.asked_s == asked_s


async def test_logs_why_the_location_is_not_known_once(tmp_path, caplog):
    caplog.set_level("INFO")
    api = Api(tmp_path, REFUSED)
    await api.follow(300)
    api.states = "a"
    await api.follow(60)
    api.states = AWAY
    await api.follow(60)
    logged = [each.__dict__.get("not_known") for each in caplog.records if "request for" in each.message]
    assert logged == ["HTTP 403", "", "ClientConnectorError"]


async def test_a_changed_report_is_read_again(tmp_path):
    file = tmp_path / "report.json"
    permission = await refreshed(file, "")
    assert permission.current.message == "there is no evaluation report for spec.model.evaluation"

    file.write_text('{"models": {"tiny": {"passed": true}}}')
    await permission.refresh()
    assert permission.current.allowed

    file.unlink()
    await permission.refresh()
    assert not permission.current.allowed


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(b"not JSON at all", id="no JSON"),
        pytest.param(b"[" * 200_000, id="nested too deep"),
        pytest.param(b'{"models": {"tiny": {"passed": true, "weights": "\xff"}}}', id="no UTF-8"),
        pytest.param(b'{"models": {"tiny": {"passed": true, "weights": ' + b"[" * 400 + b"]" * 400 + b"}}}", id="deep"),
        pytest.param(b'{"models": {"tiny": {"passed": true, "weights": null}}}', id="null"),
        pytest.param(b'{"models": {"tiny": {"passed": true}}} ' + b" " * MAX_REPORT_BYTES, id="too long"),
    ],
)
async def test_a_broken_report_allows_nothing(tmp_path, broken):
    file = tmp_path / "report.json"
    file.write_text('{"models": {"tiny": {"passed": true}}}')
    permission = await refreshed(file, "")
    assert permission.current.allowed

    file.write_bytes(broken)
    await permission.refresh()
    assert not permission.current.allowed


@pytest.mark.parametrize(("writes", "allowed"), [("Never", False), ("Always", True)])
async def test_the_spec_can_decide_without_a_report(tmp_path, writes, allowed):
    permission = await refreshed(tmp_path / "none", None, writes)
    assert permission.current.allowed is allowed
