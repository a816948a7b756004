"""Promise: the operator may die in the middle of a burst; replicas are kept and scaling goes on."""

from collections.abc import Callable

import pytest

from hack import kube
from tests.e2e.support import (
    OPERATOR_NAMESPACE,
    Model,
    assert_served,
    autoscaling,
    operator_pod,
    start_load,
    watching,
)

pytestmark = pytest.mark.operator_alone


def test_survives_operator_restart_in_a_burst(make_model: Callable[..., Model]) -> None:
    # One replica in 10 s, so that the burst has not ended when the operator is killed.
    policies = [{"type": "Pods", "value": 1, "periodSeconds": 10}]
    behavior = {
        "scaleUp": {"stabilizationWindowSeconds": 0, "policies": policies},
        "scaleDown": {"stabilizationWindowSeconds": 60},
    }
    model = make_model(autoscaling=autoscaling(maxReplicas=4, behavior=behavior))
    model.wait_ready(1)

    load = start_load(model, rate_per_s=10, duration_s=180)
    kube.wait_for("the burst raised the count", lambda: (model.deployment_replicas() or 0) >= 2, within_s=60)
    with watching(model) as timeline:
        before = operator_pod()["metadata"]
        victim = before["name"]
        kube.kubectl("delete", "pod", victim, "-n", OPERATOR_NAMESPACE, "--grace-period=0", "--force")
        kube.wait_for("the new operator goes on scaling", lambda: (model.deployment_replicas() or 0) >= 4, within_s=90)
        report = load.finish()

    assert operator_pod()["metadata"]["uid"] != before["uid"]
    assert timeline.changes == sorted(timeline.changes), f"replicas fell during the restart: {timeline.changes}"
    assert_served(report)
