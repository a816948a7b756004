"""Every mode has one writer of the replica count; whoever else writes it moves nothing (docs/design/0004)."""

import pytest

from chatscale import names
from chatscale.cluster.interface import AUTOSCALER, CHATMODEL, DEPLOYMENT
from chatscale.errors import ClusterUnavailableError, ConflictError
from tests.support.builders import a_chatmodel, a_foreign_hpa
from tests.support.world import World, a_settled_world, a_world


def replicas(world: World) -> tuple[int, int]:
    """Of the ChatModel and of the Deployment."""
    return world.cluster.the(CHATMODEL)["spec"]["replicas"], world.cluster.the(DEPLOYMENT)["spec"]["replicas"]


async def test_a_new_deployment_starts_with_the_desired_count():
    world = a_world(a_chatmodel().with_replicas(4))
    await world.tick()
    assert replicas(world) == (4, 4)
    assert world.cluster.written()[:4] == [
        "apply ConfigMap as chatscale",
        "apply Deployment as chatscale",
        "apply Deployment as chatscale-scaler",
        "apply Deployment as chatscale",
    ]
    assert world.cluster.owners_of_replicas(DEPLOYMENT) == {names.SCALER_FIELD_MANAGER}


@pytest.mark.parametrize("survived", [pytest.param(1, id="after the first apply"), pytest.param(2, id="the second")])
async def test_the_next_process_completes_an_interrupted_creation(survived: int):
    world = a_world(a_chatmodel().with_replicas(4))
    lost = ClusterUnavailableError("gone")
    applied = 0
    original = world.cluster.apply

    async def cut_off(manifest, manager):
        nonlocal applied
        if applied == survived:
            raise lost
        applied += 1
        return await original(manifest, manager)

    world.cluster.apply = cut_off
    with pytest.raises(ClusterUnavailableError):
        await world.tick()
    world.cluster.apply = original
    world.restart_operator()
    await world.tick()
    assert replicas(world) == (4, 4)
    assert world.cluster.owners_of_replicas(DEPLOYMENT) == {names.SCALER_FIELD_MANAGER}


async def test_mode_fixed_follows_kubectl_scale():
    world = await a_settled_world(a_chatmodel())
    world.cluster.user_sets_spec(replicas=3)
    await world.tick()
    assert replicas(world) == (3, 3)
    assert world.cluster.event_reasons() == ["ScaledUp"]
    assert world.cluster.the(CHATMODEL)["status"]["autoscaling"]["history"] == [
        {"time": "2026-11-27T08:00:15Z", "from": 1, "to": 3, "reason": "spec.replicas was set to 3"}
    ]


async def test_mode_operator_reverts_the_count_of_a_reapply():
    world = await a_settled_world(a_chatmodel().in_mode("Operator").with_replicas(3).desiring(3))
    assert replicas(world) == (3, 3)
    world.cluster.user_sets_spec(replicas=1)
    await world.tick(seconds=10)
    assert replicas(world) == (3, 3)
    assert world.cluster.written() == ["scale ChatModel to 3", "patch status"]
    assert [(event["reason"], event["message"]) for event in world.cluster.events] == [
        ("ReplicasRestored", "spec.replicas was set to 1; in mode Operator it has another writer, so 3 stays")
    ]


async def test_every_restored_count_is_in_an_event_and_there_is_one_event_a_minute():
    world = await a_settled_world(a_chatmodel().in_mode("Operator").with_replicas(3).desiring(3))
    for _ in range(6):
        world.cluster.user_sets_spec(replicas=1)
        await world.tick(seconds=5)
        assert replicas(world) == (3, 3)
    assert world.cluster.event_reasons() == ["ReplicasRestored"]
    due_s = await world.tick(seconds=1)
    assert due_s is not None
    assert due_s <= 34
    await world.tick(seconds=34)
    (summary,) = world.cluster.events
    assert summary["reason"] == "ReplicasRestored"
    assert summary["message"] == (
        "spec.replicas was set to 1; in mode Operator it has another writer, so 3 stays "
        "(5 restored counts since the last Event)"
    )
    world.cluster.event_reasons()
    await world.tick(times=30)
    assert world.cluster.event_reasons() == []


@pytest.mark.parametrize("mode", ["Fixed", "Operator", "HPA"])
async def test_a_restored_count_of_the_deployment_causes_an_event(mode: str):
    world = await a_settled_world(a_chatmodel().in_mode(mode).with_replicas(3).desiring(3))
    world.cluster.autoscaler_sets_replicas(9, kind=DEPLOYMENT)
    await world.tick()
    assert replicas(world) == (3, 3)
    assert [(event["type"], event["reason"], event["message"]) for event in world.cluster.events] == [
        ("Warning", "ReplicasRestored", "Deployment tiny was scaled to 9; it follows ChatModel tiny, so 3 stays")
    ]
    world.cluster.event_reasons()
    await world.tick(times=20)
    assert world.cluster.event_reasons() == []


