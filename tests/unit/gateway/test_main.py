"""The process ends with an exit code that tells settings from credentials."""

from pathlib import Path

import pytest

from chatscale_contract.sysexits import SysExit
from chatscale_gateway.__main__ import key_namespaces, main
from chatscale_gateway.settings import Settings


@pytest.fixture(autouse=True)
def logging_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep pytest's own log handlers."""
    monkeypatch.setattr("chatscale_gateway.__main__.set_up_logs", lambda *_, **__: None)


def test_a_bad_setting_is_one_line_and_exit_code_64(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("CHATSCALE_GATEWAY_LOG_LEVEL", "loud")

    assert main() == SysExit.BAD_SETTINGS
    assert capsys.readouterr().err == (
        "chatscale-gateway: CHATSCALE_GATEWAY_LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR, found 'loud'\n"
    )


@pytest.mark.parametrize(
    ("settings", "namespaces"),
    [
        pytest.param(Settings(pod_namespace="system"), ("system",), id="in a pod"),
        pytest.param(Settings(namespaces=("shop",)), ("shop",), id="outside a cluster"),
        pytest.param(Settings(pod_namespace="system", key_namespaces=("a", "b")), ("a", "b"), id="named"),
        pytest.param(Settings(pod_namespace="system", key_namespaces=("*",)), (), id="all"),
    ],
)
def test_keys_are_in_the_gateways_namespace_unless_the_settings_name_others(
    settings: Settings, namespaces: tuple[str, ...]
):
    assert key_namespaces(settings) == namespaces


def test_a_certificate_that_cannot_be_loaded_is_one_line_and_exit_code_64(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    monkeypatch.setenv("CHATSCALE_GATEWAY_TLS_CERT_FILE", str(tmp_path / "tls.crt"))
    monkeypatch.setenv("CHATSCALE_GATEWAY_TLS_KEY_FILE", str(tmp_path / "tls.key"))

    assert main() == SysExit.BAD_SETTINGS
    assert capsys.readouterr().err == (
        f"chatscale-gateway: {tmp_path / 'tls.crt'} cannot be read: No such file or directory\n"
    )


def test_no_credentials_is_one_line_and_exit_code_69(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text("apiVersion: v1\nkind: Config\ncontexts: []\nclusters: []\nusers: []\n")
    monkeypatch.setattr("kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig))
    monkeypatch.setenv("CHATSCALE_GATEWAY_KUBE_CONTEXT", "nowhere")

    assert main() == SysExit.UNAVAILABLE
    assert "chatscale-gateway: no credentials for a cluster: not in a pod, and context 'nowhere'" in (
        capsys.readouterr().err
    )
