"""After an upgrade of the operator at most one ChatModel rolls out at a time, and a change of a spec never waits."""

from typing import Any

import pytest

from chatscale import names
from chatscale.cluster.interface import CHATMODEL, DEPLOYMENT
from chatscale.desired.workload import ServerImages
from chatscale.errors import ForbiddenError
from chatscale.reconcile.chatmodel.updates import Fleet, is_rolled_out
from chatscale.reconcile.chatmodel.watches import chatmodel_key
from tests.support.builders import PodBuilder, a_chatmodel
from tests.support.fake_cluster import FakeCluster
from tests.support.world import World

A, B, C = (chatmodel_key("demo", name) for name in "abc")
NEW = ServerImages(transformers="server:2", simulated="simulated:2")
BROKEN = ServerImages(transformers="server:broken", simulated="simulated:broken")


async def passes(world: World, *models: str) -> None:
    world.clock.advance(5)
    for name in models or ("a", "b", "c"):
        await world.reconcile(name)


async def three_settled_models(**changes: Any) -> World:
    manifests = [a_chatmodel().named(name).manifest() for name in "abc"]
    pods = [PodBuilder(name=f"{name}-1", chatmodel=name).ready().manifest() for name in "abc"]
    world = World(FakeCluster(*manifests, *pods), **changes)
    await passes(world)
    settle(world, "a", "b", "c")
    await passes(world)
    world.woken.clear()
    world.cluster.written()
    return world


def settle(world: World, *models: str) -> None:
    for name in models:
        world.cluster.settle_deployment(name)


def fail(world: World, name: str) -> None:
    """The Deployment controller gives up waiting for a rollout."""
    conditions = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
    world.cluster.the(DEPLOYMENT, name)["status"]["conditions"] = conditions


def images(world: World) -> str:
    """The image tag of each model, in order."""
    return " ".join(
        world.cluster.the(DEPLOYMENT, name)["spec"]["template"]["spec"]["containers"][0]["image"].partition(":")[2]
        for name in "abc"
    )


def progress(world: World, name: str) -> str:
    return world.cluster.condition("Progressing", name)[1]


async def test_a_new_default_image_rolls_out_one_model_after_the_other():
    world = await three_settled_models()
    world.upgrade_operator(NEW)
    await passes(world)
    assert images(world) == "2 1 1"
    await passes(world)
    assert images(world) == "2 1 1"
    assert world.cluster.condition("Progressing", "b") == ("True", "UpdateWaiting")
    assert "at most 1 ChatModel updates at a time" in world.cluster.message("Progressing", "b")
    settle(world, "a")
    await passes(world)
    assert images(world) == "2 2 1"
    settle(world, "b")
    await passes(world)
    assert images(world) == "2 2 2"
    settle(world, "c")
    await passes(world)
    world.cluster.written()
    await passes(world)
    assert world.cluster.written() == []
    assert {world.cluster.the(DEPLOYMENT, name)["metadata"]["annotations"][names.UPDATE_ANNOTATION] for name in "abc"}


async def test_the_order_does_not_depend_on_which_pass_comes_first():
    world = await three_settled_models()
    world.upgrade_operator(NEW)
    await passes(world, "c", "b", "a", "c", "b")
    assert images(world) == "2 1 1"


async def test_the_next_model_is_woken_when_one_has_finished_and_plans_at_once():
    world = await three_settled_models()
    world.upgrade_operator(NEW)
    await passes(world)
    world.woken.clear()
    settle(world, "a")
    await world.reconcile("a")
    assert world.woken == [B]
    await world.reconcile("b")
    assert images(world) == "2 2 1"


async def test_the_next_model_is_woken_when_the_one_before_it_is_deleted():
    world = await three_settled_models()
    world.upgrade_operator(NEW)
    await passes(world)
    world.woken.clear()
    world.cluster.remove(CHATMODEL, "a")
    await passes(world, "a")
    assert world.woken == [B]


async def test_a_restarted_operator_continues():
    world = await three_settled_models()
    world.upgrade_operator(NEW)
    await passes(world)
    world.restart_operator()
    await passes(world, "c", "b", "a")
    assert images(world) == "2 1 1"
    settle(world, "a")
    world.restart_operator()
    await passes(world, "c", "b", "a", "c", "b")
    assert images(world) == "2 2 1"


async def test_the_limit_is_a_setting():
    world = await three_settled_models(max_updates=2)
    world.upgrade_operator(NEW)
    await passes(world)
    assert images(world) == "2 2 1"
    assert "at most 2 ChatModels update at a time" in world.cluster.message("Progressing", "c")


async def test_a_change_of_a_models_own_spec_does_not_wait():
    world = await three_settled_models()
    world.upgrade_operator(NEW)
    await passes(world)
    world.cluster.user_sets_spec("c", drain={"timeoutSeconds": 9})
    await passes(world)
    assert images(world) == "2 1 2"
    settle(world, "a")
    await passes(world)
    assert images(world) == "2 2 2"


async def test_scaling_is_no_change_of_the_spec_and_goes_on_while_an_update_waits():
    world = await three_settled_models()
    world.upgrade_operator(NEW)
    await passes(world)
    world.cluster.user_sets_spec("c", replicas=5)
    await passes(world)
    assert images(world) == "2 1 1"
    assert world.cluster.the(DEPLOYMENT, "c")["spec"]["replicas"] == 5


async def test_a_new_model_starts_with_the_new_image_at_once():
    world = await three_settled_models()
    world.upgrade_operator(NEW)
    await passes(world)
    world.cluster.put(a_chatmodel().named("d").manifest())
    await passes(world, "d")
    container = world.cluster.the(DEPLOYMENT, "d")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "simulated:2"


