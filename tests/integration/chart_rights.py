"""A kubeconfig with the rights that the chart gives the operator in one namespace, and no others."""

import json
from pathlib import Path

import yaml

from hack import helm, kube

RIGHTS = {"ServiceAccount", "Role", "RoleBinding"}


def kubeconfig_of_chart(namespace: str, folder: Path) -> Path:
    """Apply the chart's account and rights (scope Namespace) and write a kubeconfig for it."""
    rendered = helm.template({"scope": "Namespace", "gateway": {"enabled": False}}, namespace=namespace)
    manifests = [m for m in yaml.safe_load_all(rendered) if m and m["kind"] in RIGHTS]
    assert {m["kind"] for m in manifests} == RIGHTS
    for manifest in manifests:
        manifest["metadata"].setdefault("namespace", namespace)
    kube.apply(*manifests)
    (account,) = (m["metadata"]["name"] for m in manifests if m["kind"] == "ServiceAccount")
    token = kube.kubectl("create", "token", account, "-n", namespace, "--duration=1h").strip()

    config = json.loads(kube.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    config["users"] = [{"name": account, "user": {"token": token}}]
    for context in config["contexts"]:
        context["context"]["user"] = account
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return path
