"""The operator process, from source, at work on a real API server."""

import json
import time
from collections.abc import Callable, Container
from typing import Any

import pytest

from chatscale import names
from hack import kube
from tests.integration.operator_process import OperatorProcess
from tests.integration.test_crd import chatmodel
from tests.support.builders import a_foreign_hpa
from tests.support.clock import eventually

Manifest = dict[str, Any]
FAST = {"source": {"type": "PodScrape", "intervalSeconds": 1}}
OPERATOR = {"mode": "Operator", "minReplicas": 2, "maxReplicas": 4, **FAST}

pytestmark = pytest.mark.usefixtures("operator")


@pytest.fixture
def apply(namespace: str) -> Callable[..., None]:
    """Apply a ChatModel as a user does, the first time and again."""

    def apply(name: str, **spec: Any) -> None:
        kube.apply(chatmodel(namespace, name, **spec))

    return apply


@pytest.fixture
def get(namespace: str) -> Callable[[str, str], Manifest]:
    """An object that must be there."""

    def get(kind: str, name: str) -> Manifest:
        found = kube.get(kind, name, namespace)
        assert found is not None, f"no {kind} {name}"
        return found

    return get


def reason(found: Manifest, kind: str) -> str | None:
    return kube.condition(found, kind).get("reason")


def test_makes_deployment_and_service_that_the_chatmodel_owns(apply, get):
    apply("made")
    deployment = eventually(lambda: get("deployment", "made"))
    service = eventually(lambda: get("service", "made"))
    uid = get("chatmodel", "made")["metadata"]["uid"]
    assert [owner["uid"] for found in (deployment, service) for owner in found["metadata"]["ownerReferences"]] == [
        uid
    ] * 2


def test_leaves_nothing_of_its_own_on_the_users_object(apply, get):
    apply("clean")
    eventually(lambda: get("service", "clean"))
    meta = get("chatmodel", "clean")["metadata"]
    assert "finalizers" not in meta
    assert not [name for name in meta["annotations"] if "kopf" in name or "chatscale" in name]


def test_the_status_has_what_scale_and_printer_columns_need(apply, get, namespace: str):
    apply("columns", replicas=0)
    eventually(lambda: _assert_equal(reason(get("chatmodel", "columns"), "Ready"), "ScaledToZero"))
    scale = json.loads(
        kube.kubectl("get", "--raw", f"/apis/{names.API_VERSION}/namespaces/{namespace}/chatmodels/columns/scale")
    )
    assert scale["status"] == {
        "replicas": 0,
        "selector": "app.kubernetes.io/name=chatscale-server,chatscale.dev/chatmodel=columns",
    }
    row = kube.kubectl("get", "chatmodel", "columns", "-n", namespace, "--no-headers").split()
    assert row[:2] == ["columns", "hf://example/tiny"]
    assert "ScaledToZero" in row


def test_replicas_have_one_owner_and_the_template_another(apply, get, namespace: str):
    apply("owned", replicas=3)
    eventually(lambda: get("service", "owned"))
    out = kube.kubectl("get", "deployment", "owned", "-n", namespace, "-o", "json", "--show-managed-fields")
    owners: dict[str, set[str]] = {"replicas": set(), "template": set()}
    for entry in json.loads(out)["metadata"]["managedFields"]:
        for field, managers in owners.items():
            if f"f:{field}" in entry["fieldsV1"].get("f:spec", {}):
                managers.add(entry["manager"])
    assert owners == {"replicas": {names.SCALER_FIELD_MANAGER}, "template": {names.FIELD_MANAGER}}
    assert get("deployment", "owned")["spec"]["replicas"] == 3


def test_a_new_deployment_never_had_another_count(apply, get, namespace: str):
    apply("counted", autoscaling=OPERATOR)
    eventually(lambda: get("service", "counted"))
    events = kube.list_items("events", namespace)
    scaled = [
        e["message"] for e in events if e["involvedObject"]["name"] == "counted" and e["reason"] == "ScalingReplicaSet"
    ]
    assert [message for message in scaled if "from 0 to 2" not in message] == []
    assert get("deployment", "counted")["spec"]["replicas"] == 2


def test_mode_fixed_obeys_kubectl_scale_and_a_later_change_keeps_the_count(apply, get, namespace: str):
    apply("fixed")
    eventually(lambda: get("deployment", "fixed"))
    kube.kubectl("scale", "chatmodel/fixed", "--replicas=3", "-n", namespace)
    eventually(lambda: _assert_equal(get("deployment", "fixed")["spec"]["replicas"], 3))
    apply("fixed", server={"engine": "Simulated", "maxConcurrency": 4})
    eventually(
        lambda: _assert_equal(
            get("chatmodel", "fixed")["status"]["observedGeneration"],
            get("chatmodel", "fixed")["metadata"]["generation"],
        )
    )
    assert get("deployment", "fixed")["spec"]["replicas"] == 3


