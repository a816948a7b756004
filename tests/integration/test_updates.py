"""An operator with another default image, on Deployments that an earlier process left in a real API server."""

from hack import kube
from tests.integration.operator_process import OperatorProcess
from tests.integration.test_crd import chatmodel
from tests.support.clock import eventually

NEW_IMAGE = "registry.k8s.io/pause:3.10"


def image(namespace: str, name: str) -> str:
    found = kube.get("deployment", name, namespace)
    assert found is not None, f"no Deployment {name}"
    (container,) = found["spec"]["template"]["spec"]["containers"]
    return str(container["image"])


def assert_images(namespace: str, *images: str) -> None:
    assert [image(namespace, name) for name in ("first", "second", "third")] == list(images)


def test_a_new_default_image_reaches_one_chatmodel_after_the_other(namespace: str, operator: OperatorProcess):
    kube.apply(*(chatmodel(namespace, name, replicas=1) for name in ("first", "second")))
    kube.apply(chatmodel(namespace, "third", replicas=0))
    old = operator.server_image
    eventually(lambda: assert_images(namespace, old, old, old))
    operator.stop()
    operator.server_image = NEW_IMAGE
    operator.start()
    # No pod becomes ready, so the first one keeps its turn.
    eventually(lambda: assert_images(namespace, NEW_IMAGE, old, old))
    third = eventually(lambda: _waiting(namespace, "third"))
    assert "at most 1 ChatModel updates at a time" in third["message"]
    kube.kubectl("scale", "chatmodel/second", "--replicas=2", "-n", namespace)
    eventually(lambda: _assert_count(namespace, "second", 2))
    assert_images(namespace, NEW_IMAGE, old, old)
    # Without a pod an update is done.
    kube.kubectl("scale", "chatmodel/first", "--replicas=0", "-n", namespace)
    eventually(lambda: assert_images(namespace, NEW_IMAGE, NEW_IMAGE, old), within=45)


def _waiting(namespace: str, name: str) -> dict[str, str]:
    found = kube.get("chatmodel", name, namespace)
    assert found is not None
    condition: dict[str, str] = kube.condition(found, "Progressing")
    assert condition.get("reason") == "UpdateWaiting"
    return condition


def _assert_count(namespace: str, name: str, replicas: int) -> None:
    found = kube.get("deployment", name, namespace)
    assert found is not None
    assert found["spec"]["replicas"] == replicas
