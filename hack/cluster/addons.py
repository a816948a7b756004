"""What the cluster has besides Kubernetes and ours: Prometheus, prometheus-adapter, and a network policy engine."""

import urllib.request
from dataclasses import dataclass
from functools import partial

from hack.cluster.base_image import build_image
from hack.cluster.commands import Commands
from hack.cluster.errors import BringUpError
from hack.cluster.kind import Cluster
from hack.cluster.network import POLICY_QUEUE
from hack.cluster.node_image import single_program_context
from hack.cluster.push import push_image
from hack.cluster.registry import PUSH_HOST, Registry
from hack.cluster.toolchain import ADAPTER, NETWORK_POLICIES, PROMETHEUS, GoBuild, Toolchain

NAMESPACE = "monitoring"
EXTERNAL_METRICS = "v1beta1.external.metrics.k8s.io"
PROMETHEUS_URL = "http://127.0.0.1:30090"
"""The node port of manifests/kind/prometheus.yaml, as manifests/kind/cluster.yaml maps it."""
READY_DEADLINE_S = 180
LISTENER_SCRIPT = (
    f"awk '$1 == {POLICY_QUEUE} {{ found = 1 }} END {{ exit !found }}' /proc/net/netfilter/nfnetlink_queue"
)
"""Ends well where a program receives the packets that network.py sends to the queue."""


@dataclass(frozen=True, slots=True)
class Addon:
    """An image that manifests/kind names by its version; `tag_of` completes the name."""

    build: GoBuild
    program: str
    repository: str
    hub_image: str | None
    """Where a registry can be reached; `{version}` is the module's, `{release}` what Prometheus calls the same.
    None: not needed there."""


ADDONS = (
    Addon(
        build=PROMETHEUS,
        program="prometheus",
        repository="chatscale/prometheus",
        hub_image="prom/prometheus:{release}",
    ),
    Addon(
        build=ADAPTER,
        program="adapter",
        repository="chatscale/prometheus-adapter",
        hub_image="registry.k8s.io/prometheus-adapter/prometheus-adapter:{version}",
    ),
    Addon(
        build=NETWORK_POLICIES,
        program="kube-network-policies",
        repository="chatscale/kube-network-policies",
        hub_image=None,  # kind's own network enforces policies
    ),
)


def push_addon(commands: Commands, addon: Addon, toolchain: Toolchain, registry: Registry, *, from_hub: bool) -> None:
    """Put an add-on's image into the local registry, unless it is there."""
    tag = tag_of(addon, toolchain, from_hub=from_hub)
    if registry.has(addon.repository, tag):
        return
    reference = f"{PUSH_HOST}/{addon.repository}:{tag}"
    if from_hub and addon.hub_image is not None:
        version = toolchain.version(addon.build)
        source = addon.hub_image.format(version=version, release=release_of(version))
        commands.run("docker", "pull", source)
        commands.run("docker", "tag", source, reference)
    else:
        built = toolchain.built(addon.build) / addon.program
        build_image(commands, reference, single_program_context(addon.program, built), {})
    push_image(commands, addon.repository, tag)


def tag_of(addon: Addon, toolchain: Toolchain, *, from_hub: bool) -> str:
    """Tag an image that is built here by what it is built from as well: another build of a version rolls out."""
    version = toolchain.version(addon.build)
    return version if from_hub else f"{version}-{toolchain.key(addon.build)}"


def name_images_in(manifests: str, toolchain: Toolchain, *, from_hub: bool) -> str:
    """Complete the tags of the add-ons' images."""
    for addon in addons(from_hub=from_hub):
        name = f"{addon.repository}:{toolchain.version(addon.build)}"
        manifests = manifests.replace(name, f"{addon.repository}:{tag_of(addon, toolchain, from_hub=from_hub)}")
    return manifests


def release_of(module_version: str) -> str:
    """Translate Prometheus' module version to its release: v0.316.0 is v3.16.0."""
    number = int(module_version.split(".")[1])
    patch = module_version.split(".")[2]
    return f"v{number // 100}.{number % 100}.{patch}"


def addons(*, from_hub: bool) -> list[Addon]:
    """List the add-ons of this way."""
    return [addon for addon in ADDONS if not from_hub or addon.hub_image is not None]


def apply_addons(commands: Commands, cluster: Cluster, toolchain: Toolchain, *, from_hub: bool) -> None:
    """Apply manifests/kind and wait until everything in it answers."""
    manifests = commands.read(*cluster.kubectl("kustomize", cluster.places.manifests))
    if not from_hub:
        policies = cluster.places.manifests / "network-policies.yaml"
        manifests = f"{manifests}---\n{policies.read_text(encoding='utf-8')}"
    named = name_images_in(manifests, toolchain, from_hub=from_hub)
    commands.run(*cluster.kubectl("apply", "-f", "-"), stdin=named.encode())
    if not from_hub:
        _wait(commands, cluster, "-n", "kube-system", "rollout", "status", "daemonset/kube-network-policies")
        # A Ready pod does not prove that it receives packets.
        for node in cluster.nodes(commands):
            has_listener = ("docker", "exec", node, "sh", "-c", LISTENER_SCRIPT)
            commands.wait_until(
                partial(commands.succeeds, *has_listener), f"{node} to have a network policy engine", READY_DEADLINE_S
            )
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