async def test_a_model_with_an_image_of_its_own_neither_rolls_nor_keeps_the_others_waiting():
    pinned = {"engine": "Simulated", "image": "own:1"}
    manifests = [a_chatmodel().named("a").with_spec(server=pinned).manifest(), a_chatmodel().named("b").manifest()]
    world = World(FakeCluster(*manifests, a_chatmodel().named("c").manifest()))
    await passes(world)
    settle(world, "a", "b", "c")
    await passes(world)
    world.upgrade_operator(NEW)
    await passes(world)
    assert images(world) == "1 2 1"


async def test_a_failed_update_stops_the_others_and_its_message_says_how_to_go_on():
    world = await three_settled_models()
    world.upgrade_operator(BROKEN)
    await passes(world)
    fail(world, "a")
    world.clock.advance(30)
    await passes(world)
    assert images(world) == "broken 1 1"
    message = world.cluster.message("Progressing", "c")
    assert "ChatModel demo/a exceeded its progress deadline and keeps its turn" in message
    assert "spec.server.image" in message


async def test_a_corrected_image_reaches_the_failed_model_first():
    world = await three_settled_models()
    world.upgrade_operator(BROKEN)
    await passes(world)
    fail(world, "a")
    world.upgrade_operator(NEW)
    await passes(world, "c", "b", "a", "c", "b")
    assert images(world) == "2 1 1"


async def test_a_rollback_reaches_the_failed_model_and_restarts_no_other():
    world = await three_settled_models()
    before = world.images
    world.upgrade_operator(BROKEN)
    await passes(world)
    world.upgrade_operator(before)
    await passes(world)
    settle(world, "a")
    await passes(world)
    assert images(world) == "1 1 1"
    assert world.cluster.the(DEPLOYMENT, "b")["metadata"]["generation"] == 1
    assert progress(world, "c") != "UpdateWaiting"


async def test_a_failed_model_that_gets_an_image_of_its_own_gives_its_turn_up():
    world = await three_settled_models()
    world.upgrade_operator(NEW)
    await passes(world)
    fail(world, "a")
    world.cluster.user_sets_spec("a", server={"engine": "Simulated", "image": "own:1"})
    await passes(world)
    assert images(world) == "1 2 1"


async def test_a_model_whose_deployment_is_refused_does_not_keep_the_others_waiting():
    world = await three_settled_models()
    world.upgrade_operator(NEW)
    world.cluster.fail("apply Deployment", ForbiddenError("quota"))
    await passes(world, "a")
    assert world.cluster.condition("Ready", "a") == ("False", "Forbidden")
    world.clock.advance(30)
    await passes(world, "b", "c")
    assert images(world) == "1 2 1"


async def test_a_deployment_of_an_operator_that_recorded_nothing_waits_too():
    world = await three_settled_models()
    for name in "abc":
        annotations = world.cluster.the(DEPLOYMENT, name)["metadata"]["annotations"]
        for annotation in (names.APPLIED_SPEC_ANNOTATION, names.OPERATOR_BUILD_ANNOTATION, names.UPDATE_ANNOTATION):
            del annotations[annotation]
    world.upgrade_operator(NEW)
    await passes(world)
    assert images(world) == "2 1 1"


async def test_a_second_pass_of_a_waiting_model_writes_nothing():
    world = await three_settled_models()
    world.upgrade_operator(NEW)
    await passes(world)
    await passes(world)
    world.cluster.written()
    world.clock.advance(30)
    await passes(world)
    assert world.cluster.written() == []


def test_turns_are_in_the_order_of_the_queue_and_only_for_free_places():
    fleet = Fleet(running=(A,), waiting=(B, C))
    assert [fleet.next_turns(limit) for limit in (1, 2, 3)] == [(), (B,), (B, C)]
    assert [fleet.may_update(C, limit) for limit in (1, 2, 3)] == [False, False, True]
    assert fleet.may_update(A, 1)


def test_a_model_outside_the_queue_comes_after_it():
    assert Fleet(running=(A,)).may_update(C, 2)
    assert not Fleet(running=(A,), waiting=(B,)).may_update(C, 2)
    assert not Fleet(running=(A,)).may_update(C, 1)


@pytest.mark.parametrize(
    ("status", "unschedulable", "done"),
    [
        pytest.param({}, 0, False, id="not-observed"),
        pytest.param({"replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}, 0, True, id="complete"),
        pytest.param({"replicas": 4, "updatedReplicas": 3, "availableReplicas": 4}, 0, False, id="an-old-pod-is-left"),
        pytest.param({"replicas": 3, "updatedReplicas": 2, "availableReplicas": 3}, 0, False, id="half"),
        pytest.param({"replicas": 3, "updatedReplicas": 3, "availableReplicas": 2}, 0, False, id="the-last-one-starts"),
        pytest.param({"replicas": 3, "updatedReplicas": 3, "availableReplicas": 2}, 1, True, id="a-full-cluster"),
        pytest.param({"replicas": 3, "updatedReplicas": 3}, 3, False, id="no-pod-has-run-the-template"),
        pytest.param({"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}, 0, False,
                     id="status-of-the-earlier-template"),
    ],
)  # fmt: skip
def test_a_rollout_is_done_when_every_pod_that_a_node_can_run_is_available(
    status: dict[str, int], unschedulable: int, *, done: bool
):
    found = {"observedGeneration": 2, **status} if status else {}
    deployment = {"metadata": {"generation": 2}, "spec": {"replicas": 3}, "status": found}
    assert is_rolled_out(deployment, unschedulable) is done


def test_a_model_scaled_to_zero_is_done_without_a_pod():
    deployment = {"metadata": {"generation": 2}, "spec": {"replicas": 0}, "status": {"observedGeneration": 2}}
    assert is_rolled_out(deployment, 0)
