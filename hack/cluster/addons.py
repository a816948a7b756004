"""Prometheus and prometheus-adapter: what the cluster has besides Kubernetes and ours."""

import urllib.request
from dataclasses import dataclass

from hack.cluster.base_image import build_image
from hack.cluster.commands import Commands
from hack.cluster.errors import BringUpError
from hack.cluster.kind import Cluster
from hack.cluster.node_image import single_program_context
from hack.cluster.push import push_image
from hack.cluster.registry import PUSH_HOST, Registry
from hack.cluster.toolchain import ADAPTER, PROMETHEUS, GoModule, Toolchain

NAMESPACE = "monitoring"
EXTERNAL_METRICS = "v1beta1.external.metrics.k8s.io"
PROMETHEUS_URL = "http://127.0.0.1:30090"
"""The node port of manifests/kind/prometheus.yaml, as manifests/kind/cluster.yaml maps it."""
READY_DEADLINE_S = 180


@dataclass(frozen=True, slots=True)
class Addon:
    """An image that manifests/kind names by its version."""

    module: GoModule
    program: str
    repository: str
    hub_image: str
    """Where a registry can be reached; `{version}` is the module's, `{release}` what Prometheus calls the same."""


ADDONS = (
    Addon(
        module=PROMETHEUS,
        program="prometheus",
        repository="chatscale/prometheus",
        hub_image="prom/prometheus:{release}",
    ),
    Addon(
        module=ADAPTER,
        program="adapter",
        repository="chatscale/prometheus-adapter",
        hub_image="registry.k8s.io/prometheus-adapter/prometheus-adapter:{version}",
    ),
)


def push_addon(commands: Commands, addon: Addon, toolchain: Toolchain, registry: Registry, *, from_hub: bool) -> None:
    """Put an add-on's image into the local registry, unless it is there."""
    version = toolchain.version(addon.module)
    if registry.has(addon.repository, version):
        return
    reference = f"{PUSH_HOST}/{addon.repository}:{version}"
    if from_hub:
        source = addon.hub_image.format(version=version, release=release_of(version))
        commands.run("docker", "pull", source)
        commands.run("docker", "tag", source, reference)
    else:
        built = toolchain.built(addon.module) / addon.program
        build_image(commands, reference, single_program_context(addon.program, built), {})
    push_image(commands, addon.repository, version)


def release_of(module_version: str) -> str:
    """Translate Prometheus' module version to its release: v0.316.0 is v3.16.0."""
    number = int(module_version.split(".")[1])
    patch = module_version.split(".")[2]
    return f"v{number // 100}.{number % 100}.{patch}"


def apply_addons(commands: Commands, cluster: Cluster) -> None:
    """Apply manifests/kind and wait until everything in it answers."""
    commands.run(*cluster.kubectl("apply", "-k", cluster.places.manifests))
    for name in ("prometheus", "prometheus-adapter"):
        _wait(commands, cluster, "-n", NAMESPACE, "rollout", "status", f"deployment/{name}")
    _wait(commands, cluster, "wait", "--for=condition=Available", f"apiservice/{EXTERNAL_METRICS}")
    # After a restart of the node those conditions are the ones from before it, for half a minute: ask for an answer.
    live = "/apis/external.metrics.k8s.io/v1beta1"
    commands.wait_until(
        lambda: commands.succeeds(*cluster.kubectl("get", "--raw", live)), "external metrics", READY_DEADLINE_S
    )
    commands.wait_until(prometheus_answers, f"Prometheus at {PROMETHEUS_URL}", READY_DEADLINE_S)


def prometheus_answers() -> bool:
    """Ask Prometheus from the host, as tests do."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{PROMETHEUS_URL}/-/ready", timeout=5):
            return True
    except OSError:
        return False


def wait_for_system(commands: Commands, cluster: Cluster) -> None:
    """Wait until the node takes pods and Kubernetes' own run."""
    _wait(commands, cluster, "wait", "--for=condition=Ready", "node", "--all")
    # One is enough for one node, and its CPU request is a twentieth of a small machine.
    commands.run(*cluster.kubectl("-n", "kube-system", "scale", "deployment/coredns", "--replicas=1"))
    _wait(commands, cluster, "-n", "kube-system", "rollout", "status", "deployment/coredns")
    _wait(commands, cluster, "-n", "kube-system", "rollout", "status", "daemonset/kube-proxy")


def _wait(commands: Commands, cluster: Cluster, *what: str) -> None:
    """Wait with kubectl's own watch; on failure say what the pods are doing."""
    # A watch is a request too: the request's timeout would end it.
    command = cluster.kubectl(*what, "--request-timeout=0", f"--timeout={READY_DEADLINE_S}s")
    try:
        commands.run(*command, deadline_s=READY_DEADLINE_S + 20)
    except BringUpError:
        commands.succeeds(*cluster.kubectl("get", "pods", "-A", "-o", "wide"))
        commands.succeeds(*cluster.kubectl("get", "events", "-A", "--sort-by=.lastTimestamp"))
        raise
