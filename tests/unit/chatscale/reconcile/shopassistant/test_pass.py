"""A pass over a ShopAssistant: its children, and what a second pass, a restart or a refusal does to them."""

import base64
import json

import pytest

from chatscale import names
from chatscale.cluster.interface import (
    AUTOSCALER,
    CHATMODEL,
    CONFIGMAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    NETWORK_POLICY,
    POD,
    SECRET,
    SERVICE,
    SHOPASSISTANT,
)
from chatscale.desired.network_policy import PodAccess
from chatscale.errors import ClusterUnavailableError, ForbiddenError
from tests.support.assistant_world import (
    CHILD,
    KEY,
    SHOP,
    AssistantWorld,
    a_running_assistant,
    assistant_manifest,
)
from tests.support.builders import a_chatmodel
from tests.support.fake_cluster import FakeCluster

SIGNING = names.signing_secret("shop", "uid-shop")


def a_world(**spec) -> AssistantWorld:
    return AssistantWorld(FakeCluster(assistant_manifest(**spec)), access=PodAccess(({"podSelector": {}},)))


async def test_the_first_pass_creates_every_child_with_the_owner():
    world = a_world(replicas={"min": 2, "max": 6})
    await world.tick()

    for kind in (CONFIGMAP, DEPLOYMENT, SERVICE, DISRUPTION_BUDGET, NETWORK_POLICY, AUTOSCALER):
        (owner,) = world.cluster.the(kind, CHILD)["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("ShopAssistant", "shop", "uid-shop")
    assert world.cluster.the(SECRET, SIGNING)["data"] == {"key": base64.b64encode(KEY).decode()}
    assert world.cluster.the(DEPLOYMENT, CHILD)["spec"]["replicas"] == 2
    assert world.condition("Ready") == ("False", "Starting")


async def test_a_second_pass_writes_nothing():
    world = await a_running_assistant()
    await world.tick(5)

    assert world.cluster.written() == []
    assert world.cluster.event_reasons() == []
    assert world.condition("Ready") == ("True", "Ready")


async def test_a_restarted_operator_changes_no_child_and_rotates_no_key():
    world = await a_running_assistant()
    world.restart_operator()
    await world.tick(3)

    assert [write for write in world.cluster.written() if "annotat" not in write] == []
    assert world.cluster.the(SECRET, SIGNING)["data"] == {"key": base64.b64encode(KEY).decode()}


async def test_the_operator_never_reads_a_secret():
    world = await a_running_assistant(tools=[{"name": "orders", "mcp": "http://orders", "allow": ["get"],
                                              "tokenSecretRef": {"name": "orders"}}])  # fmt: skip
    world.restart_operator()
    await world.tick(20)

    assert [call for call in world.cluster.requests() if "Secret" in call] == ["create Secret"]


async def test_a_new_assistant_of_the_same_name_gets_a_key_of_its_own():
    world = await a_running_assistant()
    world.cluster.remove(SHOPASSISTANT, "shop")
    assert await world.tick() is None
    world.cluster.put(assistant_manifest(uid="uid-2"))
    await world.tick()

    assert world.cluster.has(SECRET, names.signing_secret("shop", "uid-2"))
    assert names.signing_secret("shop", "uid-2") != SIGNING


async def test_a_key_that_someone_deleted_is_created_again_while_pods_wait_for_it():
    world = await a_running_assistant()
    world.cluster.remove(SECRET, SIGNING)
    world.start_pod("shop-assistant-2", ready=False)
    world.cluster.the(POD, "shop-assistant-2")["status"]["conditions"].append(
        {"type": "PodReadyToStartContainers", "status": "False", "lastTransitionTime": "2026-11-27T08:00:00Z"}
    )
    await world.tick(2, seconds=31)

    assert world.cluster.has(SECRET, SIGNING)


async def test_a_changed_spec_rolls_out_and_a_new_count_does_not():
    world = await a_running_assistant()
    before = world.cluster.the(DEPLOYMENT, CHILD)["spec"]["template"]["metadata"]["annotations"]
    before = before[names.ASSISTANT_SPEC_ANNOTATION]

    def digest() -> str:
        template = world.cluster.the(DEPLOYMENT, CHILD)["spec"]["template"]
        return str(template["metadata"]["annotations"][names.ASSISTANT_SPEC_ANNOTATION])

    world.set_spec(replicas={"min": 4})
    await world.tick()
    assert (digest(), world.cluster.the(DEPLOYMENT, CHILD)["spec"]["replicas"]) == (before, 4)

    world.set_spec(languages=["fr"])
    await world.tick()
    assert digest() != before
    document = json.loads(world.cluster.the(CONFIGMAP, CHILD)["data"]["assistant.json"])
    assert document["spec"]["languages"] == ["fr"]


async def test_an_edited_child_and_a_deleted_child_are_restored():
    world = await a_running_assistant()
    world.cluster.the(SERVICE, CHILD)["spec"]["selector"]["app.kubernetes.io/name"] = "other"
    world.cluster.remove(CONFIGMAP, CHILD)
    await world.tick()

    assert world.cluster.the(SERVICE, CHILD)["spec"]["selector"] == names.SHOPASSISTANT.pod_labels("shop")
    assert world.cluster.has(CONFIGMAP, CHILD)


async def test_the_count_of_an_hpa_stays_and_without_it_the_minimum_returns():
    world = await a_running_assistant(replicas={"min": 1, "max": 8})
    world.cluster.autoscaler_sets_replicas(5, DEPLOYMENT, CHILD)
    world.set_spec(languages=["fr"])
    await world.tick(2)
    assert world.cluster.the(DEPLOYMENT, CHILD)["spec"]["replicas"] == 5
    assert world.status.desired_replicas == 5

    world.set_spec(replicas={"min": 1})
    await world.tick(2)
    assert world.cluster.the(DEPLOYMENT, CHILD)["spec"]["replicas"] == 1
    assert not world.cluster.has(AUTOSCALER, CHILD)


async def test_a_foreign_object_with_the_name_of_a_child_is_left_alone_and_named():
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": CHILD, "namespace": "demo"},
        "spec": {"a": 1},
    }
    world = AssistantWorld(FakeCluster(assistant_manifest(), foreign))
    await world.tick()

    assert world.condition("Ready") == ("False", "InvalidSpec")
    assert "Service demo/shop-assistant exists and does not belong to ShopAssistant demo/shop" in world.message("Ready")
    assert world.cluster.the(SERVICE, CHILD)["spec"] == {"a": 1}
    assert world.cluster.has(DEPLOYMENT, CHILD)


