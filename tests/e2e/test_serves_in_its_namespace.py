"""Promise: with scope Namespace the operator serves its own namespace, no other, and needs no right beyond it."""

import json
import secrets
from collections.abc import Callable, Iterator

import pytest
import yaml

from hack import kube
from hack.helm import RELEASE, helm
from hack.install import install, uninstall
from tests.e2e.support import OPERATOR_NAMESPACE, Model, assert_served, chatmodel, never, start_load

OPERATOR = "chatscale-operator"

pytestmark = pytest.mark.operator_alone


@pytest.fixture
def cluster_operator_paused(operator_access: None) -> Iterator[None]:
    """The operator that the other tests share serves every namespace: it must not do the work of this one."""
    _scale_cluster_operator(0)
    try:
        yield
    finally:
        _scale_cluster_operator(1)


@pytest.fixture
def installed_in_namespace(cluster_operator_paused: None, namespace: str) -> Iterator[None]:
    """A release of the test's own; the CRD belongs to the other one."""
    try:
        own_keys = {"auth": {"secretNamespaces": []}}
        install({"scope": "Namespace", "crds": {"install": False}, "gateway": own_keys}, namespace=namespace)
        yield
    finally:
        uninstall(namespace=namespace)


@pytest.fixture
def stranger() -> Iterator[Model]:
    """A ChatModel in a namespace that nobody serves."""
    name = f"e2e-unserved-{secrets.token_hex(2)}"
    kube.kubectl("create", "namespace", name)
    try:
        model = Model(chatmodel("shop", name))
        model.apply()
        yield model
    finally:
        kube.delete_namespace(name)


@pytest.mark.usefixtures("installed_in_namespace")
def test_serves_its_own_namespace_and_has_no_rights_outside(
    make_model: Callable[..., Model], stranger: Model, namespace: str
) -> None:
    model = make_model()

    model.wait_ready(1)
    assert_served(start_load(model, rate_per_s=2, duration_s=3).join())

    never("a ChatModel elsewhere was touched", lambda: _was_touched(stranger), for_s=5)
    assert sorted(_bindings_of_operator(namespace)) == [
        ("RoleBinding", namespace, "Role", OPERATOR),
        ("RoleBinding", namespace, "Role", f"{OPERATOR}-gateway"),
        ("RoleBinding", namespace, "Role", f"{OPERATOR}-lease"),
    ]
    assert not {kind for kind in _kinds_of_release(namespace) if kind.startswith(("Cluster", "CustomResource"))}


def _scale_cluster_operator(replicas: int) -> None:
    deployment = ("deployment", OPERATOR, "-n", OPERATOR_NAMESPACE)
    kube.kubectl("scale", *deployment, f"--replicas={replicas}")
    kube.wait_for(
        f"{replicas} pods of the operator of the cluster",
        lambda: (
            len(kube.list_items("pods", OPERATOR_NAMESPACE, f"app.kubernetes.io/name={OPERATOR}")) == replicas
            and kube.kubectl("rollout", "status", *(f"deployment/{OPERATOR}", "-n", OPERATOR_NAMESPACE, "--timeout=5s"))
        ),
        within_s=90,
    )


def _was_touched(model: Model) -> bool:
    return model.deployment_replicas() is not None or model.status() != {} or model.events() != []


def _bindings_of_operator(namespace: str) -> list[tuple[str, str, str, str]]:
    """Whatever gives rights to the operator's account: kind and namespace of the binding, kind and name of the role."""
    bindings = json.loads(kube.kubectl("get", "clusterrolebindings,rolebindings", "-A", "-o", "json"))["items"]
    account = ("ServiceAccount", OPERATOR, namespace)
    return [
        (found["kind"], found["metadata"].get("namespace", ""), found["roleRef"]["kind"], found["roleRef"]["name"])
        for found in bindings
        if account in {(who["kind"], who["name"], who.get("namespace")) for who in found.get("subjects", [])}
    ]


def _kinds_of_release(namespace: str) -> set[str]:
    manifest = helm("get", "manifest", RELEASE, "--namespace", namespace, "--kube-context", kube.CONTEXT)
    return {found["kind"] for found in yaml.safe_load_all(manifest) if found}
