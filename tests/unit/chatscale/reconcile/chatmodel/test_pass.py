"""One pass: level-triggered, idempotent, and nothing lost when something goes wrong in the middle."""

import pytest

from chatscale import names
from chatscale.cluster.interface import AUTOSCALER, CHATMODEL, DEPLOYMENT, SERVICE, Kind
from chatscale.errors import (
    ClusterUnavailableError,
    ForbiddenError,
    InvalidSpecError,
    NotFoundError,
    RejectedRequestError,
)
from tests.support.builders import Manifest, a_chatmodel, a_foreign_hpa, a_pod
from tests.support.world import a_settled_world, a_world


@pytest.mark.parametrize("mode", ["Fixed", "Operator", "HPA"])
async def test_a_second_pass_writes_nothing(mode: str):
    world = await a_settled_world(a_chatmodel().in_mode(mode), a_pod().ready().manifest())
    assert await world.tick(times=5) == 2.0
    assert world.cluster.written() == []
    assert world.cluster.event_reasons() == []


async def test_a_restarted_operator_writes_nothing_where_nothing_changed():
    world = await a_settled_world(a_chatmodel().in_mode("HPA"), a_pod().ready().manifest())
    world.restart_operator()
    await world.tick(times=3)
    assert world.cluster.written() == []


async def test_a_model_that_is_not_found_causes_one_event():
    sentence = "hf://example/tiny: no such repository"
    world = await a_settled_world(a_chatmodel(), a_pod().ended(66, sentence).manifest())
    world.cluster.put(a_chatmodel().named("other").manifest())
    assert world.cluster.condition("Ready") == ("False", "ModelNotFound")
    assert world.cluster.condition("ModelLoaded") == ("False", "ModelNotFound")
    assert world.cluster.the(CHATMODEL)["status"]["phase"] == "ModelNotFound"
    await world.tick(times=10)
    assert world.cluster.event_reasons() == []


async def test_the_event_about_a_missing_model_has_the_servers_message():
    sentence = "hf://example/tiny: no such repository"
    world = a_world(a_chatmodel(), a_pod().ended(66, sentence).manifest())
    await world.tick(times=3)
    assert [(event["type"], event["reason"]) for event in world.cluster.events] == [("Warning", "ModelNotFound")]
    assert world.cluster.events[0]["message"].endswith(sentence)


async def test_a_deleted_chatmodel_ends_its_passes():
    world = await a_settled_world(a_chatmodel())
    world.cluster.remove(CHATMODEL)
    assert await world.tick() is None
    assert world.cluster.written() == []


async def test_a_terminating_chatmodel_gets_no_new_children():
    manifest = a_chatmodel().manifest()
    manifest["metadata"]["deletionTimestamp"] = "2026-11-27T08:00:00Z"
    world = a_world(a_chatmodel())
    world.cluster.put(manifest)
    assert await world.tick() is None
    assert world.cluster.written() == []


@pytest.mark.parametrize("verb", ["apply Service", "patch_status", "write_scale"])
async def test_a_chatmodel_deleted_in_the_middle_of_a_pass_is_not_an_error(verb: str):
    world = a_world(a_chatmodel().in_mode("Operator", min_replicas=2))
    world.cluster.fail(verb, NotFoundError("gone"))
    assert await world.tick() == 1.0
    world.cluster.remove(CHATMODEL)
    assert await world.tick() is None


@pytest.mark.parametrize(
    "verb", ["get Deployment", "get Service", "apply Deployment", "apply Service", "write_scale", "patch_status"]
)
async def test_the_next_pass_completes_one_that_failed_anywhere(verb: str):
    world = a_world(a_chatmodel().in_mode("Operator", min_replicas=2))
    world.cluster.fail(verb, ClusterUnavailableError("HTTP 503"))
    with pytest.raises(ClusterUnavailableError):
        await world.tick()
    await world.tick()
    assert world.cluster.the(DEPLOYMENT)["spec"]["replicas"] == 2
    assert world.cluster.has(SERVICE)
    assert world.cluster.the(CHATMODEL)["status"]["desiredReplicas"] == 2


