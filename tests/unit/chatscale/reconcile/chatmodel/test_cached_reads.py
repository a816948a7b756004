"""Passes read a cache that may be late: they never act on a state from before their own write, and converge."""

import copy

import pytest

from chatscale import names
from chatscale.cluster.interface import AUTOSCALER, CHATMODEL, DEPLOYMENT, SERVICE
from chatscale.errors import ClusterUnavailableError, ConflictError, NotFoundError
from tests.support.builders import a_chatmodel, a_foreign_hpa, a_pod
from tests.support.world import TINY, World, a_settled_world, a_world

QUEUE_TARGET = [{"type": "QueueDepth", "target": 4}]


async def a_loaded_world() -> World:
    """Mode Operator at 1 replica with a long queue in the status; the next tick scales up."""
    world = await a_settled_world(a_chatmodel().in_mode("Operator", metrics=QUEUE_TARGET), a_pod().ready().manifest())
    world.reader.queue, world.reader.running = 30, 8
    await world.tick()
    world.cluster.requests()
    return world


def counts(world: World) -> tuple[int, int]:
    """Of the ChatModel and of the Deployment."""
    return world.cluster.the(CHATMODEL)["spec"]["replicas"], world.cluster.the(DEPLOYMENT)["spec"]["replicas"]


async def test_passes_before_the_watch_delivers_our_own_writes_write_nothing():
    world = a_world(a_chatmodel().with_replicas(2))
    await world.tick()
    world.cluster.written()
    await world.tick(times=5, watching=False)
    assert world.cluster.written() == []


async def test_our_own_status_comes_back_and_wakes_nobody():
    world = await a_settled_world(a_chatmodel(), a_pod().ready().manifest())
    world.reader.queue = 7
    await world.tick(seconds=10)
    assert world.cluster.requests() == ["patch_status ChatModel"]
    assert world.deliver() == set()


async def test_a_change_that_first_arrived_in_the_response_to_our_write_wakes_the_chatmodel():
    world = await a_settled_world(a_chatmodel(), a_pod().ready().manifest())
    world.reader.queue = 7
    world.cluster.user_sets_spec(replicas=3)
    changed = copy.deepcopy(world.cluster.the(CHATMODEL))
    await world.tick(watching=False)
    assert world.cache.store(changed) == {TINY}
    await world.tick()
    assert counts(world) == (3, 3)


async def test_a_status_that_someone_else_wrote_wakes_the_chatmodel_and_is_replaced():
    world = await a_settled_world(a_chatmodel())
    await world.cluster.patch_status(CHATMODEL, "demo", "tiny", {"phase": "Wrong"})
    assert world.deliver() == {TINY}
    await world.tick(seconds=10)
    assert world.cluster.the(CHATMODEL)["status"]["phase"] == "Starting"


async def test_a_pass_waits_for_a_scale_that_the_cache_does_not_show_yet():
    world = await a_loaded_world()
    world.cluster.fail("apply Deployment", ClusterUnavailableError("HTTP 503"))
    with pytest.raises(ClusterUnavailableError):
        await world.tick()
    scaled = world.cluster.the(CHATMODEL)["spec"]["replicas"]
    assert scaled > 1
    world.cluster.requests()
    with pytest.raises(ConflictError, match="has not delivered"):
        await world.tick(watching=False)
    assert world.cluster.requests() == []
    await world.tick()
    assert counts(world) == (scaled, scaled)


async def test_a_count_that_a_user_wrote_meanwhile_is_not_overwritten_blindly():
    world = await a_loaded_world()
    world.cluster.user_sets_spec(autoscaling={"mode": "Fixed"}, replicas=2)
    with pytest.raises(ConflictError):
        await world.tick(watching=False)
    assert counts(world) == (2, 1)
    await world.tick()
    assert counts(world) == (2, 2)


async def test_a_conflict_causes_no_reads():
    world = await a_loaded_world()
    world.cluster.user_sets_spec(drain={"timeoutSeconds": 9})
    with pytest.raises(ConflictError):
        await world.tick(watching=False)
    assert world.cluster.requests() == ["write_scale ChatModel"]


async def test_a_chatmodel_that_was_deleted_unseen_is_forgotten_at_the_first_write():
    world = await a_loaded_world()
    world.cluster.remove(CHATMODEL)
    assert await world.tick(watching=False) == 1.0
    assert await world.tick(watching=False) is None
    assert world.cluster.the(DEPLOYMENT)["spec"]["replicas"] == 1


async def test_a_request_that_found_nothing_does_not_forget_a_chatmodel_that_exists():
    world = await a_loaded_world()
    world.cluster.fail("write_scale", NotFoundError("gone"))
    assert await world.tick() == 1.0
    await world.tick()
    assert counts(world)[1] > 1


async def test_a_child_that_lost_our_label_is_repaired_and_not_created_twice():
    world = await a_settled_world(a_chatmodel().with_replicas(3))
    del world.cluster.the(DEPLOYMENT)["metadata"]["labels"][names.CHATMODEL.label]
    await world.tick()
    assert world.cluster.the(DEPLOYMENT)["metadata"]["labels"][names.CHATMODEL.label] == "tiny"
    assert counts(world) == (3, 3)
    world.cluster.user_sets_spec(replicas=4)
    await world.tick()
    assert counts(world) == (4, 4)


async def test_an_unlabelled_object_with_a_childs_name_is_found_before_it_is_taken_over():
    theirs = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "tiny", "namespace": "demo"},
        "spec": {"replicas": 7},
    }
    world = a_world(a_chatmodel(), theirs)
    assert await world.tick() == 60.0
    assert world.cluster.the(DEPLOYMENT)["spec"] == {"replicas": 7}
    assert world.cluster.condition("Ready") == ("False", "InvalidSpec")
    world.cluster.remove(DEPLOYMENT)
    await world.tick(seconds=60)
    assert world.cluster.the(DEPLOYMENT)["spec"]["replicas"] == 1


async def test_a_foreign_hpa_wakes_its_target_when_it_comes_and_when_it_goes():
    world = await a_settled_world(a_chatmodel().in_mode("Operator"))
    world.cluster.put(a_foreign_hpa("theirs", kind="Deployment"))
    assert world.deliver() == {TINY}
    await world.tick()
    assert world.cluster.condition("ScalingActive") == ("False", "ConflictingAutoscaler")
    world.cluster.remove(AUTOSCALER, "theirs")
    assert world.deliver() == {TINY}


async def test_a_complete_pass_reads_nothing_from_the_api_server():
    world = await a_settled_world(a_chatmodel().in_mode("HPA"), a_pod().ready().manifest())
    world.cluster.user_sets_spec(server={"engine": "Simulated", "maxConcurrency": 16})
    await world.tick()
    reads = [request for request in world.cluster.requests() if request.startswith(("get", "list"))]
    assert reads == []


@pytest.mark.parametrize("kind", [DEPLOYMENT, SERVICE])
async def test_creation_asks_once_whether_the_name_is_taken(kind):
    world = await a_settled_world(a_chatmodel())
    world.cluster.remove(kind)
    await world.tick()
    assert world.cluster.requests().count(f"get {kind.name}") == 1
    assert world.cluster.has(kind)
