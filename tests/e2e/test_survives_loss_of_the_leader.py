"""Promise: with two operators one writes; when it is killed, the other takes over."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from hack import kube
from hack.install import install
from tests.e2e.support import OPERATOR_NAMESPACE, Model, watching

LEASE = "chatscale-operator"
TAKEOVER_S = 40
"""The Lease lasts 15 s, and a process that waits reads it every 5 s."""

pytestmark = pytest.mark.operator_alone


@pytest.fixture
def two_operators(operator_access: None) -> Iterator[None]:
    """The same release with a second pod, which the Deployment adds without restarting the first."""
    install({"operator": {"replicas": 2}})
    try:
        yield
    finally:
        install()
        kube.wait_for("one operator", lambda: len(_operators()) == 1, within_s=60)


@pytest.mark.usefixtures("two_operators")
def test_survives_loss_of_the_leader(make_model: Callable[..., Model]) -> None:
    model = make_model()
    model.wait_ready(1)
    leader = _leader()
    (follower,) = _operators() - {leader}

    with watching(model) as timeline:
        with _no_new_pods():
            kube.kubectl("delete", "pod", leader, "-n", OPERATOR_NAMESPACE, "--grace-period=0", "--force")
            model.manifest["spec"]["autoscaling"]["minReplicas"] = 2
            model.apply()
            kube.wait_for("the other operator leads", lambda: _leader() == follower, within_s=TAKEOVER_S)
        model.wait_ready(2, within_s=60)

    assert timeline.changes == [1, 2]
    kube.kubectl("rollout", "status", f"deployment/{LEASE}", "-n", OPERATOR_NAMESPACE, "--timeout=60s")
    (newcomer,) = _operators() - {follower}
    assert _says(follower, '"event": "leading"')
    assert not _says(newcomer, '"event": "leading"')
    assert not _says(newcomer, '"event": "applied"'), "a second operator wrote to the cluster"


@contextmanager
def _no_new_pods() -> Iterator[None]:
    """The dead leader's replacement must not start: it could read the free Lease before the operator that waits."""
    nodes = [node["metadata"]["name"] for node in kube.list_items("nodes", OPERATOR_NAMESPACE)]
    kube.kubectl("cordon", *nodes)
    try:
        yield
    finally:
        kube.kubectl("uncordon", *nodes)


def _leader() -> str:
    """Name of the pod that holds the Lease."""
    lease = kube.get("lease", LEASE, OPERATOR_NAMESPACE)
    assert lease is not None
    return str(lease["spec"]["holderIdentity"]).partition("_")[0]


def _operators() -> set[str]:
    pods = kube.list_items("pods", OPERATOR_NAMESPACE, "app.kubernetes.io/name=chatscale-operator")
    return {pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}


def _says(pod: str, part: str) -> bool:
    return part in kube.kubectl("logs", pod, "-n", OPERATOR_NAMESPACE)