def test_a_change_of_the_slo_reaches_the_configmap_and_leaves_the_deployment(apply, get):
    apply("slo", replicas=0, autoscaling={"mode": "Fixed"})
    eventually(lambda: get("configmap", "slo-slo"))
    generation = eventually(lambda: get("deployment", "slo"))["metadata"]["generation"]
    apply("slo", replicas=0, autoscaling={"mode": "Fixed", "slo": {"ttftMilliseconds": 500}})
    eventually(lambda: _assert_in('"ttft_seconds": 0.5', get("configmap", "slo-slo")["data"]["slo.json"]))
    assert get("deployment", "slo")["metadata"]["generation"] == generation


def test_quiet_passes_write_nothing(apply, get):
    """Over many ticks no resourceVersion moves, ChatModel and status included."""
    apply("quiet", replicas=0, autoscaling={"mode": "Fixed", **FAST})
    eventually(lambda: _assert_equal(reason(get("chatmodel", "quiet"), "Ready"), "ScaledToZero"))
    eventually(lambda: _assert_equal(reason(get("chatmodel", "quiet"), "Progressing"), "Complete"))

    def versions() -> list[str]:
        return [get(kind, "quiet")["metadata"]["resourceVersion"] for kind in ("chatmodel", "deployment", "service")]

    before, deadline = versions(), time.monotonic() + 5
    while time.monotonic() < deadline:
        assert versions() == before


def test_an_edited_service_is_repaired(apply, get, namespace: str):
    apply("edited", replicas=0)
    eventually(lambda: get("service", "edited"))
    kube.kubectl("patch", "service", "edited", "-n", namespace, "-p", '{"spec":{"selector":{"app":"other"}}}')
    eventually(lambda: _assert_not_in("app", get("service", "edited")["spec"]["selector"]))


def test_a_deployment_that_lost_its_label_is_repaired_and_scaled_again(apply, get, namespace: str):
    apply("unlabelled", replicas=0)
    eventually(lambda: get("deployment", "unlabelled"))
    uid = get("deployment", "unlabelled")["metadata"]["uid"]
    kube.kubectl("label", "deployment", "unlabelled", "-n", namespace, f"{names.MODEL_LABEL}-")
    eventually(lambda: _assert_in(names.MODEL_LABEL, get("deployment", "unlabelled")["metadata"]["labels"]))
    kube.kubectl("scale", "chatmodel/unlabelled", "--replicas=2", "-n", namespace)
    eventually(lambda: _assert_equal(get("deployment", "unlabelled")["spec"]["replicas"], 2))
    assert get("deployment", "unlabelled")["metadata"]["uid"] == uid


def test_mode_hpa_makes_an_hpa_and_leaving_it_keeps_the_count(apply, get, namespace: str):
    apply("hpa", autoscaling={"mode": "HPA", "minReplicas": 1, "maxReplicas": 4, **FAST})
    target = eventually(lambda: get("hpa", "hpa"))["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": "hpa"}
    kube.kubectl("scale", "chatmodel/hpa", "--replicas=3", "-n", namespace)
    eventually(lambda: _assert_equal(get("deployment", "hpa")["spec"]["replicas"], 3))
    apply("hpa", autoscaling={"mode": "Fixed", **FAST})
    eventually(lambda: _assert_equal(kube.get("hpa", "hpa", namespace), None))
    assert get("deployment", "hpa")["spec"]["replicas"] == 3


def test_a_reapply_changes_nothing_in_mode_operator(apply, get, namespace: str):
    apply("again", replicas=1, autoscaling=OPERATOR)
    eventually(lambda: _assert_equal(get("chatmodel", "again")["spec"]["replicas"], 2))
    generation = eventually(lambda: get("deployment", "again"))["metadata"]["generation"]
    apply("again", replicas=1, autoscaling=OPERATOR)
    eventually(lambda: _assert_equal(get("chatmodel", "again")["spec"]["replicas"], 2))
    eventually(lambda: _assert_in("ReplicasRestored", _event_reasons("again", namespace)))
    assert get("deployment", "again")["metadata"]["generation"] == generation


def test_a_foreign_hpa_is_named_in_a_condition(apply, get, namespace: str):
    apply("rival", autoscaling=OPERATOR)
    eventually(lambda: get("deployment", "rival"))
    kube.apply(a_foreign_hpa("theirs", kind="Deployment", target="rival", namespace=namespace))
    eventually(lambda: _assert_equal(reason(get("chatmodel", "rival"), "ScalingActive"), "ConflictingAutoscaler"))
    assert f"{namespace}/theirs" in kube.condition(get("chatmodel", "rival"), "ScalingActive")["message"]


