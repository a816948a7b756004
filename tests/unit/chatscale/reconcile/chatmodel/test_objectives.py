"""A change of the SLO reaches running pods through their ConfigMap, and no pod restarts."""

import json

import pytest

from chatscale.cluster.interface import CHATMODEL, CONFIGMAP, DEPLOYMENT
from chatscale.errors import ForbiddenError
from tests.support.builders import a_chatmodel
from tests.support.world import World, a_settled_world, a_world


def objectives(world: World, name: str = "tiny-slo") -> dict[str, float]:
    found: dict[str, float] = json.loads(world.cluster.the(CONFIGMAP, name)["data"]["slo.json"])
    return found


async def test_a_change_of_the_slo_writes_the_configmap_and_not_the_deployment():
    world = await a_settled_world(a_chatmodel().in_mode("Operator"))
    before = json.dumps(world.cluster.the(DEPLOYMENT))
    world.cluster.user_sets_spec(autoscaling={"maxReplicas": 4, "slo": {"ttftMilliseconds": 500}})
    await world.tick()
    assert objectives(world) == {"ttft_seconds": 0.5, "time_per_output_token_seconds": 0.1}
    assert json.dumps(world.cluster.the(DEPLOYMENT)) == before
    assert world.cluster.written()[0] == "apply ConfigMap as chatscale"


async def test_the_configmap_exists_before_the_first_pod():
    world = a_world(a_chatmodel())
    await world.tick()
    assert world.cluster.written()[0] == "apply ConfigMap as chatscale"


async def test_the_garbage_collector_deletes_the_configmap_with_its_chatmodel():
    world = await a_settled_world(a_chatmodel())
    chatmodel = world.cluster.the(CHATMODEL)["metadata"]
    (owner,) = world.cluster.the(CONFIGMAP, "tiny-slo")["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("ChatModel", chatmodel["uid"], True)


async def test_an_edited_or_deleted_configmap_is_repaired():
    world = await a_settled_world(a_chatmodel())
    expected = objectives(world)
    world.cluster.the(CONFIGMAP, "tiny-slo")["data"]["slo.json"] = "{}"
    await world.tick()
    assert objectives(world) == expected
    world.cluster.remove(CONFIGMAP, "tiny-slo")
    await world.tick()
    assert objectives(world) == expected


async def test_a_foreign_configmap_of_that_name_is_reported_and_not_taken_over():
    theirs = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "tiny-slo", "namespace": "demo"},
        "data": {"theirs": "1"},
    }
    world = a_world(a_chatmodel(), theirs)
    await world.tick()
    assert world.cluster.the(CONFIGMAP, "tiny-slo")["data"] == {"theirs": "1"}
    assert world.cluster.condition("Ready") == ("False", "InvalidSpec")
    assert "ConfigMap demo/tiny-slo" in world.cluster.message("Ready")
    assert world.cluster.has(DEPLOYMENT)


async def test_the_objectives_of_another_chatmodel_are_not_taken_for_ones_own():
    world = await a_settled_world(a_chatmodel(), a_chatmodel().named("tiny-slo").manifest())
    await world.reconcile("tiny-slo")
    assert objectives(world, "tiny-slo-slo") == objectives(world)
    world.cluster.written()
    await world.tick()
    await world.reconcile("tiny-slo")
    assert "delete ConfigMap" not in world.cluster.written()


@pytest.mark.parametrize("times", [1, 2])
async def test_a_missing_right_on_configmaps_does_not_stop_the_other_children(times: int):
    world = a_world(a_chatmodel())
    world.cluster.fail("apply ConfigMap", *[ForbiddenError("configmaps is forbidden")] * times)
    await world.tick(times, seconds=60)
    assert world.cluster.has(DEPLOYMENT)
    assert world.cluster.condition("Ready") == ("False", "Forbidden")
    await world.tick(seconds=60)
    assert world.cluster.has(CONFIGMAP, "tiny-slo")
    assert world.cluster.condition("Ready")[1] != "Forbidden"
