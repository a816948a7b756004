"""Pod network without a network plugin's image: a bridge per node, and routes between nodes.

Masquerading and routes are lost when a node restarts and node addresses may
change, so this runs at every `up` and each part may be repeated.
"""

import json
from dataclasses import dataclass
from typing import Any

from hack.cluster.commands import Commands
from hack.cluster.kind import Cluster, write_in_node

POD_RANGE = "10.244.0.0/16"
"""As in manifests/kind/cluster.yaml."""
CONFLIST = "/etc/cni/net.d/10-bridge.conflist"
CIDR_DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Node:
    """What routing needs to know of a node."""

    name: str
    pod_cidr: str
    internal_ip: str


def connect_pods(commands: Commands, cluster: Cluster) -> None:
    """Write each node's CNI configuration, and let pods reach other nodes and the world (2 s)."""
    nodes: list[Node] = []

    def every_node_has_a_range() -> bool:
        nodes[:] = parse_nodes(commands.read(*cluster.kubectl("get", "nodes", "-o", "json")))
        return bool(nodes) and all(node.pod_cidr for node in nodes)

    commands.wait_until(every_node_has_a_range, "the nodes' pod ranges", CIDR_DEADLINE_S)
    for node in nodes:
        write_in_node(commands, node.name, CONFLIST, render_conflist(node.pod_cidr))
        commands.run("docker", "exec", node.name, "sh", "-ec", routing_script(node, nodes), deadline_s=30)


def parse_nodes(listed: str) -> list[Node]:
    """Read `kubectl get nodes -o json`; the range of a node just made is empty."""
    items: list[dict[str, Any]] = json.loads(listed)["items"]
    return [
        Node(
            name=item["metadata"]["name"],
            pod_cidr=item["spec"].get("podCIDR", ""),
            internal_ip=next(a["address"] for a in item["status"]["addresses"] if a["type"] == "InternalIP"),
        )
        for item in items
    ]


def render_conflist(pod_cidr: str) -> str:
    """Render the CNI configuration of the node that has this range.

    Written per node and never part of the image: two nodes would hand out the
    same addresses.  `ipMasq` is off so that pods see each other's addresses.
    """
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": False,
        # A pod may reach itself through its Service.
        "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": pod_cidr}]], "routes": [{"dst": "0.0.0.0/0"}]},
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "0.4.0", "name": "bridge", "plugins": [bridge, portmap]}, indent=2) + "\n"


def routing_script(node: Node, nodes: list[Node]) -> str:
    """Write the shell commands for one node; running them again changes nothing."""
    rule = f"POSTROUTING -s {POD_RANGE} ! -d {POD_RANGE} -j MASQUERADE"
    masquerade = f"iptables -w -t nat -C {rule} 2> /dev/null || iptables -w -t nat -A {rule}"
    routes = [f"ip route replace {other.pod_cidr} via {other.internal_ip}" for other in nodes if other != node]
    return "\n".join([masquerade, *routes])