def test_the_count_of_a_foreign_hpa_on_the_deployment_stays_when_it_goes(apply, get, namespace: str):
    apply("left", autoscaling=OPERATOR | {"minReplicas": 1})
    eventually(lambda: get("deployment", "left"))
    theirs = a_foreign_hpa("theirs-left", kind="Deployment", target="left", namespace=namespace)
    theirs["spec"]["minReplicas"] = 3
    kube.apply(theirs)
    eventually(lambda: _assert_equal(get("chatmodel", "left")["spec"]["replicas"], 3), within=60)
    kube.kubectl("delete", "hpa", "theirs-left", "-n", namespace)
    eventually(lambda: _assert_not_equal(reason(get("chatmodel", "left"), "ScalingActive"), "ConflictingAutoscaler"))
    assert get("deployment", "left")["spec"]["replicas"] == 3


def test_mode_hpa_scales_from_0_to_the_minimum(apply, get):
    apply("woken", replicas=0)
    eventually(lambda: _assert_equal(reason(get("chatmodel", "woken"), "Ready"), "ScaledToZero"))
    apply("woken", replicas=0, autoscaling={"mode": "HPA", "minReplicas": 2, "maxReplicas": 4, **FAST})
    eventually(lambda: _assert_equal(get("deployment", "woken")["spec"]["replicas"], 2))


def test_a_killed_operator_continues_with_the_count_it_had(apply, get, namespace: str, operator: OperatorProcess):
    apply("kept", autoscaling=OPERATOR | {"minReplicas": 3})
    eventually(lambda: _assert_equal(get("chatmodel", "kept").get("status", {}).get("desiredReplicas"), 3))
    operator.kill()
    apply("kept", replicas=1, autoscaling=OPERATOR | {"minReplicas": 1})
    operator.start()
    eventually(lambda: _assert_equal(get("chatmodel", "kept")["spec"]["replicas"], 3))
    assert get("deployment", "kept")["spec"]["replicas"] == 3


def test_a_refusal_of_the_api_server_is_a_condition_until_the_spec_changes(apply, get):
    apply("refused", resources={"requests": {"cpu": 2}, "limits": {"cpu": 1}})
    eventually(lambda: _assert_equal(reason(get("chatmodel", "refused"), "Ready"), "InvalidSpec"))
    assert "must be less than or equal to cpu limit" in kube.condition(get("chatmodel", "refused"), "Ready")["message"]
    apply("refused", replicas=0, resources={"requests": {"cpu": 1}, "limits": {"cpu": 1}})
    eventually(lambda: _assert_equal(reason(get("chatmodel", "refused"), "Ready"), "ScaledToZero"))


def test_missing_gpus_are_reported_with_the_schedulers_message(apply, get):
    apply("gpu", device="GPU", resources={"limits": {"nvidia.com/mig-7g.80gb": 1}})
    eventually(lambda: _assert_equal(reason(get("chatmodel", "gpu"), "Ready"), "InsufficientGPU"))
    assert "Insufficient nvidia.com/mig-7g.80gb" in kube.condition(get("chatmodel", "gpu"), "Ready")["message"]


def test_a_missing_image_is_reported(apply, get, namespace: str):
    apply("image", server={"engine": "Simulated", "image": "registry.invalid/none:1"})
    eventually(lambda: _assert_equal(reason(get("chatmodel", "image"), "Ready"), "ImageUnavailable"), within=60)
    eventually(lambda: _assert_in("ImageUnavailable", _event_reasons("image", namespace)))


def test_a_deleted_chatmodel_is_gone_at_once_and_its_children_follow(apply, get, namespace: str):
    apply("gone")
    eventually(lambda: get("service", "gone"))
    eventually(lambda: get("configmap", "gone-slo"))
    kube.kubectl("delete", "chatmodel", "gone", "-n", namespace, timeout_s=20)
    for kind, name in (("deployment", "gone"), ("service", "gone"), ("configmap", "gone-slo")):
        eventually(lambda kind=kind, name=name: _assert_equal(kube.get(kind, name, namespace), None), within=60)


def test_serves_its_own_metrics(apply, get, namespace: str, operator: OperatorProcess):
    apply("measured", replicas=0)
    eventually(lambda: _assert_equal(reason(get("chatmodel", "measured"), "Ready"), "ScaledToZero"))
    series = f'chatscale_desired_replicas{{chatmodel="measured",namespace="{namespace}"}} 0.0'
    assert series in operator.read(operator.metrics_port, "/metrics")


def _event_reasons(name: str, namespace: str) -> set[str]:
    """Reasons of our Events about a ChatModel."""
    events = kube.list_items("events", namespace)
    return {
        e["reason"] for e in events if e["involvedObject"]["name"] == name and e["involvedObject"]["kind"] == names.KIND
    }


def _assert_equal(found: object, wanted: object) -> None:
    assert found == wanted


def _assert_not_equal(found: object, unwanted: object) -> None:
    assert found != unwanted


def _assert_in(part: str, whole: Container[str]) -> None:
    assert part in whole


def _assert_not_in(part: str, whole: Container[str]) -> None:
    assert part not in whole
