"""Promise: where GPUs run out, what runs goes on, the shortage is named, and the model recovers by itself."""

import json
from collections.abc import Callable, Iterator

import pytest

from hack import kube
from tests.e2e.support import Model

GPU = "nvidia.com/gpu"


def _set_gpus(count: int) -> None:
    """Stand-in for a device plugin: the scheduler believes a node's status."""
    node = kube.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
    status = {"capacity": {GPU: str(count)}, "allocatable": {GPU: str(count)}}
    kube.kubectl("patch", "node", node, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))


@pytest.fixture
def two_gpus() -> Iterator[None]:
    _set_gpus(2)
    yield
    _set_gpus(0)


@pytest.mark.usefixtures("two_gpus")
def test_waits_for_gpus_and_recovers(make_model: Callable[..., Model]) -> None:
    model = make_model(
        device="GPU",
        resources={"requests": {"cpu": "20m"}, "limits": {GPU: 1}},
        autoscaling={"mode": "Fixed"},
        replicas=3,
    )

    kube.wait_for("two replicas answer", lambda: model.ready_replicas() == 2, within_s=60)
    message = model.wait_condition("Progressing", "False", "InsufficientGPU")
    assert f"Insufficient {GPU}" in message

    _set_gpus(3)
    model.wait_ready(3, within_s=60)
