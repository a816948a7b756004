"""Manifests become models and replicas; what only looks like a replica does not."""

from datetime import UTC, datetime
from typing import Any

import pytest

from chatscale.api.v1alpha1.routing import RoutingSpec
from chatscale.errors import InvalidSpecError
from chatscale_contract.server.slo import LatencyObjectives
from chatscale_gateway.discovery.translate import (
    FoundModel,
    GatewayPod,
    build_catalog,
    read_assistant,
    read_gateway_pod,
    read_model,
    read_replica,
)
from chatscale_gateway.routing.catalog import ModelKey, Replica
from tests.support.builders import a_chatmodel
from tests.support.gateway_pods import a_replica_pod, a_shopassistant, an_assistant_pod, owner, ready

CREATED = "2026-11-27T08:00:00Z"


def manifest(**spec: Any) -> dict[str, Any]:
    found = a_chatmodel().with_spec(**spec).manifest()
    found["metadata"]["creationTimestamp"] = CREATED
    return found


def model(**spec: Any) -> FoundModel:
    return read_model(manifest(**spec))


def test_reads_what_routing_needs_of_a_chatmodel():
    found = model(
        replicas=3,
        model={"uri": "hf://o/m", "revision": "abc", "servedName": "served"},
        server={"engine": "Simulated", "maxConcurrency": 16, "maxModelLen": 4096},
        autoscaling={"mode": "Fixed", "slo": {"ttftMilliseconds": 500, "tpotMilliseconds": 50}},
        routing={"aliases": ["gpt"], "strategy": "PrefixHash"},
    )

    assert found.slots == 16
    assert (found.model.key, found.model.uid) == (ModelKey("demo", "tiny"), "uid-tiny")
    assert (found.model.served_name, found.model.replicas, found.model.max_model_len) == ("served", 3, 4096)
    assert found.model.weights == "hf://o/m@abc"
    assert found.model.created == datetime(2026, 11, 27, 8, tzinfo=UTC)
    assert found.model.slo == LatencyObjectives(0.5, 0.05)
    assert (found.model.routing.aliases, found.model.routing.strategy) == (["gpt"], "PrefixHash")
    assert not found.model.scale_to_zero


def test_a_model_that_scales_to_zero_is_told_from_a_stopped_one():
    autoscaling = {"mode": "Operator", "minReplicas": 1, "maxReplicas": 2, "scaleToZero": {"idleSeconds": 60}}

    assert not model(replicas=0, autoscaling=autoscaling).model.stopped
    assert model(replicas=0).model.stopped


@pytest.mark.parametrize(
    ("autoscaling", "start_s"),
    [
        pytest.param({"coldStartSeconds": 42, "schedulingSeconds": 3}, 45.0, id="measured"),
        pytest.param({"coldStartSeconds": 42}, 42.0, id="without the wait for a node"),
        pytest.param({"schedulingSeconds": 3}, None, id="not measured"),
        pytest.param({"coldStartSeconds": "42"}, None, id="not a number"),
    ],
)
def test_reads_how_long_a_start_takes(autoscaling: dict[str, Any], start_s: float | None):
    found = manifest()
    found["status"] = {"autoscaling": autoscaling}

    assert read_model(found).model.start_s == start_s


def test_a_chatmodel_that_cannot_be_parsed_is_named():
    with pytest.raises(InvalidSpecError, match=r"demo/tiny: spec\.replicas"):
        model(replicas="many")


def test_reads_a_ready_replica():
    found = read_replica(a_replica_pod())

    assert found is not None
    assert found.model == ModelKey("demo", "tiny")
    assert found.replica == Replica("uid-tiny-v1-a", "tiny-v1-a", "10.0.0.1", 8000, ready=True, leaving=False)


