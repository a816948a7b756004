"""Each ChatModel has a PodDisruptionBudget, so that a node drain evicts its replicas one after the other."""

import pytest

from chatscale.cluster.interface import CHATMODEL, DEPLOYMENT, DISRUPTION_BUDGET
from chatscale.errors import ForbiddenError
from tests.support.builders import a_chatmodel
from tests.support.world import World, a_settled_world, a_world


@pytest.mark.parametrize("mode", ["Fixed", "Operator", "HPA"])
async def test_each_model_has_a_disruption_budget(mode: str):
    world = await a_settled_world(a_chatmodel().in_mode(mode))
    budget = world.cluster.the(DISRUPTION_BUDGET)
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["selector"] == world.cluster.the(DEPLOYMENT)["spec"]["selector"]
    (owner,) = budget["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (world.cluster.the(CHATMODEL)["metadata"]["uid"], True)


async def test_an_edited_or_deleted_disruption_budget_is_repaired():
    world = await a_settled_world(a_chatmodel())
    world.cluster.the(DISRUPTION_BUDGET)["spec"]["maxUnavailable"] = 3
    await world.tick()
    assert world.cluster.the(DISRUPTION_BUDGET)["spec"]["maxUnavailable"] == 1
    world.cluster.remove(DISRUPTION_BUDGET)
    await world.tick()
    assert world.cluster.has(DISRUPTION_BUDGET)


async def test_a_foreign_disruption_budget_of_that_name_is_reported_and_not_taken_over():
    theirs = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "tiny", "namespace": "demo"},
        "spec": {"minAvailable": 2},
    }
    world = a_world(a_chatmodel(), theirs)
    await world.tick()
    assert world.cluster.the(DISRUPTION_BUDGET)["spec"] == {"minAvailable": 2}
    assert "PodDisruptionBudget demo/tiny" in world.cluster.message("Ready")
    assert world.cluster.has(DEPLOYMENT)


async def test_a_missing_right_on_disruption_budgets_does_not_stop_the_other_children():
    world: World = a_world(a_chatmodel())
    world.cluster.fail("apply PodDisruptionBudget", ForbiddenError("poddisruptionbudgets is forbidden"))
    await world.tick()
    assert world.cluster.has(DEPLOYMENT)
    await world.tick(seconds=60)
    assert world.cluster.has(DISRUPTION_BUDGET)
