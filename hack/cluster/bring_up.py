"""`up`: from a bare machine, or from whatever is there, to a cluster that answers.

Two ways.  Short, where a container registry can be reached: kind's published
node image.  Long, where none can: everything from Debian packages and Go
modules.  Both end in the same cluster with the same add-ons.
"""

from concurrent.futures import Future
from dataclasses import dataclass, field

from hack.cluster.addons import addons, apply_addons, push_addon, tag_of, wait_for_system
from hack.cluster.base_image import BaseImages, base_images
from hack.cluster.commands import Commands
from hack.cluster.content import key_of
from hack.cluster.docker import Docker, image_exists
from hack.cluster.estimates import announce
from hack.cluster.kind import Cluster, render_config
from hack.cluster.lanes import Lane
from hack.cluster.network import connect_pods
from hack.cluster.node_image import PARTS, NodeImage
from hack.cluster.places import Places
from hack.cluster.progress import Progress
from hack.cluster.registry import HUB_IMAGE, Registry
from hack.cluster.toolchain import BUILD_ORDER, HELM, KIND, KUBECTL, GoBuild, Toolchain
from hack.cluster.tools import link_tools

HUB_NODE_IMAGE = "kindest/node:v1.34.3"
"""Kubernetes 1.34, since kubelet refuses cgroup v1 from 1.35 on."""
PROBE_DEADLINE_S = 45.0
"""How long a pull of 25 MB may take before no registry counts as reachable."""


@dataclass(slots=True)
class BringUp:
    """One run of `up`."""

    places: Places
    progress: Progress
    toolchain: Toolchain = field(init=False)
    cluster: Cluster = field(init=False)
    registry: Registry = field(init=False)

    def __post_init__(self) -> None:
        self.toolchain = Toolchain(self.places)
        self.cluster = Cluster(self.places)
        self.registry = Registry(self.places)

    def run(self) -> None:
        """Do all of it; each part is skipped where its result is there."""
        with self.progress.step("docker daemon") as commands:
            Docker(self.places).ensure(commands)
        with self.progress.step("survey") as commands:
            from_hub = can_pull(commands)
            commands.say(
                "short way: a container registry can be reached"
                if from_hub
                else "long way: no container registry can be reached; building from Debian packages and Go modules"
            )
            missing = link_tools(commands, self.toolchain)
            bases = None if from_hub else base_images(commands, self.places)
            node = None if bases is None else NodeImage(self.places, self.toolchain, bases)
            wanted = self._wanted_builds(commands, node, missing)
            announce(commands, self.progress, self.places, self._planned_steps(commands, bases, node, wanted))
        with Lane(self.progress, "build") as lane:
            builds = {build.name: lane.start(self._build, build) for build in wanted}
            self._make_cluster(builds, bases, node)
        with self.progress.step("links") as commands:
            link_tools(commands, self.toolchain)

    def _wanted_builds(self, commands: Commands, node: NodeImage | None, missing_tools: list[GoBuild]) -> list[GoBuild]:
        """List what no cache has, in the order in which it is waited for."""
        wanted = list(missing_tools)
        if node is not None:
            # Whether the registry has the add-ons' images can only be asked when it runs, so their builds are kept.
            wanted += [addon.build for addon in addons(from_hub=False)]
            if not image_exists(commands, node.tag):
                wanted += PARTS
        return [build for build in BUILD_ORDER if build in wanted and not self.toolchain.is_built(build)]

    def _planned_steps(
        self, commands: Commands, bases: BaseImages | None, node: NodeImage | None, wanted: list[GoBuild]
    ) -> list[str]:
        """List the steps that will find work to do."""
        steps = [f"build {build.name}" for build in wanted]
        if bases is not None and not image_exists(commands, bases.python):
            steps.append("base image")
        if node is not None and not image_exists(commands, node.tag):
            steps += ["node image"] if image_exists(commands, node.packages_tag) else ["node packages", "node image"]
        nodes = self.cluster.nodes(commands)
        if not nodes or not all(nodes.values()) or "node image" in steps:
            steps += ["cluster", "registry", "add-ons"]
        for addon in addons(from_hub=node is None):
            if not self.registry.has(addon.repository, tag_of(addon, self.toolchain, from_hub=node is None)):
                steps.append(f"image of {addon.program}")
        return steps

    def _build(self, build: GoBuild) -> None:
        with self.progress.step(f"build {build.name}") as commands:
            self.toolchain.build(commands, build)
            if build in (KIND, HELM, KUBECTL):
                link_tools(commands, self.toolchain)

    def _make_cluster(
        self,
        builds: dict[str, Future[None]],
        bases: BaseImages | None,
        node: NodeImage | None,
    ) -> None:
        from_hub = node is None

        def wait_for(*wanted: GoBuild) -> None:
            for build in wanted:
                if build.name in builds:
                    builds[build.name].result()

        if bases is not None and node is not None:
            with self.progress.step("base image") as commands:
                bases.ensure_debian(commands)
                bases.ensure_python(commands)
            with self.progress.step("node packages") as commands:
                if not image_exists(commands, node.tag):
                    node.ensure_packages(commands)
            wait_for(*PARTS)
            with self.progress.step("node image") as commands:
                node.ensure(commands)
        wait_for(KIND, KUBECTL)
        with self.progress.step("links before the cluster") as commands:
            link_tools(commands, self.toolchain)
        self._ensure_cluster(HUB_NODE_IMAGE if node is None else node.tag, from_hub=from_hub)
        with self.progress.step("registry") as commands:
            self.registry.ensure(commands, self.registry.ensure_image(commands, bases), self.cluster)
        for addon in addons(from_hub=from_hub):
            if not from_hub:
                wait_for(addon.build)
            with self.progress.step(f"image of {addon.program}") as commands:
                push_addon(commands, addon, self.toolchain, self.registry, from_hub=from_hub)
        with self.progress.step("add-ons") as commands:
            wait_for_system(commands, self.cluster)
            apply_addons(commands, self.cluster, self.toolchain, from_hub=from_hub)

    def _ensure_cluster(self, image: str, *, from_hub: bool) -> None:
        template = (self.places.manifests / "cluster.yaml").read_text(encoding="utf-8")
        config = render_config(template, with_kind_network=from_hub)
        definition = key_of(image, config)
        with self.progress.step("cluster") as commands:
            if self.cluster.bring_back(commands, definition):
                commands.say("using the cluster that is there")
            else:
                self.cluster.create(commands, image, config, definition)
        if not from_hub:
            with self.progress.step("pod network") as commands:
                connect_pods(commands, self.cluster)


def can_pull(commands: Commands) -> bool:
    """Find out whether a container registry can be reached, by pulling a small image that the short way needs."""
    if image_exists(commands, HUB_IMAGE):
        return True
    return commands.succeeds("docker", "pull", HUB_IMAGE, deadline_s=PROBE_DEADLINE_S)
