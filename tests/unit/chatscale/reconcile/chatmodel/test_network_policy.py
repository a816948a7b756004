"""Each ChatModel has a NetworkPolicy, so that only the configured peers reach its replicas."""

import pytest

from chatscale.cluster.interface import CHATMODEL, DEPLOYMENT, NETWORK_POLICY
from chatscale.desired.network_policy import PodAccess
from chatscale.errors import ForbiddenError
from tests.support.builders import a_chatmodel
from tests.support.world import World, a_settled_world, a_world

CLOSED = PodAccess(peers=({"podSelector": {"matchLabels": {"app.kubernetes.io/name": "chatscale-gateway"}}},))
THEIRS = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "tiny", "namespace": "demo"},
    "spec": {"podSelector": {}},
}


def restart(world: World, access: PodAccess) -> None:
    """An operator with other settings takes over."""
    world.access = access
    world.restart_operator()


async def a_closed_world(mode: str = "Operator") -> World:
    world = await a_settled_world(a_chatmodel().in_mode(mode))
    restart(world, CLOSED)
    await world.tick()
    await world.tick()
    return world


@pytest.mark.parametrize("mode", ["Fixed", "Operator", "HPA"])
async def test_each_model_accepts_only_the_configured_peers(mode: str):
    world = await a_closed_world(mode)

    policy = world.cluster.the(NETWORK_POLICY)
    labels = world.cluster.the(DEPLOYMENT)["spec"]["template"]["metadata"]["labels"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    (rule,) = policy["spec"]["ingress"]
    assert rule["from"] == list(CLOSED.peers)
    (owner,) = policy["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (world.cluster.the(CHATMODEL)["metadata"]["uid"], True)


async def test_an_edited_or_deleted_policy_is_repaired():
    world = await a_closed_world()
    world.cluster.the(NETWORK_POLICY)["spec"]["ingress"] = [{}]
    await world.tick()
    assert world.cluster.the(NETWORK_POLICY)["spec"]["ingress"][0]["from"] == list(CLOSED.peers)
    world.cluster.remove(NETWORK_POLICY)
    await world.tick()
    assert world.cluster.has(NETWORK_POLICY)


async def test_a_second_pass_changes_nothing():
    world = await a_closed_world()
    world.cluster.written()
    await world.tick()
    assert world.cluster.written() == []


async def test_turning_policies_off_deletes_ours_and_leaves_others():
    world = await a_closed_world()
    restart(world, PodAccess())
    await world.tick()
    assert not world.cluster.has(NETWORK_POLICY)

    other = a_world(a_chatmodel(), THEIRS)
    await other.tick()
    assert other.cluster.the(NETWORK_POLICY)["spec"] == {"podSelector": {}}
    assert "NetworkPolicy" not in other.cluster.message("Ready")


async def test_a_foreign_policy_of_that_name_is_reported_and_not_taken_over():
    world = a_world(a_chatmodel(), THEIRS)
    restart(world, CLOSED)
    await world.tick()
    assert world.cluster.the(NETWORK_POLICY)["spec"] == {"podSelector": {}}
    assert "NetworkPolicy demo/tiny" in world.cluster.message("Ready")
    assert world.cluster.has(DEPLOYMENT)


async def test_a_missing_right_on_policies_does_not_stop_the_other_children():
    world = a_world(a_chatmodel())
    restart(world, CLOSED)
    world.cluster.fail("apply NetworkPolicy", ForbiddenError("networkpolicies is forbidden"))
    await world.tick()
    assert world.cluster.has(DEPLOYMENT)
    await world.tick(seconds=60)
    assert world.cluster.has(NETWORK_POLICY)
