"""The demo says that it worked only if everything happened, and in words what did not."""

import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from chatscale_contract.money import Price
from hack import kube
from hack.demo.__main__ import main
from hack.demo.next_steps import NextSteps, addresses_in, commands_in
from hack.demo.steps import Recorder, StepFailedError, step
from hack.demo.story import Moment, shortcomings, summary
from hack.helm import HelmError
from hack.keys import KeyCommandError
from hack.load import Fate, LoadReport, Outcome

UP_AND_DOWN = [Moment(0, 1, 1, 0), Moment(4, 3, 1, 20), Moment(8, 3, 3, 7), Moment(12, 1, 1, 0)]
SERVED = LoadReport([Outcome(Fate.ANSWERED, "", 0.0, 0.5), Outcome(Fate.REFUSED, "HTTP 429", 1.0)])
CUT = LoadReport([*SERVED.outcomes, Outcome(Fate.LOST, "cut", 2.0)])
REFUSED = LoadReport([Outcome(Fate.REFUSED, "HTTP 429", 1.0)])


def chatmodel(desired: int, ready: int, queue: int = 0) -> kube.Manifest:
    return {"status": {"desiredReplicas": desired, "readyReplicas": ready, "queueDepth": queue}}


def test_a_sale_that_went_up_and_down_lacks_nothing():
    assert shortcomings(UP_AND_DOWN, SERVED) == []


@pytest.mark.parametrize(
    ("moments", "report", "message"),
    [
        pytest.param([], SERVED, "the sale did not begin with 1 replica but with none seen", id="nothing seen"),
        pytest.param(UP_AND_DOWN[2:], SERVED, "did not begin with 1 replica but with 3", id="began high"),
        pytest.param(UP_AND_DOWN[:2], SERVED, "did not raise the replicas above 1: at most 1 answered", id="never up"),
        pytest.param(UP_AND_DOWN[:3], SERVED, "did not come back to 1: 3 wanted, 3 answer", id="never down"),
        pytest.param(
            [*UP_AND_DOWN[:3], Moment(12, 3, 1, 0)], SERVED, "did not come back to 1: 3 wanted, 1 answer", id="wants"
        ),
        pytest.param([Moment(0, 1, 1, 0), Moment(4, 2, 2, 0), Moment(8, 1, 1, 0)], SERVED, "seen waiting", id="queue"),
        pytest.param(UP_AND_DOWN, CUT, "requests were lost, or none was answered: 3 sent", id="lost"),
        pytest.param(UP_AND_DOWN, REFUSED, "requests were lost, or none was answered: 1 sent", id="none answered"),
    ],
)
def test_names_what_did_not_happen(moments: list[Moment], report: LoadReport, message: str):
    assert message in "; ".join(shortcomings(moments, report))


def test_the_summary_draws_replicas_and_queue_and_counts_requests():
    record = {"time": "2026-01-01T00:00:00Z", "from": 1, "to": 3, "reason": "Burst: 20 wait"}

    assert summary(UP_AND_DOWN, SERVED, [record]) == [
        "replicas that answer, over time; a column is 4 s:",
        "3 |  # ",
        "2 |  # ",
        "1 |####",
        "  +----",
        "queue depth, in tenths of its maximum:",
        "  | X3 ",
        "queue depth: at most 20 requests waiting",
        "requests: 2 sent, 1 answered, 1 refused, 0 lost",
        "time to first token: median 0.5 s, p95 0.5 s",
        "cost: 0.5 replica-minutes; a fixed fleet of 3 costs 0.6",
        "decisions, newest first:",
        "  2026-01-01T00:00:00Z  1 -> 3  Burst: 20 wait",
    ]


def test_a_summary_shows_money_where_there_is_a_price():
    money = "cost: 0.5 replica-minutes; a fixed fleet of 3 costs 0.6: 1.94 EUR instead of 2.50 EUR"
    assert money in summary(UP_AND_DOWN, SERVED, [], Price(gpu_hour=Decimal(250)))


