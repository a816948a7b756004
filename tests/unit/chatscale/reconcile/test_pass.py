"""One pass: level-triggered, idempotent, and nothing lost when something goes wrong in the middle."""

import pytest
from prometheus_client import REGISTRY

from chatscale.cluster.interface import AUTOSCALER, CHATMODEL, DEPLOYMENT, SERVICE
from chatscale.errors import ClusterUnavailableError, ForbiddenError, InvalidSpecError, NotFoundError
from chatscale.reconcile.status import MESSAGE_LENGTH
from tests.support.builders import a_chatmodel, a_foreign_hpa, a_pod
from tests.support.world import TINY, a_settled_world, a_world


@pytest.mark.parametrize("mode", ["Fixed", "Operator", "HPA"])
async def test_a_second_pass_writes_nothing(mode: str):
    world = await a_settled_world(a_chatmodel().in_mode(mode), a_pod().ready().manifest())
    assert await world.tick(times=5) == 5.0
    assert world.cluster.written() == []
    assert world.cluster.told() == []


async def test_a_restarted_operator_writes_nothing_where_nothing_changed():
    world = await a_settled_world(a_chatmodel().in_mode("HPA"), a_pod().ready().manifest())
    world.restart_operator()
    await world.tick(times=3)
    assert world.cluster.written() == []


async def test_quiet_readings_are_noted_once_a_minute():
    world = await a_settled_world(a_chatmodel().in_mode("Operator"), a_pod().ready().manifest())
    await world.tick(times=60, seconds=5)
    assert 4 <= world.cluster.written().count("patch status") <= 5


async def test_an_outage_of_the_metrics_is_noted_once_a_minute():
    world = await a_settled_world(a_chatmodel().in_mode("Operator"), a_pod().ready().manifest())
    world.reader.broken = "no answer within 2 s"
    await world.tick(times=24, seconds=5)
    world.cluster.written()
    await world.tick(times=60, seconds=5)
    assert 4 <= world.cluster.written().count("patch status") <= 5


async def test_what_an_earlier_source_said_does_not_hide_that_the_new_one_is_silent():
    world = await a_settled_world(a_chatmodel().in_mode("Operator"), a_pod().ready().manifest())
    await world.tick(times=20, seconds=5)
    prometheus = {"type": "Prometheus", "prometheusURL": "http://nowhere", "intervalSeconds": 5}
    world.cluster.the(CHATMODEL)["spec"]["autoscaling"]["source"] = prometheus
    world.reader.broken = "cannot connect"
    await world.tick()
    conditions = {c["type"]: c["reason"] for c in world.cluster.the(CHATMODEL)["status"]["conditions"]}
    assert conditions["ScalingActive"] == "MetricsUnavailable"


def failed_readings() -> float:
    series = {"namespace": TINY.namespace, "chatmodel": TINY.name}
    return REGISTRY.get_sample_value("chatscale_metric_read_failures_total", series) or 0.0


async def test_failed_readings_are_counted_once_however_many_passes_look_at_them():
    world = await a_settled_world(a_chatmodel(), a_pod().ready().manifest())
    before = failed_readings()
    world.reader.broken = "no answer within 2 s"
    await world.tick(seconds=5)
    await world.tick(times=4, seconds=1)
    assert failed_readings() - before == 1


async def test_events_between_ticks_do_not_read_metrics_again():
    world = await a_settled_world(a_chatmodel().in_mode("Operator"), a_pod().ready().manifest())
    before = world.reader.readings
    await world.tick(times=4, seconds=1)
    assert world.reader.readings == before
    await world.tick(seconds=1)
    assert world.reader.readings == before + 1


async def test_the_queue_is_shown_as_it_changes():
    world = await a_settled_world(a_chatmodel(), a_pod().ready().manifest())
    world.reader.queue = 7
    await world.tick()
    assert world.cluster.the(CHATMODEL)["status"]["queueDepth"] == 7


@pytest.mark.parametrize("mode", ["Fixed", "Operator", "HPA"])
async def test_where_the_operator_follows_no_target_all_metrics_are_shown(mode: str):
    pods = [a_pod(name).ready().manifest() for name in ("tiny-1", "tiny-2")]
    world = await a_settled_world(a_chatmodel().in_mode(mode).with_replicas(2), *pods)
    world.reader.queue, world.reader.running = 6, 3
    await world.tick()
    status = world.cluster.the(CHATMODEL)["status"]
    assert status["queueDepth"] == 12
    assert status["autoscaling"]["currentMetrics"] == [
        {"type": "QueueDepth", "value": "6.00"},
        {"type": "ActiveRequests", "value": "9.00"},
        {"type": "KVCacheUtilization", "value": "0.00"},
    ]


async def test_a_followed_target_is_shown_beside_its_metric():
    targets = [{"type": "ActiveRequests", "target": 4}]
    world = await a_settled_world(a_chatmodel().in_mode("Operator", metrics=targets), a_pod().ready().manifest())
    world.reader.running = 3
    await world.tick(times=12)
    assert world.cluster.the(CHATMODEL)["status"]["autoscaling"]["currentMetrics"] == [
        {"type": "ActiveRequests", "value": "3.00", "target": 4}
    ]


