"""ShopAssistants on a real API server: the CRD's rules, the children, and the chart's rights. No pod becomes Ready."""

import json
from typing import Any

import pytest

from chatscale import names
from chatscale.api.crd import shopassistant_crd
from chatscale.api.v1alpha1 import ShopAssistantStatus, SourceStatus, ToolServerStatus
from chatscale.reconcile.shopassistant.status import as_patch
from hack import kube
from tests.integration.operator_process import OperatorProcess
from tests.support.clock import eventually

TOOL = {"name": "orders", "mcp": "http://orders.shop", "allow": ["get", "cancel"]}
IDENTITY = {"secretRef": {"name": "jwt"}}


def assistant(namespace: str, name: str = "shop", **spec: Any) -> dict[str, Any]:
    """As a user writes it."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.SHOPASSISTANT.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"model": {"chatModel": "tiny"}, **spec},
    }


def dry_run(manifest: dict[str, Any]) -> dict[str, Any]:
    out = kube.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-", stdin=json.dumps(manifest)
    )
    answer: dict[str, Any] = json.loads(out)
    return answer


def test_the_api_server_takes_the_crd_and_reports_no_problem_of_its_schema():
    crd = kube.get("crd", "shopassistants.chatscale.dev", "default")

    assert crd is not None
    conditions = {c["type"]: c["status"] for c in crd["status"]["conditions"]}
    bad = {"NonStructuralSchema": "True", "NamesAccepted": "False", "Established": "False"}
    assert not bad.items() & conditions.items()
    manifest = json.dumps(shopassistant_crd())
    out = kube.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-", stdin=manifest)
    assert "serverside-applied" in out


def test_kubectl_explains_a_field():
    out = kube.kubectl("explain", "shopa.spec.tools.writes")

    assert "customer's confirmation" in " ".join(out.split())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param({"model": {}}, "spec.model needs exactly one of chatModel and external", id="no model"),
        pytest.param({"knowledge": [{"name": "a"}]}, "spec.knowledge[] needs exactly one of configMap, claim and url", id="no source"),  # noqa: E501
        pytest.param({"knowledge": [{"name": "a", "configMap": "a", "claim": "b"}]}, "spec.knowledge[] needs exactly one", id="two sources"),  # noqa: E501
        pytest.param({"knowledge": [{"name": "a", "configMap": "a"}, {"name": "a", "claim": "b"}]}, "Duplicate value", id="one name twice"),  # noqa: E501
        pytest.param({"tools": [{**TOOL, "writes": ["refund"]}], "identity": IDENTITY}, "spec.tools[].writes must name tools of spec.tools[].allow", id="write that is not allowed"),  # noqa: E501
        pytest.param({"tools": [{**TOOL, "writes": ["cancel"]}]}, "spec.tools[].writes needs spec.identity", id="write for nobody"),  # noqa: E501
        pytest.param({"identity": {}}, "spec.identity needs exactly one of secretRef and jwks", id="no identity"),
        pytest.param({"replicas": {"min": 3, "max": 2}}, "spec.replicas.max must be at least spec.replicas.min", id="max below min"),  # noqa: E501
        pytest.param({"languages": ["tlh"]}, 'spec.languages[0]: Unsupported value: "tlh"', id="unknown language"),
        pytest.param({"privacy": {"keep": "Everything"}}, "spec.privacy.keep: Unsupported value", id="storing"),
    ],
)  # fmt: skip
def test_refuses_in_our_words(spec: dict[str, Any], message: str, namespace: str):
    with pytest.raises(kube.KubectlError) as refusal:
        dry_run(assistant(namespace, **{"model": {"chatModel": "tiny"}, **spec}))

    assert message in str(refusal.value)


@pytest.mark.parametrize("name", ["1shop", "a" * 41])
def test_refuses_a_name_that_no_service_can_have(name: str, namespace: str):
    with pytest.raises(kube.KubectlError, match=r"metadata\.name"):
        dry_run(assistant(namespace, name))


def test_the_status_is_taken_whole(namespace: str):
    kube.apply(assistant(namespace, "kept"))
    status = ShopAssistantStatus(
        replicas=2, ready_replicas=1, desired_replicas=2, model="tiny", phase="Ready", index="i1", model_writes=False,
        sources=[SourceStatus(name="policies", chunks=3, digest="d", message="m")],
        tools=[ToolServerStatus(name="orders", digest="sha256:1", pinned_for="x", message="m")],
    )  # fmt: skip
    patch = json.dumps({"status": as_patch(status)})
    # Not stored: an operator on the cluster would write its own status over it.
    taken = kube.kubectl(
        "patch", "shopa", "kept", "-n", namespace, "--subresource=status", "--type=merge", "-p", patch,
        "--dry-run=server", "-o", "json",
    )  # fmt: skip

    assert ShopAssistantStatus.model_validate(json.loads(taken)["status"]) == status


def test_creates_its_children_under_the_charts_rights_and_a_deletion_takes_them(
    namespace: str, operator: OperatorProcess
):
    kube.apply(assistant(namespace, "made", replicas={"min": 2, "max": 4}))

    def children() -> dict[str, dict[str, Any]]:
        kinds = "deployments,services,configmaps,secrets,poddisruptionbudgets,hpa"
        found = kube.list_items(kinds, namespace, f"{names.SHOPASSISTANT.label}=made")
        return {each["kind"]: each for each in found}

    def all_exist() -> None:
        expected = {
            "Deployment", "Service", "ConfigMap", "Secret", "PodDisruptionBudget", "HorizontalPodAutoscaler",
        }  # fmt: skip
        assert set(children()) == expected

    eventually(all_exist, within=30)
    found = kube.get("shopassistant", "made", namespace)
    assert found is not None
    uid = found["metadata"]["uid"]
    assert {child["metadata"]["ownerReferences"][0]["uid"] for child in children().values()} == {uid}
    before = {kind: child["metadata"]["uid"] for kind, child in children().items()}
    key = children()["Secret"]["data"]

    operator.stop()
    operator.start()
    eventually(all_exist, within=30)
    assert {kind: child["metadata"]["uid"] for kind, child in children().items()} == before
    assert children()["Secret"]["data"] == key

    kube.kubectl("delete", "shopa", "made", "-n", namespace, "--timeout=20s")

    def none_exists() -> None:
        assert children() == {}

    eventually(none_exists, within=60)


def test_a_chatmodel_of_the_same_name_is_named_in_the_condition(namespace: str, operator: OperatorProcess):
    kube.apply(assistant(namespace, "twin"))
    chatmodel = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": "twin", "namespace": namespace},
        "spec": {"model": {"uri": "hf://o/m"}, "device": "CPU", "server": {"engine": "Simulated"}},
    }
    kube.apply(chatmodel)

    def is_named() -> None:
        found = kube.condition(kube.get("shopassistant", "twin", namespace), "Ready")
        assert (found.get("status"), found.get("reason")) == ("False", "NameTaken")

    eventually(is_named, within=30)
    assert kube.get("deployment", "twin", namespace) is not None, "the ChatModel keeps its own Deployment"
    assert kube.get("deployment", "twin-assistant", namespace) is not None