async def test_a_lost_event_does_not_fail_the_pass():
    world = a_world(a_chatmodel(), a_pod().ended(66, "no such model").manifest())
    world.cluster.fail("create", ClusterUnavailableError("HTTP 403"))
    await world.tick()
    assert world.cluster.condition("Ready") == ("False", "ModelNotFound")


async def test_a_spec_that_the_cluster_refuses_is_a_condition_and_not_a_retry():
    world = a_world(a_chatmodel())
    refusal = 'Deployment.apps "tiny" is invalid: spec.template.spec.containers[0].resources: Invalid value: "lots"'
    world.cluster.fail("apply Deployment", InvalidSpecError(refusal), InvalidSpecError(refusal))
    assert await world.tick() == 60.0
    status = world.cluster.the(CHATMODEL)["status"]
    assert (status["phase"], status["observedGeneration"], status["conditions"][0]["message"]) == (
        "InvalidSpec",
        1,
        refusal,
    )
    await world.tick()
    assert world.cluster.event_reasons() == ["InvalidSpec"]


async def test_a_refused_change_of_the_spec_stops_neither_scaling_nor_the_status():
    targets = [{"type": "QueueDepth", "target": 4}]
    world = await a_settled_world(a_chatmodel().in_mode("Operator", metrics=targets), a_pod().ready().manifest())
    world.cluster.user_sets_spec(server={"engine": "Simulated", "image": "bad image"})
    world.cluster.refuse_templates("bad image")
    assert await world.tick() == 2.0
    assert world.cluster.condition("Ready") == ("False", "InvalidSpec")
    assert world.cluster.condition("Progressing") == ("False", "InvalidSpec")
    assert world.cluster.condition("Available") == ("True", "ReplicasReady")
    world.reader.queue, world.reader.running = 30, 8
    await world.tick(times=4)
    status = world.cluster.the(CHATMODEL)["status"]
    assert world.cluster.the(DEPLOYMENT)["spec"]["replicas"] == status["desiredReplicas"] > 1
    assert status["queueDepth"] == 30
    assert world.cluster.event_reasons()[:2] == ["InvalidSpec", "ScaledUp"]


async def test_a_refused_template_does_not_prevent_a_change_of_the_hpa():
    world = await a_settled_world(a_chatmodel().in_mode("HPA"))
    world.cluster.user_sets_spec(server={"image": "bad image"}, autoscaling={"mode": "HPA", "maxReplicas": 9})
    world.cluster.refuse_templates("bad image")
    await world.tick()
    assert world.cluster.condition("Ready") == ("False", "InvalidSpec")
    assert world.cluster.the(AUTOSCALER)["spec"]["maxReplicas"] == 9


async def test_a_quota_causes_one_event_with_the_message_of_the_api_server():
    quota = 'deployments.apps "tiny" is forbidden: exceeded quota: few, requested: count/deployments.apps=1'
    world = a_world(a_chatmodel())
    world.cluster.fail("apply Deployment", *[ForbiddenError(quota)] * 3)
    assert await world.tick(times=3, seconds=60) == 60.0
    conditions = world.cluster.the(CHATMODEL)["status"]["conditions"]
    assert (conditions[0]["reason"], conditions[0]["message"]) == ("Forbidden", quota)
    assert world.cluster.event_reasons() == ["Forbidden"]
    await world.tick(seconds=60)
    assert world.cluster.condition("Ready") == ("False", "Starting")


async def test_a_rejected_status_is_logged_as_a_bug_and_never_an_error_of_the_spec(caplog: pytest.LogCaptureFixture):
    targets = [{"type": "QueueDepth", "target": 4}]
    world = await a_settled_world(a_chatmodel().in_mode("Operator", metrics=targets), a_pod().ready().manifest())
    before = world.cluster.the(CHATMODEL)["status"]
    world.cluster.fail("patch_status", *[RejectedRequestError("PATCH status: HTTP 422: status.queueDepth")] * 100)
    world.reader.queue, world.reader.running = 30, 8
    assert await world.tick(times=24) == 2.0
    assert world.cluster.the(DEPLOYMENT)["spec"]["replicas"] > 1
    assert world.cluster.the(CHATMODEL)["status"] == before
    assert "InvalidSpec" not in world.cluster.event_reasons()
    rejected = [record for record in caplog.records if record.message == "bug: status rejected"]
    assert [record.levelname for record in rejected] == ["ERROR", "ERROR"]


