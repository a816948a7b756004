"""Ways to the gateway from outside the cluster: TLS, Ingress, HTTPRoute. All are off by default."""

from typing import Any

import pytest

from hack.helm import HelmError
from tests.chart.support import Manifest, render

NAME = "chatscale-gateway"
TLS = {"tls": {"secretName": "gateway-tls"}}


def found(kind: str, values: dict[str, Any]) -> Manifest:
    manifest: Manifest = render({"gateway": values})[kind, "models", NAME]
    return manifest


def test_nothing_leads_into_the_cluster_by_default():
    objects = render()

    assert not [key for key in objects if key[0] in {"Ingress", "HTTPRoute"}]
    assert objects["Service", "models", NAME]["spec"]["type"] == "ClusterIP"


def test_without_a_gateway_there_is_no_ingress():
    values = {
        "enabled": False,
        "ingress": {"enabled": True},
        "httpRoute": {"enabled": True, "parentRefs": [{"name": "x"}]},
    }

    assert not [key for key in render({"gateway": values}) if key[0] in {"Ingress", "HTTPRoute"}]


def test_the_secret_is_mounted_so_that_the_kubelet_updates_it():
    pod = found("Deployment", TLS)["spec"]["template"]["spec"]

    assert {"name": "tls", "mountPath": "/tls", "readOnly": True} in pod["containers"][0]["volumeMounts"]
    assert {"name": "tls", "secret": {"secretName": "gateway-tls"}} in pod["volumes"]


def test_with_tls_clients_use_port_443():
    assert found("Service", TLS)["spec"]["ports"] == [
        {"name": "https", "port": 443, "targetPort": "api", "appProtocol": "https"}
    ]


@pytest.mark.parametrize("kind", ["ClusterIP", "NodePort", "LoadBalancer"])
def test_the_service_has_the_chosen_type(kind: str):
    assert found("Service", {"service": {"type": kind}})["spec"]["type"] == kind


def test_an_ingress_has_the_hosts_the_prefix_and_the_annotations():
    ingress = {
        "enabled": True, "className": "haproxy", "hosts": ["llm.example", "*.shop.example"],
        "tls": [{"hosts": ["llm.example"], "secretName": "llm-tls"}],
        "annotations": {"haproxy.org/timeout-server": "1h"},
    }  # fmt: skip

    manifest = found("Ingress", {"pathPrefix": "/llm", "ingress": ingress})

    backend = {"service": {"name": NAME, "port": {"name": "http"}}}
    paths = {"paths": [{"path": "/llm", "pathType": "Prefix", "backend": backend}]}
    assert manifest["metadata"]["annotations"] == ingress["annotations"]
    assert manifest["spec"] == {
        "ingressClassName": "haproxy",
        "tls": ingress["tls"],
        "rules": [{"host": "llm.example", "http": paths}, {"host": "*.shop.example", "http": paths}],
    }


def test_an_ingress_without_hosts_is_for_all_of_them():
    (rule,) = found("Ingress", {"ingress": {"enabled": True}})["spec"]["rules"]

    assert "host" not in rule
    assert rule["http"]["paths"][0]["path"] == "/"


def test_an_ingress_names_the_port_that_the_service_has():
    values = {**TLS, "ingress": {"enabled": True}}
    (rule,) = found("Ingress", values)["spec"]["rules"]

    port = rule["http"]["paths"][0]["backend"]["service"]["port"]["name"]
    assert [each["name"] for each in found("Service", values)["spec"]["ports"]] == [port]


@pytest.mark.parametrize(("values", "port"), [({}, 80), (TLS, 443)], ids=["HTTP", "TLS"])
def test_a_route_has_no_time_limit_for_requests(values: dict[str, Any], port: int):
    route = {"enabled": True, "parentRefs": [{"name": "shared", "namespace": "infra"}], "hostnames": ["llm.example"]}

    assert found("HTTPRoute", {**values, "pathPrefix": "/llm", "httpRoute": route})["spec"] == {
        "parentRefs": route["parentRefs"],
        "hostnames": ["llm.example"],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/llm"}}],
                "backendRefs": [{"name": NAME, "port": port}],
                "timeouts": {"request": "0s"},
            }
        ],
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"ingress": {"enabled": True, "hosts": ["https://a"]}}, "/gateway/ingress/hosts/0", id="host"),
        pytest.param({"ingress": {"class": "x"}}, "additional properties 'class' not allowed", id="unknown value"),
        pytest.param({"ingress": {"annotations": {"a/b": 60}}}, "got number, want string", id="annotation as a number"),
        pytest.param({"httpRoute": {"enabled": True}}, "/gateway/httpRoute/parentRefs", id="a route without a parent"),
        pytest.param(
            {"httpRoute": {"timeouts": {"request": "1 hour"}}}, "/gateway/httpRoute/timeouts/request", id="duration"
        ),
        pytest.param({"trustedProxies": ["lb.example"]}, "/gateway/trustedProxies/0", id="a proxy by name"),
        pytest.param({"trustedProxies": ["10.0.0.0/33"]}, "/gateway/trustedProxies/0", id="a prefix that is too long"),
        pytest.param({"tls": {"secretName": "A_B"}}, "/gateway/tls/secretName", id="secret name"),
    ],
)
def test_refuses(values: dict[str, Any], message: str):
    with pytest.raises(HelmError) as refusal:
        render({"gateway": values})

    assert message in str(refusal.value)
