"""The chart sets each setting of the operator, and nothing that the operator does not read."""

from chatscale.settings import ENV_PREFIX, Settings
from chatscale_process.settings import LogFormat
from tests.chart.support import GATEWAY_PEER, OPERATOR_PEER, PROMETHEUS_PEER, operator_container, operator_env

GATEWAY_SELECTOR = "app.kubernetes.io/name=chatscale-gateway,app.kubernetes.io/instance=chatscale"
NOT_IN_THE_CLUSTER = {"kube_context"}
"""Settings that only a developer's machine needs."""


def test_chart_sets_every_setting_and_nothing_else():
    known = {ENV_PREFIX + field.upper() for field in Settings.model_fields if field not in NOT_IN_THE_CLUSTER}

    assert set(operator_env()) == known


def test_each_value_of_the_chart_reaches_its_setting():
    values = {
        "scope": "Namespace",
        "namespaces": ["shop", "support"],
        "server": {"image": "r.example/server:1", "simulatedImage": "r.example/simulated:1"},
        "assistant": {"image": "r.example/assistant:1"},
        "operator": {"maxConcurrentModelRollouts": 3},
        "logLevel": "DEBUG",
        "logFormat": "text",
        "metrics": {"port": 9200},
        "probes": {"port": 8181},
    }

    assert Settings.from_env(operator_env(values)) == Settings(
        server_image="r.example/server:1",
        simulated_server_image="r.example/simulated:1",
        assistant_image="r.example/assistant:1",
        gateway_url="http://chatscale-gateway.models.svc",
        namespaces=("shop", "support"),
        lease_namespace="models",
        max_concurrent_model_rollouts=3,
        gateway_namespace="models",
        gateway_selector=GATEWAY_SELECTOR,
        network_policy_peers=(GATEWAY_PEER, OPERATOR_PEER, PROMETHEUS_PEER),
        log_level="DEBUG",
        log_format=LogFormat.TEXT,
        metrics_port=9200,
        probes_port=8181,
    )


def test_operator_serves_the_whole_cluster_by_default():
    assert Settings.from_env(operator_env()) == Settings(
        server_image="chatscale/server:0.1.0",
        simulated_server_image="chatscale/server-simulated:0.1.0",
        assistant_image="chatscale/assistant:0.1.0",
        gateway_url="http://chatscale-gateway.models.svc",
        namespaces=(),
        lease_namespace="models",
        gateway_namespace="models",
        gateway_selector=GATEWAY_SELECTOR,
        network_policy_peers=(GATEWAY_PEER, OPERATOR_PEER, PROMETHEUS_PEER),
    )


def test_namespace_scope_serves_the_release_namespace_by_default():
    assert Settings.from_env(operator_env({"scope": "Namespace"})).namespaces == ("models",)


def test_starts_the_image_without_arguments():
    assert operator_container().keys().isdisjoint({"args", "command"})


def test_values_reused_from_a_chart_without_the_limit_of_rollouts_give_its_default():
    values = {"operator": {"maxConcurrentModelRollouts": None}}

    assert Settings.from_env(operator_env(values)).max_concurrent_model_rollouts == 1


def test_assistants_reach_the_gateway_with_tls_where_it_has_a_certificate():
    env = operator_env({"gateway": {"tls": {"secretName": "gateway-tls"}}})

    assert Settings.from_env(env).gateway_url == "https://chatscale-gateway.models.svc"
    assert Settings.from_env(operator_env({"gateway": {"enabled": False}})).gateway_url == ""


def test_values_reused_from_a_chart_without_assistants_give_the_default_image():
    assert Settings.from_env(operator_env({"assistant": None})).assistant_image == "chatscale/assistant:0.1.0"
