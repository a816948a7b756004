"""`python -m chatscale`: failures are one readable line and an exit code."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from chatscale.__main__ import main
from chatscale.errors import ClusterUnavailableError, ForbiddenError
from chatscale_contract.server.exit_codes import ExitCode
from chatscale_contract.sysexits import SysExit


def test_bad_settings_give_one_line_and_the_servers_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("CHATSCALE_OPERATOR_LOG_LEVEL", "loud")
    assert main() == SysExit.BAD_SETTINGS == ExitCode.BAD_SETTINGS
    assert capsys.readouterr().err == (
        "chatscale: CHATSCALE_OPERATOR_LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR, found 'loud'\n"
    )


def test_an_unknown_context_gives_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], logging_untouched: None
):
    monkeypatch.setenv("CHATSCALE_OPERATOR_KUBE_CONTEXT", "no-such-context")
    assert main() == SysExit.UNAVAILABLE
    assert "context 'no-such-context' of the kubeconfig cannot be used" in capsys.readouterr().err


@pytest.fixture
def logging_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep pytest's own log handlers."""
    monkeypatch.setattr("chatscale.__main__.set_up_logs", lambda *_, **__: None)


async def fail(*errors: Exception) -> None:
    """Raise each error from its own task of nested task groups, as the operator's tasks are."""

    async def one(error: Exception) -> None:
        raise error

    async with asyncio.TaskGroup() as outer, asyncio.TaskGroup() as inner:
        for error in errors:
            inner.create_task(one(error))
        outer.create_task(asyncio.sleep(0))


@pytest.mark.parametrize(
    ("errors", "code", "said"),
    [
        pytest.param([ClusterUnavailableError("no answer")], SysExit.UNAVAILABLE, "chatscale: no answer\n", id="one"),
        pytest.param(
            [ClusterUnavailableError("no answer"), ForbiddenError("no right")],
            SysExit.UNAVAILABLE,
            "chatscale: no answer\nchatscale: no right\n",
            id="several",
        ),
        pytest.param([ValueError("a bug")], SysExit.BUG, "", id="a bug"),
        pytest.param([ClusterUnavailableError("no answer"), ValueError("a bug")], SysExit.BUG, "chatscale: no answer\n", id="both"),  # noqa: E501
    ],
)  # fmt: skip
@pytest.mark.usefixtures("logging_untouched")
def test_a_task_group_does_not_hide_why_the_operator_ended(
    errors: list[Exception],
    code: SysExit,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr("chatscale.__main__.run_operator", lambda _settings: fail(*errors))
    assert main() == code
    assert capsys.readouterr().err == said


@pytest.fixture
async def kubeconfig(tmp_path: Path) -> AsyncIterator[Path]:
    """Of an API server that has no CRD."""
    async with TestServer(web.Application()) as server:
        path = tmp_path / "kubeconfig"
        path.write_text(
            "{apiVersion: v1, kind: Config, current-context: c, users: [{name: u, user: {token: t}}],"
            " contexts: [{name: c, context: {cluster: c, user: u}}],"
            f' clusters: [{{name: c, cluster: {{server: "{server.make_url("/")}"}}}}]}}'
        )
        yield path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_operator_while_it_waits_for_the_crd(number: signal.Signals, kubeconfig: Path):
    settings = {"KUBE_CONTEXT": "c", "PROBES_PORT": "0", "METRICS_PORT": "0"}
    env = os.environ | {f"CHATSCALE_OPERATOR_{name}": value for name, value in settings.items()}
    operator = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chatscale", env=env | {"KUBECONFIG": str(kubeconfig)}, stderr=asyncio.subprocess.PIPE
    )
    assert operator.stderr is not None
    async with asyncio.timeout(90):
        while "the ChatModel CRD is not installed" not in (line := (await operator.stderr.readline()).decode()):
            assert line, "the operator ended"
        operator.send_signal(number)
        assert "stopped" in (await operator.stderr.read()).decode()
        assert await operator.wait() == 0
