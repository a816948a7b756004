"""NetworkPolicies: who may connect to replicas, the gateway and the operator."""

import json
from typing import Any

import pytest

from chatscale.settings import Settings
from chatscale_contract.gateway.endpoints import ADMIN_PORT, API_PORT
from hack.helm import HelmError
from tests.chart.support import GATEWAY_PEER, OPERATOR_PEER, PROMETHEUS_PEER, Manifest, operator_env, render

ASSISTANT_PEER = {
    "namespaceSelector": {},
    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "chatscale-assistant"}},
}


def policy(name: str, values: dict[str, Any] | None = None) -> Manifest:
    found: Manifest = render(values)["NetworkPolicy", "models", name]["spec"]
    return found


def peers(values: dict[str, Any]) -> tuple[Manifest, ...]:
    return Settings.from_env(operator_env(values)).network_policy_peers


def test_replicas_accept_the_gateway_the_operator_and_prometheus():
    assert peers({}) == (GATEWAY_PEER, OPERATOR_PEER, PROMETHEUS_PEER)


def test_the_peers_are_the_pods_of_the_release():
    objects = render()
    for name, peer in (("gateway", GATEWAY_PEER), ("operator", OPERATOR_PEER)):
        pod = objects["Deployment", "models", f"chatscale-{name}"]["spec"]["template"]
        assert peer["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()


def test_extra_rules_reach_the_operator():
    rule = {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}], "ports": [{"port": 8000}]}

    env = operator_env({"networkPolicy": {"extraIngress": [rule]}})

    assert Settings.from_env(env).network_policy_extra_ingress == (rule,)
    assert json.loads(operator_env()["CHATSCALE_OPERATOR_NETWORK_POLICY_EXTRA_INGRESS"]) == []


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"networkPolicy": {"enabled": False}}, id="turned off"),
        pytest.param({"gateway": {"enabled": False}}, id="clients call replicas where there is no gateway"),
    ],
)
def test_replicas_are_open(values: dict[str, Any]):
    assert peers(values) == ()


def test_no_policy_is_left_when_they_are_turned_off():
    assert not [key for key in render({"networkPolicy": {"enabled": False}}) if key[0] == "NetworkPolicy"]


def test_values_reused_from_a_chart_without_policies_give_the_defaults():
    assert render({"networkPolicy": None}) == render()


def test_another_prometheus_replaces_the_default_one():
    selectors = {
        "namespaceSelector": {"matchLabels": None},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": None, "app": "prom"}},
    }

    (*_, found) = peers({"networkPolicy": {"prometheus": selectors}})

    assert found == {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "prom"}}}


def test_everybody_reaches_the_api_port_of_the_gateway_and_few_its_admin_port():
    api, admin = policy("chatscale-gateway")["ingress"]

    assert api == {"ports": [{"protocol": "TCP", "port": API_PORT}]}
    assert admin == {
        "from": [OPERATOR_PEER, GATEWAY_PEER, PROMETHEUS_PEER],
        "ports": [{"protocol": "TCP", "port": ADMIN_PORT}],
    }


def test_the_api_port_can_be_limited_to_an_ingress_controller():
    controller = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "traefik"}}}]

    api, _ = policy("chatscale-gateway", {"networkPolicy": {"gateway": {"from": controller}}})["ingress"]

    assert api["from"] == [*controller, ASSISTANT_PEER]


def test_only_prometheus_reaches_the_operator():
    (rule,) = policy("chatscale-operator", {"metrics": {"port": 9200}})["ingress"]

    assert rule == {"from": [PROMETHEUS_PEER], "ports": [{"protocol": "TCP", "port": 9200}]}


@pytest.mark.parametrize("name", ["chatscale-gateway", "chatscale-operator"])
def test_policies_select_the_pods_of_the_release_and_leave_egress_open(name: str):
    found = policy(name)

    assert found["podSelector"] == render()["Deployment", "models", name]["spec"]["selector"]
    assert found["policyTypes"] == ["Ingress"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"enable": True}, "additional properties 'enable' not allowed", id="unknown value"),
        pytest.param({"extraIngress": [{"form": []}]}, "additional properties 'form' not allowed", id="misspelt rule"),
        pytest.param({"gateway": {"from": [{}]}}, "minProperties: got 0, want 1", id="a peer that selects nothing"),
        pytest.param({"gateway": {"from": [{"ipBlock": {"cidr": "lb"}}]}}, "/ipBlock/cidr", id="a network by name"),
        pytest.param(
            {"gateway": {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}},
            "maxProperties: got 2, want 1",
            id="a network and pods in one peer",
        ),
    ],
)
def test_refuses(values: dict[str, Any], message: str):
    with pytest.raises(HelmError) as refusal:
        render({"networkPolicy": values})

    assert message in str(refusal.value)
