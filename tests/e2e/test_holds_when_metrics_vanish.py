"""Promise: missing metrics are not zero load; the count is held and a condition says why."""

from collections.abc import Callable

from hack import kube
from tests.e2e.support import Model, autoscaling, never, watching

NOBODY = "http://prometheus.nowhere.svc:9090"


def test_holds_when_metrics_vanish_and_recovers(make_model: Callable[..., Model]) -> None:
    model = make_model(autoscaling=autoscaling(minReplicas=3))
    model.wait_ready(3)
    kube.wait_for("the replicas were read", lambda: "queueDepth" in model.status(), within_s=30)

    # One change takes the metrics away and allows a lower count: a policy that read silence as zero would fall.
    model.manifest["spec"]["autoscaling"] |= {
        "minReplicas": 1,
        "source": {"type": "Prometheus", "prometheusURL": NOBODY, "intervalSeconds": 2},
    }
    model.apply()

    with watching(model) as timeline:
        # Prometheus is given a minute to find a pod that has just become ready.
        message = model.wait_condition("ScalingActive", "False", "MetricsUnavailable", within_s=90)
        never("the count fell without metrics", lambda: model.deployment_replicas() != 3, for_s=20)
    assert "holding the count at 3" in message
    assert timeline.changes == [3]

    del model.manifest["spec"]["autoscaling"]["source"]
    model.apply()
    model.wait_ready(1, within_s=90)
    model.wait_condition("ScalingActive", "True")


def test_prometheus_as_the_source_reads_the_same_load(make_model: Callable[..., Model]) -> None:
    source = {
        "type": "Prometheus",
        "prometheusURL": "http://prometheus.monitoring.svc:9090",
        "intervalSeconds": 2,
    }
    model = make_model(autoscaling=autoscaling(minReplicas=2, source=source))
    model.wait_ready(2)
    model.wait_condition("ScalingActive", "True", within_s=60)

    model.manifest["spec"]["autoscaling"]["minReplicas"] = 1
    model.apply()

    model.wait_ready(1, within_s=90)