async def test_the_status_is_written_again_a_minute_after_it_was_rejected():
    world = a_world(a_chatmodel())
    world.cluster.fail("patch_status", RejectedRequestError("HTTP 422"))
    await world.tick()
    assert world.cluster.the(CHATMODEL)["status"] == {}
    await world.tick(seconds=60)
    assert world.cluster.condition("Ready") == ("False", "Starting")


@pytest.mark.parametrize("verb", ["write_scale", "delete HorizontalPodAutoscaler"])
async def test_a_rejected_request_of_the_operators_own_is_a_bug_and_not_an_error_of_the_spec(verb: str):
    world = await a_settled_world(a_chatmodel().in_mode("HPA"), a_pod().ready().manifest())
    world.cluster.fail(verb, RejectedRequestError("HTTP 400"))
    world.cluster.user_sets_spec(autoscaling={"mode": "Operator", "minReplicas": 2, "maxReplicas": 4})
    with pytest.raises(RejectedRequestError):
        await world.tick()
    assert world.cluster.condition("Ready") == ("True", "Ready")
    await world.tick()
    assert world.cluster.the(DEPLOYMENT)["spec"]["replicas"] == 2


async def test_a_stored_spec_that_no_longer_validates_names_field_and_value():
    world = a_world(a_chatmodel().with_spec(replicas=-1))
    await world.tick()
    message = world.cluster.the(CHATMODEL)["status"]["conditions"][0]["message"]
    assert message == "ChatModel demo/tiny: spec.replicas: Input should be greater than or equal to 0, found -1"
    assert not world.cluster.has(DEPLOYMENT)


async def test_a_missing_field_does_not_quote_the_whole_spec():
    world = a_world(a_chatmodel().with_spec(model={"chatTemplate": "x" * 10_000}))
    await world.tick()
    message = world.cluster.the(CHATMODEL)["status"]["conditions"][0]["message"]
    assert message.startswith("ChatModel demo/tiny: spec.model.uri: Field required, found {'chatTemplate': 'xxx")
    assert len(message) < 300


async def test_an_unreadable_status_is_replaced():
    world = a_world(a_chatmodel().with_status(desiredReplicas="many"))
    await world.tick()
    assert world.cluster.the(CHATMODEL)["status"]["desiredReplicas"] == 1


def a_foreign(kind: str, **labels: str) -> Manifest:
    """An object of another owner that has the ChatModel's name."""
    meta = {"name": "tiny", "namespace": "demo", "uid": "theirs", "labels": labels}
    return {"apiVersion": "v1", "kind": kind, "metadata": meta, "spec": {"replicas": 7, "ports": [{"port": 1}]}}


@pytest.mark.parametrize("labels", [{}, {names.CHATMODEL.label: "tiny"}], ids=["unlabelled", "with our label"])
@pytest.mark.parametrize("kind", [SERVICE, DEPLOYMENT])
async def test_a_foreign_object_with_a_childs_name_is_not_changed(kind: Kind, labels: dict[str, str]):
    theirs = a_foreign(kind.name, **labels)
    world = a_world(a_chatmodel().in_mode("Operator", min_replicas=2), theirs)
    await world.tick(times=20)
    assert world.cluster.the(kind)["spec"] == theirs["spec"]
    assert world.cluster.condition("Ready") == ("False", "InvalidSpec")
    assert world.cluster.message("Ready") == (
        f"{kind.name} demo/tiny exists and does not belong to ChatModel demo/tiny: rename one of them, or delete it"
    )


@pytest.mark.parametrize("kind", [SERVICE, AUTOSCALER])
async def test_a_foreign_object_with_a_childs_name_does_not_stop_scaling(kind: Kind):
    theirs = a_foreign_hpa("tiny", kind="Deployment", target="web") if kind is AUTOSCALER else a_foreign(kind.name)
    mode = "HPA" if kind is AUTOSCALER else "Operator"
    targets = [{"type": "QueueDepth", "target": 4}]
    world = a_world(a_chatmodel().in_mode(mode, metrics=targets), theirs, a_pod().ready().manifest())
    await world.tick(times=2)
    assert world.cluster.the(DEPLOYMENT)["spec"]["replicas"] == 1
    if kind is AUTOSCALER:
        world.cluster.autoscaler_sets_replicas(3)
    world.reader.queue, world.reader.running = 30, 8
    await world.tick(times=4)
    status = world.cluster.the(CHATMODEL)["status"]
    assert world.cluster.the(DEPLOYMENT)["spec"]["replicas"] == status["desiredReplicas"] > 1
    assert (status["readyReplicas"], status["queueDepth"]) == (1, 30)
    assert world.cluster.condition("Ready") == ("False", "InvalidSpec")
    assert world.cluster.event_reasons().count("InvalidSpec") == 1


