"""The API server takes our CRD and the samples, and refuses bad specs in our words."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from chatscale.api.crd import chatmodel_crd
from chatscale.api.v1alpha1 import AutoscalingStatus, ChatModelStatus, MetricStatus, MetricType
from chatscale.reconcile.chatmodel.status import as_patch
from hack import kube
from hack.paths import ROOT
from tests.support.builders import a_chatmodel

SAMPLES = sorted((ROOT / "manifests" / "samples").glob("*.yaml"))
HPA = {"mode": "HPA", "maxReplicas": 4}
SALE = {"name": "sale", "start": "2026-11-27T19:00:00Z", "end": "2026-11-27T23:00:00Z", "minReplicas": 3}


def chatmodel(namespace: str, name: str = "tiny", **spec: Any) -> dict[str, Any]:
    """As a user writes it: no uid, no status, no replicas."""
    manifest = copy.deepcopy(a_chatmodel().with_spec(**spec).manifest())
    manifest["metadata"] = {"name": name, "namespace": namespace}
    del manifest["status"]
    if "replicas" not in spec:
        del manifest["spec"]["replicas"]
    return manifest


def dry_run(manifest: dict[str, Any]) -> dict[str, Any]:
    out = kube.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-", stdin=json.dumps(manifest)
    )
    answer: dict[str, Any] = json.loads(out)
    return answer


def test_the_api_server_takes_the_crd():
    manifest = json.dumps(chatmodel_crd())
    out = kube.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-", stdin=manifest)
    assert "serverside-applied" in out


def test_the_crd_reports_no_problem_of_its_schema():
    crd = kube.get("crd", "chatmodels.chatscale.dev", "default")
    assert crd is not None
    bad = {"NonStructuralSchema": "True", "NamesAccepted": "False", "Established": "False"}
    conditions = {c["type"]: c["status"] for c in crd["status"]["conditions"]}
    assert not bad.items() & conditions.items()


def test_kubectl_explains_a_field():
    out = kube.kubectl("explain", "chatmodel.spec.autoscaling.mode")
    assert "Each mode has exactly one writer of spec.replicas" in " ".join(out.split())


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_is_accepted(path: Path, namespace: str):
    for manifest in yaml.safe_load_all(path.read_text()):
        manifest["metadata"]["namespace"] = namespace
        assert dry_run(manifest)["kind"] == manifest["kind"]


def test_replicas_default_to_one(namespace: str):
    assert dry_run(chatmodel(namespace))["spec"]["replicas"] == 1


def test_an_autoscaling_block_that_is_added_later_scales(namespace: str):
    manifest = chatmodel(namespace)
    kube.apply(manifest)
    manifest["spec"]["autoscaling"] = {"maxReplicas": 4}
    kube.apply(manifest)
    found = kube.get("chatmodel", manifest["metadata"]["name"], namespace)
    assert found is not None
    assert found["spec"]["autoscaling"]["mode"] == "Operator"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param({"model": {"uri": "s3://bucket/x"}}, 'spec.model.uri must be hf://OWNER/NAME, pvc://CLAIM/PATH or file:///PATH, found "s3://bucket/x"', id="unknown uri scheme"),  # noqa: E501
        pytest.param({"model": {}}, "spec.model.uri: Required value", id="no model"),
        pytest.param({"device": "TPU"}, 'spec.device: Unsupported value: "TPU"', id="unknown device"),
        pytest.param({"replicas": -1}, "spec.replicas: Invalid value: -1", id="negative replicas"),
        pytest.param({"autoscaling": {"mode": "Operator"}}, "spec.autoscaling.maxReplicas is required unless mode is Fixed", id="no upper bound"),  # noqa: E501
        pytest.param({"autoscaling": {**HPA, "minReplicas": 5}}, "spec.autoscaling.minReplicas 5 is above maxReplicas 4", id="min above max"),  # noqa: E501
        pytest.param({"autoscaling": {**HPA, "minReplicas": 0}}, "spec.autoscaling.minReplicas: Invalid value: 0", id="min zero"),  # noqa: E501
        pytest.param({"autoscaling": {**HPA, "dryRun": True}}, "spec.autoscaling.dryRun must be false in mode HPA", id="dry run with HPA"),  # noqa: E501
        pytest.param({"autoscaling": {**HPA, "windowSeconds": 5, "panicWindowSeconds": 9}}, "spec.autoscaling.panicWindowSeconds 9 is above windowSeconds 5", id="windows"),  # noqa: E501
        pytest.param({"autoscaling": {**HPA, "source": {"type": "Prometheus"}}}, "spec.autoscaling.source.prometheusURL is required with type Prometheus", id="no address"),  # noqa: E501
        pytest.param({"autoscaling": {**HPA, "source": {"type": "Prometheus", "prometheusURL": "http://p/x?y="}}}, "spec.autoscaling.source.prometheusURL must be an http:// or https:// URL without query, fragment or user", id="a URL with a query"),  # noqa: E501
        pytest.param({"autoscaling": {**HPA, "fallback": {"behavior": "Static"}}}, "spec.autoscaling.fallback.replicas is required unless behavior is Hold", id="fallback"),  # noqa: E501
        pytest.param({"autoscaling": {**HPA, "metrics": [{"type": "KVCacheUtilization", "target": 101}]}}, "KVCacheUtilization is a percentage from 1 to 100", id="percentage"),  # noqa: E501
        pytest.param({"autoscaling": {**HPA, "events": [{**SALE, "end": SALE["start"]}]}}, "spec.autoscaling.events[sale].end 2026-11-27T19:00:00Z is not after start 2026-11-27T19:00:00Z", id="event without length"),  # noqa: E501
        pytest.param({"autoscaling": {**HPA, "events": [{**SALE, "minReplicas": 5}]}}, 'spec.autoscaling.events: minReplicas of ["sale"] is above maxReplicas 4', id="event above max"),  # noqa: E501
        pytest.param({"autoscaling": {**HPA, "events": [{**SALE, "start": "tonight"}]}}, "spec.autoscaling.events[0].start", id="event at no time"),  # noqa: E501
        pytest.param({"autoscaling": {**HPA, "events": [SALE, SALE]}}, "Duplicate value", id="two events of one name"),
        pytest.param({"autoscaling": {"mode": "Fixed", "events": [SALE]}}, "spec.autoscaling.events needs mode Operator or HPA", id="event with Fixed"),  # noqa: E501
        pytest.param({"device": "GPU", "server": {}}, "spec.resources.limits must name a GPU resource", id="GPU without limit"),  # noqa: E501
        pytest.param({"resources": {"limits": {"nvidia.com/gpu": 1}}}, "spec.resources.limits must not name GPUs with spec.device CPU", id="CPU with GPU limit"),  # noqa: E501
        pytest.param({"server": {"env": [{"name": "CHATSCALE_DEVICE", "value": "x"}]}}, "must not start with CHATSCALE_", id="our environment"),  # noqa: E501
        pytest.param({"pod": {"labels": {"chatscale.dev/chatmodel": "x"}}}, "spec.pod.labels must not set app.kubernetes.io/name", id="our label"),  # noqa: E501
        pytest.param({"pod": {"annotations": {"prometheus.io/port": "1"}}}, "spec.pod.annotations must not set kubectl.kubernetes.io/default-container", id="our annotation"),  # noqa: E501
        pytest.param({"scheduling": {"tolerations": [{"operator": "Is"}]}}, "spec.scheduling.tolerations[0].operator: Unsupported value", id="unknown operator of a toleration"),  # noqa: E501
        pytest.param({"modle": {}}, 'unknown field "spec.modle"', id="misspelt field"),
    ],
)  # fmt: skip
def test_a_bad_spec_is_refused_with_our_message(spec: dict[str, Any], message: str, namespace: str):
    with pytest.raises(kube.KubectlError) as refusal:
        dry_run(chatmodel(namespace, **spec))
    assert message in str(refusal.value)


def test_a_status_is_stored_as_the_operator_writes_it(namespace: str):
    kube.apply(chatmodel(namespace, "columns"))
    queue = MetricStatus(type=MetricType.QUEUE_DEPTH, value="2.00")
    status = ChatModelStatus(queue_depth=4, autoscaling=AutoscalingStatus(current_metrics=[queue]))
    body = json.dumps({"status": as_patch(status)})

    # As a dry run: the chart's operator may be there and have its own view.
    patch = ("--subresource=status", "--type=merge", "--dry-run=server", "-o", "json", f"-p={body}")
    found = json.loads(kube.kubectl("patch", "chatmodel", "columns", "-n", namespace, *patch))["status"]

    assert found["queueDepth"] == 4
    assert found["autoscaling"]["currentMetrics"] == [{"type": "QueueDepth", "value": "2.00"}]
    assert ChatModelStatus.model_validate(found).autoscaling.current_metrics == [queue]


def test_a_long_name_is_refused_with_its_length(namespace: str):
    with pytest.raises(kube.KubectlError, match=r"metadata\.name must have at most 40 characters, found 41"):
        dry_run(chatmodel(namespace, name="a" * 41))


def test_a_name_that_no_service_may_have_is_refused_by_name(namespace: str):
    with pytest.raises(kube.KubectlError, match=r'digits and dashes, and start with a letter, found "7b"'):
        dry_run(chatmodel(namespace, name="7b"))


def test_a_name_that_ends_like_a_canarys_is_refused(namespace: str):
    with pytest.raises(kube.KubectlError, match=r"metadata\.name must not end in -canary"):
        dry_run(chatmodel(namespace, "shop-canary"))
