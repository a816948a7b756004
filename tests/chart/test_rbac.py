"""What the operator may do, rule by rule: a change here is a change of what users must grant."""

from typing import Any

import pytest

from tests.chart.support import Manifest, render

OPERATOR_RULES = [
    {"apiGroups": ["chatscale.dev"], "resources": ["chatmodels", "shopassistants"], "verbs": ["get", "list", "watch"]},
    {
        "apiGroups": ["chatscale.dev"],
        "resources": ["chatmodels/status", "chatmodels/scale", "shopassistants/status"],
        "verbs": ["patch"],
    },
    {
        "apiGroups": ["chatscale.dev"],
        "resources": ["chatmodels/finalizers", "shopassistants/finalizers"],
        "verbs": ["update"],
    },
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "watch", "create", "patch"]},
    {"apiGroups": [""], "resources": ["services", "configmaps"], "verbs": ["get", "list", "watch", "create", "patch"]},
    {
        "apiGroups": ["policy"],
        "resources": ["poddisruptionbudgets"],
        "verbs": ["get", "list", "watch", "create", "patch"],
    },
    {
        "apiGroups": ["networking.k8s.io"],
        "resources": ["networkpolicies"],
        "verbs": ["get", "list", "watch", "create", "patch", "delete"],
    },
    {
        "apiGroups": ["autoscaling"],
        "resources": ["horizontalpodautoscalers"],
        "verbs": ["list", "watch", "create", "patch", "delete"],
    },
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch", "patch"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
]
LEASE_RULES = [
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": ["chatscale-operator"],
        "verbs": ["get", "update"],
    },
]
LEASE_OBJECTS = {(kind, "models", "chatscale-operator-lease") for kind in ("Role", "RoleBinding")}
SUBJECT = {"kind": "ServiceAccount", "name": "chatscale-operator", "namespace": "models"}


def rbac(values: dict[str, Any]) -> dict[tuple[str, str, str], Manifest]:
    objects = render({**values, "gateway": {"enabled": False}})
    return {key: manifest for key, manifest in objects.items() if "Role" in key[0]}


def test_cluster_scope_is_one_cluster_role_bound_to_the_operator():
    objects = rbac({"userRoles": {"create": False}})

    assert set(objects) == LEASE_OBJECTS | {
        ("ClusterRole", "", "chatscale-operator"), ("ClusterRoleBinding", "", "chatscale-operator"),
    }  # fmt: skip
    assert objects["ClusterRole", "", "chatscale-operator"]["rules"] == OPERATOR_RULES
    binding = objects["ClusterRoleBinding", "", "chatscale-operator"]
    assert binding["subjects"] == [SUBJECT]
    assert binding["roleRef"] == {
        "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "chatscale-operator",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("namespaces", "served"),
    [
        pytest.param([], ["models"], id="by default the release's own"),
        pytest.param(["shop", "support"], ["shop", "support"], id="the named ones and not the release's"),
    ],
)
def test_namespace_scope_grants_nothing_outside_the_served_namespaces_but_the_lease(
    namespaces: list[str], served: list[str]
):
    objects = rbac({"scope": "Namespace", "namespaces": namespaces})

    assert set(objects) == LEASE_OBJECTS | {
        (kind, namespace, "chatscale-operator") for kind in ("Role", "RoleBinding") for namespace in served
    }
    for namespace in served:
        assert objects["Role", namespace, "chatscale-operator"]["rules"] == OPERATOR_RULES
        assert objects["RoleBinding", namespace, "chatscale-operator"]["subjects"] == [SUBJECT]


@pytest.mark.parametrize("values", [{}, {"scope": "Namespace", "namespaces": ["shop"]}])
def test_the_operator_may_write_only_its_own_lease_in_its_own_namespace(values: dict[str, Any]):
    objects = rbac(values)

    assert objects["Role", "models", "chatscale-operator-lease"]["rules"] == LEASE_RULES
    binding = objects["RoleBinding", "models", "chatscale-operator-lease"]
    assert (binding["subjects"], binding["roleRef"]["name"]) == ([SUBJECT], "chatscale-operator-lease")


def test_people_get_their_rights_through_the_built_in_roles():
    objects = rbac({})

    edit, view = objects["ClusterRole", "", "chatscale-edit"], objects["ClusterRole", "", "chatscale-view"]
    assert {label for label in edit["metadata"]["labels"] if label.startswith("rbac")} == {
        "rbac.authorization.k8s.io/aggregate-to-admin", "rbac.authorization.k8s.io/aggregate-to-edit",
    }  # fmt: skip
    assert {label for label in view["metadata"]["labels"] if label.startswith("rbac")} == {
        "rbac.authorization.k8s.io/aggregate-to-view"
    }
    assert {verb for rule in view["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert {resource for rule in edit["rules"] for resource in rule["resources"]} == {
        "chatmodels", "chatmodels/scale", "shopassistants",
    }  # fmt: skip


def test_another_service_account_is_bound_and_not_created():
    objects = render({"serviceAccount": {"create": False, "name": "given"}})

    assert ("ServiceAccount", "models", "chatscale-operator") not in objects
    assert objects["ClusterRoleBinding", "", "chatscale-operator"]["subjects"] == [{**SUBJECT, "name": "given"}]
    assert objects["Deployment", "models", "chatscale-operator"]["spec"]["template"]["spec"]["serviceAccountName"] == (
        "given"
    )