async def test_a_childs_name_that_is_free_again_is_used_within_a_minute():
    world = a_world(a_chatmodel(), a_foreign("Service"))
    assert await world.tick() == 60.0
    world.cluster.remove(SERVICE)
    await world.tick(seconds=60)
    assert world.cluster.the(SERVICE)["metadata"]["labels"][names.CHATMODEL.label] == "tiny"
    assert world.cluster.condition("Ready") == ("False", "Starting")


async def test_children_of_an_earlier_chatmodel_of_the_same_name_are_adopted():
    world = await a_settled_world(a_chatmodel().with_replicas(2))
    again = a_chatmodel().with_replicas(2).manifest()
    again["metadata"]["uid"] = "uid-again"
    world.cluster.put(again)
    await world.tick()
    owners = world.cluster.the(DEPLOYMENT)["metadata"]["ownerReferences"]
    assert [owner["uid"] for owner in owners] == ["uid-again"]


async def test_a_foreign_hpa_with_our_name_is_not_taken_over():
    theirs = a_foreign_hpa("tiny", kind="Deployment", target="web")
    world = a_world(a_chatmodel().in_mode("HPA"), theirs)
    await world.tick()
    assert world.cluster.the(AUTOSCALER)["spec"] == theirs["spec"]
    assert world.cluster.condition("Ready") == ("False", "InvalidSpec")
    world.cluster.user_sets_spec(autoscaling={"mode": "Fixed"})
    await world.tick()
    assert world.cluster.has(AUTOSCALER)
    assert world.cluster.condition("Ready") == ("False", "Starting")


async def test_an_autoscaler_of_an_earlier_chatmodel_of_the_same_name_is_adopted_and_goes_with_its_mode():
    world = await a_settled_world(a_chatmodel().in_mode("HPA"))
    again = a_chatmodel().in_mode("HPA").manifest()
    again["metadata"]["uid"] = "uid-again"
    world.cluster.put(again)
    await world.tick()
    assert world.cluster.condition("ScalingActive") == ("Unknown", "AutoscalerStarting")
    assert [o["uid"] for o in world.cluster.the(AUTOSCALER)["metadata"]["ownerReferences"]] == ["uid-again"]
    world.cluster.user_sets_spec(autoscaling={"mode": "Fixed"})
    await world.tick()
    assert not world.cluster.has(AUTOSCALER)


async def test_an_edited_child_is_repaired():
    world = await a_settled_world(a_chatmodel())
    world.cluster.the(SERVICE)["spec"]["selector"] = {"app": "other"}
    await world.tick()
    assert world.cluster.written() == ["apply Service as chatscale"]
    assert world.cluster.the(SERVICE)["spec"]["selector"]["chatscale.dev/chatmodel"] == "tiny"


async def test_a_deleted_child_is_created_again_with_the_desired_count():
    world = await a_settled_world(a_chatmodel().in_mode("Operator").desiring(3))
    world.cluster.remove(DEPLOYMENT)
    await world.tick()
    assert world.cluster.the(DEPLOYMENT)["spec"]["replicas"] == 3


async def test_mode_hpa_makes_an_autoscaler_that_the_chatmodel_owns():
    world = await a_settled_world(a_chatmodel().in_mode("HPA"))
    hpa = world.cluster.the(AUTOSCALER)
    assert hpa["spec"]["scaleTargetRef"] == {
        "apiVersion": "chatscale.dev/v1alpha1",
        "kind": "ChatModel",
        "name": "tiny",
    }
    assert hpa["metadata"]["ownerReferences"][0]["uid"] == "uid-tiny"
    assert world.cluster.the(CHATMODEL)["status"]["selector"]
