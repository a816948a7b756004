"""Promise: replicas have one writer per mode; HPA, operator and a user's re-apply never fight."""

import time
from collections.abc import Callable

import pytest

from hack import kube
from tests.e2e.support import Model, assert_served, autoscaling, start_load, watching

STEADY_S = 20
"""Longer than an HPA sync (15 s) and than several ticks of the operator."""


def _reapply_for(model: Model, seconds: float) -> int:
    """What a GitOps controller does: the same manifest, again and again."""
    deadline, times = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        model.apply()
        times += 1
        time.sleep(1)
    return times


@pytest.mark.parametrize("mode", ["Operator", "HPA"])
def test_one_writer_under_reapply(make_model: Callable[..., Model], mode: str) -> None:
    slow_down = {"scaleDown": {"stabilizationWindowSeconds": 120}}
    model = make_model(autoscaling=autoscaling(mode=mode, maxReplicas=3, behavior=slow_down))
    model.wait_ready(1)

    load = start_load(model, rate_per_s=8, duration_s=180)
    kube.wait_for("the count reached its maximum", lambda: model.deployment_replicas() == 3, within_s=100)
    with watching(model) as timeline:
        assert _reapply_for(model, STEADY_S) > 5
    assert timeline.changes == [3], "a re-apply of the same manifest moved the count"
    assert model.read()["spec"]["replicas"] == 3
    assert_served(load.finish())


def test_a_manifest_that_names_replicas_does_not_shrink_a_burst(make_model: Callable[..., Model]) -> None:
    model = make_model(replicas=1, autoscaling=autoscaling(minReplicas=3))
    model.wait_ready(3)

    with watching(model) as timeline:
        assert _reapply_for(model, 10) > 3

    assert timeline.changes == [3]
    kube.wait_for("the operator wrote its count back", lambda: model.read()["spec"]["replicas"] == 3, within_s=20)
    assert any(reason == "ReplicasRestored" for reason, _ in model.events()), model.events()


def test_a_foreign_hpa_the_operator_and_a_reapply_meet_and_the_count_stands(make_model: Callable[..., Model]) -> None:
    model = make_model(replicas=1)
    model.wait_ready(1)
    kube.apply(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "foreign", "namespace": model.namespace},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": model.name},
                "minReplicas": 2,
                "maxReplicas": 2,
            },
        }
    )

    message = model.wait_condition("ScalingActive", "False", "ConflictingAutoscaler")

    assert f"HorizontalPodAutoscaler {model.namespace}/foreign" in message
    kube.wait_for("their count holds", lambda: model.deployment_replicas() == 2, within_s=60)
    with watching(model) as timeline:
        assert _reapply_for(model, STEADY_S) > 5
    assert timeline.changes == [2], "operator and HPA quarrel over the count"

    kube.kubectl("delete", "hpa", "foreign", "-n", model.namespace)
    model.wait_condition("ScalingActive", "True")
