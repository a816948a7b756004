"""The operator's pod: allowed by the `restricted` Pod Security Standard, one at a time, configured by values."""

from typing import Any

import pytest

from tests.chart.support import operator_container, operator_deployment, operator_env, render


def test_passes_the_restricted_pod_security_standard():
    pod = operator_deployment()["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert pod["securityContext"] == {
        "runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert [set(volume) - {"name"} for volume in pod["volumes"]] == [{"emptyDir"}]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)


@pytest.mark.parametrize(
    ("values", "replicas"),
    [pytest.param({}, 1, id="one by default"), pytest.param({"operator": {"replicas": 2}}, 2, id="a standby")],
)
def test_runs_one_operator_unless_a_standby_is_wanted(values: dict[str, Any], replicas: int):
    spec = operator_deployment(values)["spec"]

    assert (spec["replicas"], spec["strategy"]) == (replicas, {"type": "Recreate"})


def test_all_operators_of_a_release_share_one_lease():
    env = operator_env(release="prod")

    assert env["CHATSCALE_OPERATOR_LEASE_NAMESPACE"] == "models"
    assert env["CHATSCALE_OPERATOR_LEASE_NAME"] == "prod-chatscale-operator"


def test_probes_and_ports_follow_the_values():
    container = operator_container({"metrics": {"port": 9200}, "probes": {"port": 8181}})

    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {"metrics": 9200, "probes": 8181}
    assert container["livenessProbe"]["httpGet"] == {"path": "/metrics", "port": "metrics"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": "probes"}


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        pytest.param({}, "chatscale/operator:0.1.0", id="appVersion"),
        pytest.param({"repository": "r.example:5001/a/op", "tag": "v2"}, "r.example:5001/a/op:v2", id="tag"),
        pytest.param({"tag": "sha256:" + "0" * 64}, "chatscale/operator@sha256:" + "0" * 64, id="digest"),
    ],
)
def test_image_reference_has_tag_or_digest(image: dict[str, str], reference: str):
    assert operator_container({"operator": {"image": image}})["image"] == reference


def test_placement_and_credentials_reach_the_pod():
    values = {
        "imagePullSecrets": [{"name": "registry"}],
        "podAnnotations": {"team": "chat"},
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "control", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {}},
    }
    template = operator_deployment(values)["spec"]["template"]

    assert template["metadata"]["annotations"] == values["podAnnotations"]
    for key in ("imagePullSecrets", "nodeSelector", "tolerations", "affinity"):
        assert template["spec"][key] == values[key]


def test_metrics_service_is_found_by_prometheus_annotations():
    service = render({"metrics": {"port": 9200, "service": {"annotations": {"prometheus.io/path": "/other"}}}})[
        "Service", "models", "chatscale-operator-metrics"
    ]

    assert service["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true", "prometheus.io/port": "9200", "prometheus.io/path": "/other",
    }  # fmt: skip
    assert service["spec"]["ports"] == [{"name": "metrics", "port": 9200, "targetPort": "metrics"}]
    assert service["spec"]["selector"] == operator_deployment()["spec"]["selector"]["matchLabels"]


def test_every_object_carries_the_release_in_its_labels():
    unlabelled = [
        key
        for key, manifest in render().items()
        if key[0] != "CustomResourceDefinition"
        and manifest["metadata"].get("labels", {}).get("app.kubernetes.io/instance") != "chatscale"
    ]

    assert unlabelled == []


def test_a_release_of_another_name_keeps_the_chart_in_its_names():
    assert ("Deployment", "models", "prod-chatscale-operator") in render(release="prod")


def test_names_of_a_long_release_fit_where_they_must():
    names = [key[2] for key in render(release="a" * 53) if key[0] == "Service"]

    assert [name for name in names if len(name) > 63] == []