async def test_no_metrics_are_shown_while_none_can_be_read():
    world = await a_settled_world(a_chatmodel().in_mode("Operator"), a_pod().ready().manifest())
    assert world.cluster.the(CHATMODEL)["status"]["autoscaling"]["currentMetrics"]
    world.reader.broken = "no answer within 2 s"
    await world.tick(times=12)
    assert world.cluster.the(CHATMODEL)["status"]["autoscaling"]["currentMetrics"] == []


async def test_load_raises_the_count_and_says_why():
    world = await a_settled_world(
        a_chatmodel().in_mode("Operator", metrics=[{"type": "QueueDepth", "target": 4}]), a_pod().ready().manifest()
    )
    world.reader.queue, world.reader.running = 30, 8
    await world.tick(times=4)
    status = world.cluster.the(CHATMODEL)["status"]
    assert world.cluster.the(DEPLOYMENT)["spec"]["replicas"] == status["desiredReplicas"] > 1
    scaled = [event for event in world.cluster.events if event["reason"] == "ScaledUp"]
    assert scaled[0]["message"].startswith("Scaled 1 -> ")
    assert scaled[0]["involvedObject"]["name"] == "tiny"
    assert status["autoscaling"]["history"][-1]["from"] == 1


async def test_metrics_that_vanish_hold_the_count_and_the_condition_says_so():
    world = await a_settled_world(a_chatmodel().in_mode("Operator").desiring(3), a_pod().ready().manifest())
    world.reader.broken = "no answer within 2 s"
    await world.tick(times=120)
    assert world.cluster.the(DEPLOYMENT)["spec"]["replicas"] == 3
    assert world.cluster.condition("ScalingActive") == ("False", "MetricsUnavailable")
    conditions = world.cluster.the(CHATMODEL)["status"]["conditions"]
    message = next(c["message"] for c in conditions if c["type"] == "ScalingActive")
    assert message.endswith("; tiny-1: no answer within 2 s")
    assert world.cluster.told() == ["MetricsUnavailable"]


async def test_metrics_that_come_and_go_are_told_once_a_minute():
    world = await a_settled_world(a_chatmodel().in_mode("Operator"), a_pod().ready().manifest())
    for _ in range(4):
        world.reader.broken = "no answer within 2 s"
        await world.tick(times=4, seconds=5)
        world.reader.broken = ""
        await world.tick(seconds=5)
    assert world.cluster.told() == ["MetricsUnavailable", "MetricsUnavailable"]


async def test_an_old_server_that_keeps_the_slo_from_being_followed_is_told_once():
    world = await a_settled_world(a_chatmodel().in_mode("Operator"), a_pod().ready().manifest())
    assert world.cluster.condition("ScalingActive") == ("True", "Steady")
    world.reader.old = ("tiny-1",)
    await world.tick(times=24)
    assert world.cluster.condition("ScalingActive") == ("True", "SLONotFollowed")
    assert world.cluster.message("ScalingActive") == (
        "tiny-1 does not report its work, as a server image older than the operator does not, so QueueDepth 4 is "
        "followed instead of spec.autoscaling.slo. "
        "QueueDepth: 0.0 requests in flight, target 6.4 per replica: recommended 1, current 1"
    )
    assert world.cluster.told() == ["SLONotFollowed"]


async def test_an_old_server_is_nothing_to_tell_where_targets_are_asked_for():
    targets = [{"type": "QueueDepth", "target": 4}]
    world = await a_settled_world(a_chatmodel().in_mode("Operator", metrics=targets), a_pod().ready().manifest())
    world.reader.old = ("tiny-1",)
    await world.tick(times=3)
    assert world.cluster.condition("ScalingActive") == ("True", "Steady")


async def test_a_babbling_pod_does_not_stop_the_passes():
    world = await a_settled_world(a_chatmodel().in_mode("Operator"), a_pod().ready().manifest())
    world.reader.broken = "x" * 1_000_000
    assert await world.tick(times=5) == 5.0
    conditions = world.cluster.the(CHATMODEL)["status"]["conditions"]
    assert max(len(c["message"]) for c in conditions) == MESSAGE_LENGTH


async def test_a_model_that_is_not_found_is_told_once():
    sentence = "hf://example/tiny: no such repository"
    world = await a_settled_world(a_chatmodel(), a_pod().ended(66, sentence).manifest())
    world.cluster.put(a_chatmodel().named("other").manifest())
    assert world.cluster.condition("Ready") == ("False", "ModelNotFound")
    assert world.cluster.condition("ModelLoaded") == ("False", "ModelNotFound")
    assert world.cluster.the(CHATMODEL)["status"]["phase"] == "ModelNotFound"
    await world.tick(times=10)
    assert world.cluster.told() == []