async def test_an_invalid_spec_of_an_older_crd_keeps_the_children_and_is_explained():
    world = await a_running_assistant()
    world.set_spec(languages=["tlh"])
    await world.tick()

    assert world.condition("Ready") == ("False", "InvalidSpec")
    assert "ShopAssistant demo/shop: spec.languages.0" in world.message("Ready")
    assert world.cluster.event_reasons() == ["InvalidSpec"]
    assert world.cluster.has(DEPLOYMENT, CHILD)


async def test_a_chatmodel_of_the_same_name_takes_the_name_until_it_is_deleted():
    world = await a_running_assistant()
    world.cluster.put(a_chatmodel().named("shop").manifest())
    assert SHOP in world.deliver()
    await world.tick()
    assert world.condition("Ready") == ("False", "NameTaken")
    assert "rename ShopAssistant demo/shop" in world.message("Ready")

    world.cluster.remove(CHATMODEL, "shop")
    assert SHOP in world.deliver()
    await world.tick()
    assert world.condition("Ready") == ("True", "Ready")


async def test_a_chatmodel_that_becomes_ready_wakes_its_assistants():
    world = await a_running_assistant(a_chatmodel().manifest())
    chatmodel = world.cluster.the(CHATMODEL, "tiny")
    chatmodel["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
    world.cluster.put(chatmodel)

    assert SHOP in world.deliver()


async def test_a_forbidden_key_is_reported_and_retried():
    world = AssistantWorld(FakeCluster(assistant_manifest()))
    world.cluster.fail("create Secret", ForbiddenError("secrets is forbidden"))
    await world.tick()
    assert world.condition("Ready") == ("False", "Forbidden")
    assert "secrets is forbidden" in world.message("Ready")

    await world.tick()
    assert world.cluster.has(SECRET, SIGNING)
    assert world.condition("Ready") == ("False", "Starting")


async def test_an_outage_is_retried_and_changes_nothing():
    world = await a_running_assistant()
    world.set_spec(languages=["fr"])
    world.cluster.fail("apply ConfigMap", ClusterUnavailableError("HTTP 503"))

    with pytest.raises(ClusterUnavailableError):
        await world.tick()
    await world.tick()
    assert world.condition("Ready") == ("True", "Ready")


async def test_a_deleted_assistant_ends_its_passes():
    world = await a_running_assistant()
    world.cluster.remove(SHOPASSISTANT, "shop")

    assert await world.tick() is None
