"""Scaling ticks: what they read, what they decide, and how much of it the status shows."""

import pytest
from prometheus_client import REGISTRY

from chatscale.cluster.interface import CHATMODEL, DEPLOYMENT
from chatscale.reconcile.conditions import MESSAGE_LENGTH
from tests.support.builders import a_chatmodel, a_pod
from tests.support.world import TINY, a_settled_world


@pytest.mark.parametrize("mode", ["Fixed", "Operator", "HPA"])
async def test_quiet_ticks_send_no_request_for_ten_minutes(mode: str):
    world = await a_settled_world(a_chatmodel().in_mode(mode), a_pod().ready().manifest())
    await world.tick(times=12, seconds=5)
    world.cluster.requests()
    await world.tick(times=100, seconds=5)
    assert world.cluster.requests() == []


async def test_the_time_of_the_metrics_is_at_most_twenty_minutes_old():
    world = await a_settled_world(a_chatmodel().in_mode("Operator"), a_pod().ready().manifest())
    await world.tick(times=240, seconds=5)
    assert world.cluster.written() == ["patch status"]


async def test_a_scaling_tick_neither_builds_nor_applies_service_and_hpa():
    targets = [{"type": "QueueDepth", "target": 4}]
    world = await a_settled_world(a_chatmodel().in_mode("Operator", metrics=targets), a_pod().ready().manifest())
    world.reader.queue, world.reader.running = 30, 8
    await world.tick(times=4)
    requests = world.cluster.requests()
    assert {"write_scale ChatModel", "apply Deployment", "patch_status ChatModel"} <= set(requests)
    assert {"create Event", "apply Service", "get Service"} & set(requests) == {"create Event"}


async def test_an_outage_of_the_metrics_is_written_once():
    world = await a_settled_world(a_chatmodel().in_mode("Operator"), a_pod().ready().manifest())
    world.reader.broken = "no answer within 2 s"
    await world.tick(times=24, seconds=5)
    world.cluster.written()
    await world.tick(times=60, seconds=5)
    assert world.cluster.written().count("patch status") <= 5


async def test_samples_of_an_earlier_source_do_not_hide_that_the_new_one_has_none():
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


async def test_failed_scrapes_are_counted_once_however_many_passes_use_them():
    world = await a_settled_world(a_chatmodel(), a_pod().ready().manifest())
    before = failed_readings()
    world.reader.broken = "no answer within 2 s"
    await world.tick(seconds=2)
    await world.tick(times=3, seconds=0.5)
    assert failed_readings() - before == 1


async def test_events_between_ticks_cause_no_scrape():
    world = await a_settled_world(a_chatmodel().in_mode("Operator"), a_pod().ready().manifest())
    before = world.reader.readings
    await world.tick(times=3, seconds=0.5)
    assert world.reader.readings == before
    await world.tick(seconds=0.5)
    assert world.reader.readings == before + 1


async def test_the_queue_is_shown_within_ten_seconds():
    world = await a_settled_world(a_chatmodel(), a_pod().ready().manifest())
    world.reader.queue = 7
    await world.tick(times=2)
    assert world.cluster.the(CHATMODEL)["status"]["queueDepth"] == 7


@pytest.mark.parametrize("seconds", [1, 5])
async def test_a_busy_models_status_is_written_at_most_once_in_ten_seconds(seconds: float):
    world = await a_settled_world(a_chatmodel(), a_pod().ready().manifest())
    for depth in range(int(120 / seconds)):
        world.reader.queue = depth
        await world.tick(seconds=seconds)
    writes = world.cluster.written()
    assert set(writes) == {"patch status"}
    assert 10 <= len(writes) <= 12


async def test_a_status_that_was_not_due_is_written_without_another_event():
    world = await a_settled_world(a_chatmodel().with_replicas(0))
    world.cluster.user_sets_spec(replicas=1)
    await world.tick()
    world.cluster.user_sets_spec(server={"engine": "Simulated", "maxConcurrency": 4})
    await world.tick(seconds=1)
    world.cluster.written()
    generation = world.cluster.the(CHATMODEL)["metadata"]["generation"]
    world.cluster.user_sets_spec(drain={"timeoutSeconds": 7})
    delay = await world.tick(seconds=1)
    assert delay is not None
    assert 0 < delay <= 10
    await world.tick(seconds=delay)
    assert world.cluster.the(CHATMODEL)["status"]["observedGeneration"] == generation + 1


@pytest.mark.parametrize("mode", ["Fixed", "Operator", "HPA"])
async def test_without_targets_the_status_shows_all_metrics(mode: str):
    pods = [a_pod(name).ready().manifest() for name in ("tiny-1", "tiny-2")]
    world = await a_settled_world(a_chatmodel().in_mode(mode).with_replicas(2), *pods)
    world.reader.queue, world.reader.running = 6, 3
    await world.tick(seconds=10)
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
    await world.tick(times=24)
    assert world.cluster.the(CHATMODEL)["status"]["autoscaling"]["currentMetrics"] == [
        {"type": "ActiveRequests", "value": "3.00", "target": 4}
    ]


