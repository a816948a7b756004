"""`python -m chatscale`: failures are one readable line and an exit code."""

import pytest

from chatscale.__main__ import main
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