async def test_the_operators_own_changes_of_the_count_are_no_restored_counts():
    world = await a_settled_world(a_chatmodel())
    for count in (3, 1, 4):
        world.cluster.user_sets_spec(replicas=count)
        await world.tick(times=2)
    assert set(world.cluster.event_reasons()) == {"ScaledUp", "ScaledDown"}


async def test_mode_hpa_follows_the_scale_subresource():
    world = await a_settled_world(a_chatmodel().in_mode("HPA"))
    world.cluster.autoscaler_sets_replicas(4)
    await world.tick()
    assert replicas(world) == (4, 4)
    assert world.cluster.event_reasons() == ["ScaledUp"]


async def test_mode_hpa_scales_up_from_0_replicas_because_an_hpa_does_not():
    world = await a_settled_world(a_chatmodel().with_replicas(0))
    assert replicas(world) == (0, 0)
    world.cluster.user_sets_spec(autoscaling={"mode": "HPA", "minReplicas": 2, "maxReplicas": 4})
    await world.tick()
    assert replicas(world) == (2, 2)
    assert [event["message"] for event in world.cluster.events] == [
        "Scaled 0 -> 2: minReplicas is 2, and a HorizontalPodAutoscaler does not act on 0 replicas"
    ]


async def test_mode_hpa_reverts_the_count_of_a_reapply():
    world = await a_settled_world(a_chatmodel().in_mode("HPA"))
    world.cluster.autoscaler_sets_replicas(4)
    await world.tick()
    world.cluster.user_sets_spec(replicas=1)
    await world.tick()
    assert replicas(world) == (4, 4)
    world.cluster.autoscaler_sets_replicas(2)
    await world.tick()
    assert replicas(world) == (2, 2)


async def test_the_count_does_not_flap_between_hpa_operator_and_reapply():
    world = await a_settled_world(a_chatmodel().in_mode("Operator").desiring(3), a_foreign_hpa())
    seen = set()
    for _ in range(6):
        world.cluster.user_sets_spec(replicas=1)
        await world.tick()
        seen.add(replicas(world)[1])
    assert seen == {3}
    assert world.cluster.condition("ScalingActive") == ("False", "ConflictingAutoscaler")


async def test_stops_scaling_beside_a_foreign_hpa_on_the_deployment_and_names_it():
    world = await a_settled_world(a_chatmodel().in_mode("Operator").desiring(2))
    world.cluster.put(a_foreign_hpa("theirs", kind="Deployment"))
    world.cluster.autoscaler_sets_replicas(4, kind=DEPLOYMENT)
    await world.tick(times=3)
    assert replicas(world) == (4, 4)
    conditions = {c["type"]: c for c in world.cluster.the(CHATMODEL)["status"]["conditions"]}
    assert conditions["ScalingActive"]["message"] == (
        "HorizontalPodAutoscaler demo/theirs also scales Deployment tiny; "
        "delete it, or let it scale ChatModel tiny with spec.autoscaling.mode Fixed"
    )
    assert world.cluster.event_reasons() == ["ScaledUp", "ConflictingAutoscaler"]


@pytest.mark.parametrize("mode", ["Operator", "HPA"])
async def test_the_count_stays_when_a_foreign_hpa_on_the_deployment_is_deleted(mode: str):
    world = await a_settled_world(a_chatmodel().in_mode(mode), a_foreign_hpa("theirs", kind="Deployment"))
    world.cluster.autoscaler_sets_replicas(4, kind=DEPLOYMENT)
    await world.tick()
    world.cluster.autoscaler_sets_replicas(3, kind=DEPLOYMENT)
    await world.tick()
    world.cluster.remove(AUTOSCALER, "theirs")
    await world.tick(times=3)
    assert replicas(world) == (3, 3)


async def test_stops_scaling_beside_a_foreign_hpa_on_the_deployment_in_mode_fixed_too():
    world = await a_settled_world(a_chatmodel().with_replicas(2))
    world.cluster.put(a_foreign_hpa("theirs", kind="Deployment"))
    world.cluster.autoscaler_sets_replicas(4, kind=DEPLOYMENT)
    await world.tick(times=3)
    assert replicas(world) == (2, 4)
    assert world.cluster.condition("ScalingActive") == ("False", "ConflictingAutoscaler")


