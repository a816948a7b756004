from typing import Any

import pytest

from chatscale.api.v1alpha1 import AutoscalingStatus, CapacityStatus, ChatModelStatus
from chatscale.desired.autoscaler import build_hpa
from tests.support.chatmodels import a_chatmodel
from tests.support.golden import assert_golden


def hpa(*metrics: tuple[str, int], slots: int = 8, least: int = 2, **autoscaling: Any) -> dict[str, Any] | None:
    chosen = {"metrics": [{"type": name, "target": target} for name, target in metrics]} if metrics else {}
    return build_hpa(
        a_chatmodel(
            server={"maxConcurrency": slots},
            autoscaling={"mode": "HPA", "minReplicas": 2, "maxReplicas": 6, **chosen, **autoscaling},
        ),
        least,
    )


def targets(*metrics: tuple[str, int], slots: int = 8) -> dict[str, str]:
    manifest = hpa(*metrics, slots=slots)
    assert manifest is not None
    return {
        entry["external"]["metric"]["name"]: entry["external"]["target"]["averageValue"]
        for entry in manifest["spec"]["metrics"]
    }


def test_builds_the_golden_autoscaler() -> None:
    manifest = hpa(("QueueDepth", 5))

    assert manifest is not None
    assert_golden("hpa", manifest)


def test_an_announced_event_raises_its_minimum() -> None:
    manifest = hpa(least=5)

    assert manifest is not None
    assert (manifest["spec"]["minReplicas"], manifest["spec"]["maxReplicas"]) == (5, 6)


@pytest.mark.parametrize("mode", ["Operator", "Fixed"])
def test_other_modes_have_no_hpa(mode: str) -> None:
    assert hpa(mode=mode) is None


@pytest.mark.parametrize(
    ("metrics", "slots", "expected"),
    [
        pytest.param(
            [("QueueDepth", 4)],
            8,
            {"inference_queue_depth": "4", "inference_requests_running": "6400m"},
            id="an-empty-queue-does-not-scale-down-full-replicas",
        ),
        pytest.param(
            [("ActiveRequests", 6)],
            8,
            {"inference_requests_running": "6", "inference_queue_depth": "6"},
            id="running-and-waiting-each-have-a-target",
        ),
        pytest.param(
            [("ActiveRequests", 12)],
            8,
            {"inference_requests_running": "8", "inference_queue_depth": "12"},
            id="a-full-replica-is-not-underused",
        ),
        pytest.param(
            [("KVCacheUtilization", 75)], 8, {"inference_kv_cache_usage_ratio": "750m"}, id="percent-as-ratio"
        ),
        pytest.param(
            [("QueueDepth", 4), ("ActiveRequests", 3)],
            10,
            {"inference_queue_depth": "3", "inference_requests_running": "3"},
            id="each-metric-once-with-the-strictest-target",
        ),
    ],
)
def test_targets_per_replica(metrics: list[tuple[str, int]], slots: int, expected: dict[str, str]) -> None:
    assert targets(*metrics, slots=slots) == expected


def test_behavior_is_copied_verbatim() -> None:
    behavior = {
        "scaleUp": {
            "stabilizationWindowSeconds": 5,
            "policies": [{"type": "Pods", "value": 2, "periodSeconds": 30}],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": 60,
            "policies": [{"type": "Percent", "value": 50, "periodSeconds": 20}],
        },
    }

    manifest = hpa(behavior=behavior)

    assert manifest is not None
    assert manifest["spec"]["behavior"] == behavior


def test_the_target_of_running_requests_follows_the_slots_that_replicas_report() -> None:
    chatmodel = a_chatmodel(
        autoscaling={"mode": "HPA", "maxReplicas": 6, "metrics": [{"type": "QueueDepth", "target": 4}]}
    )

    def running(status: ChatModelStatus) -> str:
        manifest = build_hpa(chatmodel.model_copy(update={"status": status}), 1)
        assert manifest is not None
        return str(manifest["spec"]["metrics"][1]["external"]["target"]["averageValue"])

    read = AutoscalingStatus(capacity=CapacityStatus(max_concurrency=40))
    assert running(ChatModelStatus(autoscaling=read)) == "32"
    assert running(ChatModelStatus()) == "6400m"
