"""Promise: `spec.scheduling` and `spec.pod` reach the pods, and the pods run."""

from collections.abc import Callable

from hack import kube
from tests.e2e.support import Model

HOSTNAME = "kubernetes.io/hostname"


def test_places_and_labels_pods(make_model: Callable[..., Model]) -> None:
    node = kube.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
    toleration = {"key": "example.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    model = make_model(
        scheduling={"nodeSelector": {HOSTNAME: node}, "tolerations": [toleration]},
        pod={"labels": {"team": "shop"}, "annotations": {"example.com/contact": "shop@example.com"}},
    )
    model.wait_ready(1)

    (pod,) = model.pods()

    assert pod["spec"]["nodeSelector"] == {HOSTNAME: node}
    assert toleration in pod["spec"]["tolerations"]
    assert pod["metadata"]["labels"]["team"] == "shop"
    assert pod["metadata"]["annotations"]["example.com/contact"] == "shop@example.com"
