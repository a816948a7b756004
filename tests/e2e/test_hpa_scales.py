"""Promise: mode HPA works through Prometheus and prometheus-adapter, in both directions."""

from collections.abc import Callable

from hack import kube
from tests.e2e.support import Model, assert_served, autoscaling, start_load


def test_hpa_scales_up_and_down(make_model: Callable[..., Model]) -> None:
    model = make_model(autoscaling=autoscaling(mode="HPA", maxReplicas=3))
    model.wait_ready(1)
    hpa = kube.wait_for("the HPA exists", lambda: kube.get("hpa", model.name, model.namespace), within_s=20)
    assert hpa["spec"]["scaleTargetRef"]["kind"] == "ChatModel"

    load = start_load(model, rate_per_s=8, duration_s=180)
    kube.wait_for("the HPA raised the count", lambda: model.ready_replicas() >= 2, within_s=120)
    assert_served(load.finish())
    model.wait_event("ScaledUp", "a HorizontalPodAutoscaler set spec.replicas to")

    model.wait_ready(1, within_s=150)
    model.wait_event("ScaledDown", "a HorizontalPodAutoscaler set spec.replicas to 1")


def test_leaving_mode_hpa_removes_the_hpa_and_keeps_the_count(make_model: Callable[..., Model]) -> None:
    model = make_model(autoscaling=autoscaling(mode="HPA", minReplicas=2, maxReplicas=3))
    model.wait_ready(2)

    model.manifest["spec"]["autoscaling"]["mode"] = "Fixed"
    model.apply()

    kube.wait_for("the HPA is gone", lambda: kube.get("hpa", model.name, model.namespace) is None, within_s=30)
    assert model.deployment_replicas() == 2
    assert model.read()["spec"]["replicas"] == 2
