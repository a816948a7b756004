"""The kind cluster: made, recognised, brought back, deleted."""

from dataclasses import dataclass
from pathlib import Path

from hack.cluster.commands import Commands
from hack.cluster.errors import CommandFailedError
from hack.cluster.places import CLUSTER_NAME, Places

CONTEXT = f"kind-{CLUSTER_NAME}"
"""The cluster's context in the user's kubeconfig."""
DEFINITION_FILE = "/kind/chatscale-definition"
"""Inside each node: a key of what the cluster was made from.  It dies with the node, as a file elsewhere would not."""
NODE_DEADLINE_S = 20.0
COME_BACK_DEADLINE_S = 60.0
"""A stopped node is back in 20 to 60 s, or never."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The one cluster of this project on this machine."""

    places: Places

    def nodes(self, commands: Commands) -> dict[str, bool]:
        """List the node containers: name -> whether it runs."""
        label = f"label=io.x-k8s.kind.cluster={CLUSTER_NAME}"
        listed = commands.read("docker", "ps", "--all", "--filter", label, "--format", "{{.Names}} {{.State}}")
        return {name: state == "running" for name, state in (line.split() for line in listed.splitlines())}

    def bring_back(self, commands: Commands, definition: str) -> bool:
        """Reuse the cluster there is; tell whether it answers and is what we would make."""
        nodes = self.nodes(commands)
        if not nodes:
            return False
        for name, is_running in nodes.items():
            if not is_running:
                commands.say(f"starting {name}")
                commands.succeeds("docker", "start", name)
        node = next(iter(nodes))
        try:
            # A node that has just been started takes no commands for a moment.
            read_definition = ("docker", "exec", node, "cat", DEFINITION_FILE)
            commands.wait_until(lambda: commands.succeeds(*read_definition), node, NODE_DEADLINE_S)
            if commands.read(*read_definition).strip() != definition:
                commands.say("the cluster was made from something else: making it anew")
                return False
            self.export_kubeconfig(commands)
            commands.wait_until(lambda: self.answers(commands), "the API server", COME_BACK_DEADLINE_S)
        except CommandFailedError as error:
            commands.say(f"the cluster does not come back: {error}")
            return False
        return True

    def create(self, commands: Commands, image: str, config: str, definition: str) -> None:
        """Delete what is left of a former cluster and make a new one (20 s); its nodes are not Ready yet."""
        self.delete(commands)
        commands.run(
            self._kind, "create", "cluster", "--name", CLUSTER_NAME, "--image", image, "--config", "-",
            stdin=config.encode(), deadline_s=600,
        )  # fmt: skip
        for name in self.nodes(commands):
            write_in_node(commands, name, DEFINITION_FILE, definition)

    def delete(self, commands: Commands) -> None:
        """Delete the cluster and its entry in the kubeconfig."""
        if self._kind.exists():
            commands.run(self._kind, "delete", "cluster", "--name", CLUSTER_NAME)
        else:
            # The cache was deleted by hand; the entry stays until the next `up` overwrites it.
            for name in self.nodes(commands):
                commands.run("docker", "rm", "--force", "--volumes", name)

    def export_kubeconfig(self, commands: Commands) -> None:
        """Merge the cluster's entry into the user's kubeconfig: the API server's certificate may be a new one."""
        commands.run(self._kind, "export", "kubeconfig", "--name", CLUSTER_NAME)

    def answers(self, commands: Commands) -> bool:
        """Tell whether the API server is ready."""
        return commands.succeeds(*self.kubectl("get", "--raw=/readyz"), deadline_s=10)

    def kubectl(self, *arguments: str | Path) -> tuple[str | Path, ...]:
        """Build a kubectl command for this cluster, whatever the user's current context is."""
        return (self.places.tools / "kubectl", "--context", CONTEXT, "--request-timeout=20s", *arguments)

    @property
    def _kind(self) -> Path:
        return self.places.tools / "kind"


def write_in_node(commands: Commands, node: str, path: str, text: str) -> None:
    """Write a file in a node, folders included, in one go: containerd and kubelet watch some of them."""
    script = 'mkdir -p "$(dirname "$1")" && cat > "$1.new" && mv "$1.new" "$1"'
    commands.run("docker", "exec", "-i", node, "sh", "-c", script, "sh", path, stdin=text.encode(), deadline_s=30)


def render_config(template: str, *, with_kind_network: bool) -> str:
    """Fill in kind's configuration: where its own CNI can be pulled, use that."""
    line = "disableDefaultCNI: true"
    if line not in template:
        raise ValueError(f"manifests/kind/cluster.yaml lacks the line {line!r}")
    return template.replace(line, f"disableDefaultCNI: {'false' if with_kind_network else 'true'}")