async def test_in_mode_fixed_a_users_own_hpa_on_the_chatmodel_sets_the_count():
    world = await a_settled_world(a_chatmodel(), a_foreign_hpa())
    world.cluster.autoscaler_sets_replicas(4)
    await world.tick()
    assert replicas(world) == (4, 4)
    assert world.cluster.condition("ScalingActive") == ("False", "ScalingDisabled")


async def test_our_hpa_is_deleted_beside_a_foreign_one():
    world = await a_settled_world(a_chatmodel().in_mode("HPA"))
    assert world.cluster.has(AUTOSCALER)
    world.cluster.put(a_foreign_hpa())
    await world.tick()
    assert not world.cluster.has(AUTOSCALER)
    assert world.cluster.has(AUTOSCALER, "theirs")


@pytest.mark.parametrize("mode", ["Operator", "Fixed"])
async def test_leaving_mode_hpa_deletes_the_autoscaler_and_keeps_the_count(mode: str):
    world = await a_settled_world(a_chatmodel().in_mode("HPA"))
    world.cluster.autoscaler_sets_replicas(4)
    await world.tick()
    world.cluster.user_sets_spec(autoscaling={"mode": mode, "minReplicas": 1, "maxReplicas": 8})
    await world.tick()
    assert not world.cluster.has(AUTOSCALER)
    assert replicas(world) == (4, 4)


@pytest.mark.parametrize("mode", ["Operator", "HPA"])
async def test_leaving_mode_fixed_with_an_old_count_in_the_manifest_keeps_the_count(mode: str):
    world = await a_settled_world(a_chatmodel())
    world.cluster.user_sets_spec(replicas=3)
    await world.tick()
    world.cluster.user_sets_spec(autoscaling={"mode": mode, "minReplicas": 1, "maxReplicas": 4}, replicas=1)
    await world.tick()
    assert replicas(world) == (3, 3)


async def test_a_dry_run_reports_its_decision_and_leaves_the_count_to_the_user():
    world = await a_settled_world(a_chatmodel().in_mode("Operator", min_replicas=3, dryRun=True))
    assert replicas(world) == (1, 1)
    assert world.cluster.condition("ScalingActive") == ("False", "DryRun")
    world.cluster.user_sets_spec(replicas=2)
    await world.tick()
    assert replicas(world) == (2, 2)


async def test_a_dry_run_reports_each_decision_once():
    world = a_world(a_chatmodel().in_mode("Operator", min_replicas=3, dryRun=True))
    await world.tick(times=4)
    assert [event["message"].partition(":")[0] for event in world.cluster.events] == ["Would scale 1 -> 3"]


async def test_a_restarted_operator_keeps_the_count():
    world = await a_settled_world(a_chatmodel().in_mode("Operator").desiring(4))
    world.restart_operator()
    await world.tick(times=3)
    assert replicas(world) == (4, 4)


async def test_a_restarted_operator_keeps_the_count_that_a_reapply_overwrote_meanwhile():
    world = await a_settled_world(a_chatmodel().in_mode("Operator").desiring(4))
    world.cluster.user_sets_spec(replicas=1)
    world.restart_operator()
    await world.tick(times=3)
    assert replicas(world) == (4, 4)


async def test_a_count_written_without_a_status_survives_a_restart():
    world = await a_settled_world(a_chatmodel().in_mode("Operator", min_replicas=1).desiring(1))
    await world.cluster.write_scale(await world.cluster.get(CHATMODEL, "demo", "tiny"), 3, names.SCALER_FIELD_MANAGER)
    world.restart_operator()
    await world.tick()
    assert replicas(world) == (3, 3)


async def test_a_write_between_reading_and_scaling_is_not_overwritten_blindly():
    world = await a_settled_world(a_chatmodel().in_mode("Operator").with_replicas(3).desiring(3))
    world.cluster.user_sets_spec(replicas=1)
    world.cluster.fail("write_scale", ConflictError("changed"))
    with pytest.raises(ConflictError):
        await world.tick()
    await world.tick()
    assert replicas(world) == (3, 3)


async def test_a_manual_scale_of_the_deployment_is_reverted():
    world = await a_settled_world(a_chatmodel().with_replicas(2))
    world.cluster.autoscaler_sets_replicas(5, kind=DEPLOYMENT)
    await world.tick()
    assert replicas(world) == (2, 2)
    assert world.cluster.owners_of_replicas(DEPLOYMENT) == {names.SCALER_FIELD_MANAGER}


async def test_a_change_of_the_template_does_not_touch_the_count():
    world = await a_settled_world(a_chatmodel().with_replicas(4))
    world.cluster.user_sets_spec(server={"engine": "Simulated", "maxConcurrency": 16})
    await world.tick()
    assert world.cluster.written() == ["apply Deployment as chatscale", "patch status"]
    assert replicas(world) == (4, 4)