async def test_no_metrics_are_shown_while_none_can_be_read():
    world = await a_settled_world(a_chatmodel().in_mode("Operator"), a_pod().ready().manifest())
    assert world.cluster.the(CHATMODEL)["status"]["autoscaling"]["currentMetrics"]
    world.reader.broken = "no answer within 2 s"
    await world.tick(times=12)
    assert world.cluster.the(CHATMODEL)["status"]["autoscaling"]["currentMetrics"] == []


async def test_load_scales_up_and_the_event_has_the_reason():
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


async def test_missing_metrics_hold_the_count_and_show_in_a_condition():
    world = await a_settled_world(a_chatmodel().in_mode("Operator").desiring(3), a_pod().ready().manifest())
    world.reader.broken = "no answer within 2 s"
    await world.tick(times=120)
    assert world.cluster.the(DEPLOYMENT)["spec"]["replicas"] == 3
    assert world.cluster.condition("ScalingActive") == ("False", "MetricsUnavailable")
    conditions = world.cluster.the(CHATMODEL)["status"]["conditions"]
    message = next(c["message"] for c in conditions if c["type"] == "ScalingActive")
    assert message.endswith("; tiny-1: no answer within 2 s")
    assert world.cluster.event_reasons() == ["MetricsUnavailable"]


@pytest.mark.parametrize("dry_run", [False, True])
async def test_an_unreachable_source_is_reported_with_the_first_reading(*, dry_run: bool):
    world = await a_settled_world(
        a_chatmodel().in_mode("Operator", dryRun=dry_run).desiring(1), a_pod().ready().manifest()
    )
    await world.tick(times=3)
    world.reader.unreachable = "http://nowhere: cannot connect to nowhere:9090: Name or service not known"
    await world.tick()
    assert world.cluster.condition("ScalingActive") == ("False", "MetricsUnavailable")
    assert world.cluster.message("ScalingActive").startswith(f"{world.reader.unreachable}; ")
    assert "MetricsUnavailable" in world.cluster.event_reasons()
    world.reader.unreachable = ""
    await world.tick()
    assert world.cluster.condition("ScalingActive")[1] != "MetricsUnavailable"


async def test_in_mode_fixed_an_unreachable_source_is_no_problem_of_scaling():
    world = await a_settled_world(a_chatmodel(), a_pod().ready().manifest())
    world.reader.unreachable = "http://nowhere: cannot connect"
    await world.tick(times=3)
    assert world.cluster.condition("ScalingActive") == ("False", "ScalingDisabled")


async def test_metrics_that_fail_repeatedly_cause_one_event_a_minute():
    world = await a_settled_world(a_chatmodel().in_mode("Operator"), a_pod().ready().manifest())
    for _ in range(4):
        world.reader.broken = "no answer within 2 s"
        await world.tick(times=4, seconds=5)
        world.reader.broken = ""
        await world.tick(seconds=5)
    assert world.cluster.event_reasons() == ["MetricsUnavailable", "MetricsUnavailable"]


async def test_an_old_server_without_work_counters_causes_one_event():
    world = await a_settled_world(a_chatmodel().in_mode("Operator"), a_pod().ready().manifest())
    assert world.cluster.condition("ScalingActive") == ("True", "Steady")
    world.reader.old = ("tiny-1",)
    await world.tick(times=24)
    assert world.cluster.condition("ScalingActive") == ("True", "SLONotFollowed")
    assert world.cluster.message("ScalingActive") == (
        "tiny-1 does not report its work because its server image is older than the operator; "
        "scaling uses QueueDepth 4 and not spec.autoscaling.slo. "
        "QueueDepth: 0.0 requests in flight, target 6.4 per replica: recommended 1, current 1"
    )
    assert world.cluster.event_reasons() == ["SLONotFollowed"]


async def test_an_old_server_causes_no_event_where_the_spec_names_targets():
    targets = [{"type": "QueueDepth", "target": 4}]
    world = await a_settled_world(a_chatmodel().in_mode("Operator", metrics=targets), a_pod().ready().manifest())
    world.reader.old = ("tiny-1",)
    await world.tick(times=3)
    assert world.cluster.condition("ScalingActive") == ("True", "Steady")


async def test_a_very_long_message_does_not_stop_the_passes():
    world = await a_settled_world(a_chatmodel().in_mode("Operator"), a_pod().ready().manifest())
    world.reader.broken = "x" * 1_000_000
    assert await world.tick(times=5) == 2.0
    conditions = world.cluster.the(CHATMODEL)["status"]["conditions"]
    assert max(len(c["message"]) for c in conditions) == MESSAGE_LENGTH
