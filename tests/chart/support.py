"""The chart as Helm renders it; without helm these tests fail and say how to get it."""

from typing import Any

import yaml

from hack.helm import template

Manifest = dict[str, Any]
Key = tuple[str, str, str]
"""Kind, namespace ("" for cluster scope) and name."""
GATEWAY_PEER = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "models"}},
    "podSelector": {
        "matchLabels": {"app.kubernetes.io/name": "chatscale-gateway", "app.kubernetes.io/instance": "chatscale"}
    },
}
OPERATOR_PEER = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "models"}},
    "podSelector": {
        "matchLabels": {"app.kubernetes.io/name": "chatscale-operator", "app.kubernetes.io/instance": "chatscale"}
    },
}
PROMETHEUS_PEER = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
}


def render(values: dict[str, Any] | None = None, *, release: str = "chatscale") -> dict[Key, Manifest]:
    """Every object of the release, by key; two of one key are an error."""
    manifests = [m for m in yaml.safe_load_all(template(values, release=release, namespace="models")) if m]
    objects = {key_of(manifest): manifest for manifest in manifests}
    assert len(objects) == len(manifests), "the chart renders an object twice"
    return objects


def key_of(manifest: Manifest) -> Key:
    return manifest["kind"], manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"]


def operator_deployment(values: dict[str, Any] | None = None, *, release: str = "chatscale") -> Manifest:
    name = release if "chatscale" in release else f"{release}-chatscale"
    return render(values, release=release)["Deployment", "models", f"{name}-operator"]


def operator_container(values: dict[str, Any] | None = None, *, release: str = "chatscale") -> Manifest:
    (container,) = operator_deployment(values, release=release)["spec"]["template"]["spec"]["containers"]
    return container


def operator_env(values: dict[str, Any] | None = None, *, release: str = "chatscale") -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in operator_container(values, release=release)["env"]}
