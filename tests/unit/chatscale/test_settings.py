"""Settings: a variable is either valid, or refused in one line that names it."""

import pytest
from pydantic import ValidationError

from chatscale.settings import Settings
from chatscale_process.settings import LogFormat, SettingsError


def test_an_empty_environment_gives_the_defaults():
    assert Settings.from_env({"PATH": "/bin"}) == Settings()


def test_reads_every_setting():
    environ = {
        "CHATSCALE_OPERATOR_SERVER_IMAGE": "registry/server:2",
        "CHATSCALE_OPERATOR_SIMULATED_SERVER_IMAGE": "registry/simulated:2",
        "CHATSCALE_OPERATOR_NAMESPACES": "sales, support",
        "CHATSCALE_OPERATOR_GATEWAY_NAMESPACE": "chatscale-system",
        "CHATSCALE_OPERATOR_GATEWAY_SELECTOR": "app=gateway,track=blue",
        "CHATSCALE_OPERATOR_NETWORK_POLICY_PEERS": '[{"podSelector": {"matchLabels": {"app": "gateway"}}}]',
        "CHATSCALE_OPERATOR_NETWORK_POLICY_EXTRA_INGRESS": '[{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]',
        "CHATSCALE_OPERATOR_LOG_LEVEL": "DEBUG",
        "CHATSCALE_OPERATOR_LOG_FORMAT": "text",
        "CHATSCALE_OPERATOR_METRICS_PORT": "0",
        "CHATSCALE_OPERATOR_PROBES_PORT": "8181",
        "CHATSCALE_OPERATOR_KUBE_CONTEXT": "kind-chatscale",
    }
    assert Settings.from_env(environ) == Settings(
        server_image="registry/server:2",
        simulated_server_image="registry/simulated:2",
        namespaces=("sales", "support"),
        gateway_namespace="chatscale-system",
        gateway_selector="app=gateway,track=blue",
        network_policy_peers=({"podSelector": {"matchLabels": {"app": "gateway"}}},),
        network_policy_extra_ingress=({"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},),
        log_level="DEBUG",
        log_format=LogFormat.TEXT,
        metrics_port=0,
        probes_port=8181,
        kube_context="kind-chatscale",
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "METRICS_PORT",
            "tcp://10.0.0.1:9100",
            "must be a TCP port from 0 (off) to 65535, found 'tcp://10.0.0.1:9100'",
        ),
        ("METRICS_PORT", "8080", "must differ from CHATSCALE_OPERATOR_PROBES_PORT, found 8080 for both"),
        ("PROBES_PORT", "65536", "must be a TCP port from 0 (off) to 65535, found '65536'"),
        ("LOG_LEVEL", "loud", "must be one of DEBUG, INFO, WARNING, ERROR, found 'loud'"),
        ("LOG_FORMAT", "xml", "must be one of json, text, found 'xml'"),
        ("NAMESPACES", "a,B", "must be a comma-separated list of namespace names, found 'B'"),
        (
            "GATEWAY_SELECTOR",
            "app in (a)",
            "must be a label selector such as app.kubernetes.io/name=chatscale-gateway, found 'app in (a)'",
        ),
        ("NETWORK_POLICY_PEERS", "{}", "must be a JSON array of NetworkPolicyPeers, found {}"),
        ("NETWORK_POLICY_EXTRA_INGRESS", "[", "must be a JSON array of NetworkPolicyIngressRules, found '['"),
        ("SERVER_IMAGE", "", "must be a container image, found ''"),
    ],
)
def test_a_bad_value_is_named_with_what_was_expected(name: str, value: str, message: str):
    with pytest.raises(SettingsError) as refusal:
        Settings.from_env({f"CHATSCALE_OPERATOR_{name}": value})
    assert str(refusal.value) == f"CHATSCALE_OPERATOR_{name} {message}"


def test_a_misspelt_variable_is_refused():
    with pytest.raises(SettingsError, match="CHATSCALE_OPERATOR_LOGLEVEL is not a setting of the operator; known are"):
        Settings.from_env({"CHATSCALE_OPERATOR_LOGLEVEL": "DEBUG"})


def test_lower_case_names_are_not_settings():
    assert Settings.from_env({"chatscale_operator_log_level": "DEBUG"}) == Settings()
    with pytest.raises(SettingsError, match="CHATSCALE_OPERATOR_log_level is not a setting"):
        Settings.from_env({"CHATSCALE_OPERATOR_log_level": "DEBUG"})


def test_only_from_env_reads_an_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CHATSCALE_OPERATOR_LOG_LEVEL", "ERROR")
    assert Settings().log_level == "INFO"
    assert Settings.from_env({}).log_level == "INFO"


def test_settings_cannot_change():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().metrics_port = 1


def test_variables_that_the_kubelet_sets_for_services_are_ignored():
    links = {
        "CHATSCALE_OPERATOR_PORT": "tcp://10.96.0.7:9100",
        "CHATSCALE_OPERATOR_SERVICE_HOST": "10.96.0.7",
        "CHATSCALE_OPERATOR_METRICS_SERVICE_PORT_METRICS": "9100",
        "CHATSCALE_OPERATOR_METRICS_PORT_9100_TCP_ADDR": "10.96.0.7",
    }
    assert Settings.from_env(links) == Settings()