async def test_the_event_about_a_missing_model_has_the_servers_own_sentence():
    sentence = "hf://example/tiny: no such repository"
    world = a_world(a_chatmodel(), a_pod().ended(66, sentence).manifest())
    await world.tick(times=3)
    assert [(event["type"], event["reason"]) for event in world.cluster.events] == [("Warning", "ModelNotFound")]
    assert world.cluster.events[0]["message"].endswith(sentence)


async def test_a_deleted_chatmodel_ends_its_passes():
    world = await a_settled_world(a_chatmodel())
    world.cluster.remove(CHATMODEL, *TINY)
    assert await world.tick() is None
    assert world.cluster.written() == []


async def test_a_chatmodel_on_its_way_out_gets_no_new_children():
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
    world.cluster.remove(CHATMODEL, *TINY)
    assert await world.tick() is None


@pytest.mark.parametrize(
    "verb", ["get ChatModel", "list Pod", "apply Deployment", "apply Service", "write_scale", "patch_status"]
)
async def test_a_pass_that_failed_anywhere_is_completed_by_the_next(verb: str):
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
    assert await world.tick() == 5.0
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
    assert world.cluster.told() == ["InvalidSpec"]


async def test_a_refused_change_of_the_spec_stops_neither_scaling_nor_the_status():
    targets = [{"type": "QueueDepth", "target": 4}]
    world = await a_settled_world(a_chatmodel().in_mode("Operator", metrics=targets), a_pod().ready().manifest())
    world.cluster.user_sets_spec(server={"engine": "Simulated", "image": "bad image"})
    world.cluster.refuse_templates("bad image")
    assert await world.tick() == 5.0
    assert world.cluster.condition("Ready") == ("False", "InvalidSpec")
    assert world.cluster.condition("Progressing") == ("False", "InvalidSpec")
    assert world.cluster.condition("Available") == ("True", "ReplicasReady")
    world.reader.queue, world.reader.running = 30, 8
    await world.tick(times=4)
    status = world.cluster.the(CHATMODEL)["status"]
    assert world.cluster.the(DEPLOYMENT)["spec"]["replicas"] == status["desiredReplicas"] > 1
    assert status["queueDepth"] == 30
    assert world.cluster.told()[:2] == ["InvalidSpec", "ScaledUp"]


async def test_a_refused_template_does_not_keep_the_autoscaler_from_being_raised():
    world = await a_settled_world(a_chatmodel().in_mode("HPA"))
    world.cluster.user_sets_spec(server={"image": "bad image"}, autoscaling={"mode": "HPA", "maxReplicas": 9})
    world.cluster.refuse_templates("bad image")
    await world.tick()
    assert world.cluster.condition("Ready") == ("False", "InvalidSpec")
    assert world.cluster.the(AUTOSCALER)["spec"]["maxReplicas"] == 9


async def test_a_quota_is_told_once_in_the_words_of_the_api_server():
    quota = 'deployments.apps "tiny" is forbidden: exceeded quota: few, requested: count/deployments.apps=1'
    world = a_world(a_chatmodel())
    world.cluster.fail("apply Deployment", *[ForbiddenError(quota)] * 3)
    assert await world.tick(times=3) == 5.0
    conditions = world.cluster.the(CHATMODEL)["status"]["conditions"]
    assert (conditions[0]["reason"], conditions[0]["message"]) == ("Forbidden", quota)
    assert world.cluster.told() == ["Forbidden"]
    await world.tick()
    assert world.cluster.condition("Ready") == ("False", "Starting")


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


async def test_an_object_of_somebody_else_with_our_name_is_left_alone():
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "tiny", "namespace": "demo", "uid": "theirs"},
        "spec": {"ports": [{"port": 1}]},
    }
    world = a_world(a_chatmodel(), theirs)
    await world.tick()
    assert world.cluster.the(SERVICE)["spec"] == {"ports": [{"port": 1}]}
    assert world.cluster.condition("Ready") == ("False", "InvalidSpec")


async def test_children_of_an_earlier_chatmodel_of_the_same_name_are_adopted():
    world = await a_settled_world(a_chatmodel().with_replicas(2))
    again = a_chatmodel().with_replicas(2).manifest()
    again["metadata"]["uid"] = "uid-again"
    world.cluster.put(again)
    await world.tick()
    owners = world.cluster.the(DEPLOYMENT)["metadata"]["ownerReferences"]
    assert [owner["uid"] for owner in owners] == ["uid-again"]


async def test_an_autoscaler_of_somebody_else_with_our_name_is_not_taken_over():
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


async def test_an_edited_child_is_put_right():
    world = await a_settled_world(a_chatmodel())
    world.cluster.the(SERVICE)["spec"]["selector"] = {"app": "other"}
    await world.tick()
    assert world.cluster.written() == ["apply Service as chatscale"]
    assert world.cluster.the(SERVICE)["spec"]["selector"]["chatscale.dev/chatmodel"] == "tiny"


async def test_a_deleted_child_is_made_again_with_the_wanted_count():
    world = await a_settled_world(a_chatmodel().in_mode("Operator").desiring(3))
    world.cluster.remove(DEPLOYMENT, *TINY)
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