@pytest.mark.parametrize(
    ("changes", "is_ready", "is_leaving"),
    [
        pytest.param({"status": {}}, False, False, id="a second old"),
        pytest.param({"status": {"podIP": "10.0.0.1", "conditions": [ready("False")]}}, False, False, id="not ready"),
        pytest.param({"status": {"conditions": [ready()]}}, False, False, id="without an address"),
        pytest.param({"deletionTimestamp": CREATED}, True, True, id="being deleted"),
        pytest.param({"annotations": {"chatscale.dev/drain-since": CREATED}}, True, True, id="draining"),
        pytest.param({"annotations": None}, True, False, id="null annotations"),
    ],
)
def test_a_replica_gets_requests_only_if_ready_and_not_leaving(changes: Any, *, is_ready: bool, is_leaving: bool):
    found = read_replica(a_replica_pod(**changes))

    assert found is not None
    assert (found.replica.ready, found.replica.leaving) == (is_ready, is_leaving)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"ownerReferences": []}, id="nobody's pod with our labels"),
        pytest.param({"ownerReferences": [owner("tiny-v1", controller=False)]}, id="owner that does not control it"),
        pytest.param({"ownerReferences": [owner("tiny-v1", kind="Job")]}, id="a Job's"),
        pytest.param({"ownerReferences": [owner("other-v1")]}, id="another Deployment's"),
        pytest.param({"labels": {}}, id="no labels"),
        pytest.param({"labels": {"chatscale.dev/chatmodel": "tiny"}}, id="no template hash"),
        pytest.param({"status": {"phase": "Failed", "podIP": "10.0.0.1"}}, id="evicted"),
    ],
)
def test_a_pod_that_is_no_replica_is_left_out(changes: Any):
    assert read_replica(a_replica_pod(**changes)) is None


def test_a_canary_is_a_replica():
    assert read_replica(a_replica_pod(ownerReferences=[owner("tiny-canary-v1")])) is not None


def test_a_model_without_pods_is_known_and_pods_without_a_model_are_not():
    stray = read_replica(a_replica_pod("gone-v1-a", chatmodel="gone"))
    assert stray is not None

    catalog = build_catalog([model()], [stray])

    assert catalog.replicas == {ModelKey("demo", "tiny"): ()}
    assert list(catalog.models) == [ModelKey("demo", "tiny")]


def test_replicas_are_ordered_by_name():
    pods = [read_replica(a_replica_pod(name)) for name in ("tiny-v1-b", "tiny-v1-a")]

    catalog = build_catalog([model()], [pod for pod in pods if pod])

    assert [each.name for each in catalog.replicas[ModelKey("demo", "tiny")]] == ["tiny-v1-a", "tiny-v1-b"]


def test_a_gateway_that_is_being_deleted_still_counts_and_an_ended_one_does_not():
    pod = a_replica_pod("gw-1", deletionTimestamp=CREATED)

    assert read_gateway_pod(pod) == GatewayPod("uid-gw-1", "gw-1", "10.0.0.1")
    assert read_gateway_pod(a_replica_pod("gw-1", status={"phase": "Succeeded"})) is None


def test_an_assistant_is_a_model_with_default_routing_and_its_tasks():
    found = read_assistant(a_shopassistant(replicas={"min": 3})).model

    assert (str(found.key), found.served_name, found.replicas) == ("demo/shop", "shop", 3)
    assert found.routing == RoutingSpec()
    assert found.has_extra_path("/v1/tasks/sentiment")
    assert not found.has_extra_path("/v1/tasks")
    assert not found.has_extra_path("/tokenize")
    assert found.live.price.gpu_hour is None


def test_an_assistant_that_an_hpa_scales_shows_the_count_of_the_hpa():
    manifest = a_shopassistant(replicas={"min": 2, "max": 8}) | {"status": {"desiredReplicas": 5, "phase": "Ready"}}

    found = read_assistant(manifest).model

    assert (found.replicas, found.live.mode, found.live.phase) == (5, "HPA", "Ready")


def test_an_invalid_assistant_is_refused_with_its_field():
    with pytest.raises(InvalidSpecError, match=r"ShopAssistant demo/shop: spec\.languages\.0"):
        read_assistant(a_shopassistant(languages=["tlh"]))


def test_a_chatmodel_takes_precedence_over_an_assistant_of_its_name():
    assistant = read_assistant(a_shopassistant("tiny"))
    pods = [read_replica(a_replica_pod()), read_replica(an_assistant_pod("tiny-assistant-v1-a", assistant="tiny"))]
    replicas = [pod for pod in pods if pod is not None]

    for models in ([model(), assistant], [assistant, model()]):
        catalog = build_catalog(models, replicas)
        assert [found.uid for found in catalog.models.values()] == ["uid-tiny"]
        assert [pod.name for pods in catalog.replicas.values() for pod in pods] == ["tiny-v1-a"]


@pytest.mark.parametrize(
    "controller",
    [
        pytest.param("shop-v1", id="a ChatModel's Deployment"),
        pytest.param("other-assistant-v1", id="another assistant's Deployment"),
    ],
)
def test_a_pod_with_an_assistants_labels_is_a_replica_only_of_its_deployment(controller: str):
    pod = an_assistant_pod()
    pod["metadata"]["ownerReferences"] = [owner(controller)]

    assert read_replica(pod) is None
