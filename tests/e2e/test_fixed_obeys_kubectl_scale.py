"""Promise: in mode Fixed the user scales with kubectl, and it stays."""

from collections.abc import Callable

from hack import kube
from tests.e2e.support import Model, never


def test_fixed_obeys_kubectl_scale_and_stays(make_model: Callable[..., Model]) -> None:
    model = make_model(autoscaling={"mode": "Fixed"})
    model.wait_ready(1)

    kube.kubectl("scale", f"chatmodel/{model.name}", "-n", model.namespace, "--replicas=3")
    model.wait_ready(3)
    model.wait_event("ScaledUp", "Scaled 1 -> 3: spec.replicas was set to 3")
    never("the count moved by itself", lambda: model.deployment_replicas() != 3, for_s=10)

    scale = kube.kubectl("get", "--raw", _scale_path(model))
    assert '"selector":"app.kubernetes.io/name=chatscale-server,chatscale.dev/chatmodel=shop"' in scale

    kube.kubectl("scale", f"chatmodel/{model.name}", "-n", model.namespace, "--replicas=0")
    kube.wait_for("no pods are left", lambda: not model.pods(), within_s=60)
    model.wait_condition("Ready", "False", "ScaledToZero")


def _scale_path(model: Model) -> str:
    return f"/apis/chatscale.dev/v1alpha1/namespaces/{model.namespace}/chatmodels/{model.name}/scale"