def test_a_summary_of_nothing_is_no_error():
    assert "queue depth: at most 0 requests waiting" in summary([], LoadReport(), [])


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(StepFailedError("no burst"), id="step"),
        pytest.param(TimeoutError("not within 300 s"), id="wait"),
        pytest.param(TimeoutError(), id="without a word"),
        pytest.param(HelmError("helm upgrade: refused"), id="helm"),
        pytest.param(kube.KubectlError("apply: invalid"), id="kubectl"),
        pytest.param(KeyCommandError("chatscale key create: refused"), id="key"),
        pytest.param(subprocess.TimeoutExpired("kubectl", 60), id="kubectl hangs"),
        pytest.param(FileNotFoundError("kubectl"), id="no kubectl"),
        pytest.param(aiohttp.ServerDisconnectedError(), id="server gone"),
    ],
)
def test_a_step_that_fails_fails_the_demo_in_one_line(error: Exception, capsys: pytest.CaptureFixture[str]):
    def fail() -> None:
        raise error

    told: list[bool] = []

    assert main(fail, lambda: told.append(True)) == 1
    assert told == [True]
    assert capsys.readouterr().err.startswith(f"\nThe demo failed: {str(error) or type(error).__name__}")


def test_a_demo_that_ends_well_says_how_long_it_took(capsys: pytest.CaptureFixture[str]):
    assert main(lambda: None) == 0
    assert "Demo finished in 0 s." in capsys.readouterr().out


def test_a_step_prints_its_title_and_its_result(capsys: pytest.CaptureFixture[str]):
    with step("Install") as done:
        done("it runs")

    assert capsys.readouterr().out == "\n== Install\n   it runs (0 s)\n"


def _looks(*answers: kube.Manifest | Exception) -> Callable[[], kube.Manifest | None]:
    left = iter(answers)

    def look() -> kube.Manifest | None:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return look


def test_the_recorder_keeps_every_look_and_prints_changes(capsys: pytest.CaptureFixture[str]):
    recorder = Recorder(_looks(chatmodel(1, 1), kube.KubectlError("away"), chatmodel(1, 1), chatmodel(3, 1, 9)), 3)

    for _ in range(4):
        recorder.take()

    assert [(moment.desired, moment.ready, moment.queue) for moment in recorder.moments] == [
        (1, 1, 0), (1, 1, 0), (3, 1, 9),
    ]  # fmt: skip
    assert [line.partition("s  ")[2] for line in capsys.readouterr().out.splitlines()] == [
        "replicas [#  ]  waiting 0", "replicas [#..]  waiting 9",
    ]  # fmt: skip


def test_the_recorder_looks_first_and_last():
    recorder = Recorder(_looks(chatmodel(1, 1), chatmodel(3, 3)), 3)

    with recorder.running():
        pass

    assert [moment.ready for moment in recorder.moments] == [1, 3]


def test_a_chatmodel_without_status_counts_as_nothing():
    assert Moment.of({}, 1.0) == Moment.of(None, 1.0) == Moment(1.0, 0, 0, 0)


@pytest.mark.parametrize("where", ["tools", "elsewhere"])
def test_the_next_commands_work_in_the_users_shell(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    kubectl = tmp_path / where / "kubectl"
    kubectl.parent.mkdir()
    kubectl.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(kubectl.parent))

    said = NextSteps("http://127.0.0.1:30080", "demo", "real", "shop", tmp_path / "tools", "system").text()

    assert (f"export PATH={tmp_path / 'tools'}:$PATH" in said) is (where == "tools")
    assert "KEY=$(.venv/bin/chatscale key create" in said
    assert "key create me --live" in said, "the link to the live page needs it"
    assert "Open http://127.0.0.1:30080/ and enter the key." in said
    assert "ssh -N -L 8080:127.0.0.1:30080 THIS-MACHINE" in said
    assert addresses_in(said) == ["http://127.0.0.1:30080/", "http://127.0.0.1:30080/live", "http://127.0.0.1:8080/"]
    commands = commands_in(said)
    assert len(commands) == 9 + (where == "tools")
    assert subprocess.run(["/bin/bash", "-n"], input="\n".join(commands), text=True, check=False).returncode == 0
    assert 'curl -N http://127.0.0.1:30080/v1/chat/completions -H "Authorization: Bearer $KEY"' in said
