"""Pod network without a network plugin's image: a bridge per node, routes between nodes, and network policies.

The policy engine of manifests/kind/network-policies.yaml decides about each new connection.  Its own nftables rules
need NFT_QUEUE, which not every kernel has; the iptables rule here sends it the same packets.

Rules and routes are lost when a node restarts and node addresses may
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
POLICY_QUEUE = 98
"""As in manifests/kind/network-policies.yaml."""


@dataclass(frozen=True, slots=True)
class Node:
    """What routing needs to know of a node."""

    name: str
    pod_cidr: str
    internal_ip: str


def connect_pods(commands: Commands, cluster: Cluster) -> None:
    """Write each node's CNI configuration, routes and packet rules (2 s)."""
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
    rules = [
        f"-t nat -A POSTROUTING -s {POD_RANGE} ! -d {POD_RANGE} -j MASQUERADE",
        # Behind kube-proxy's rules, which accept what comes through a node port.  Bypass: without an engine, pods
        # reach each other.
        f"-A FORWARD -m conntrack --ctstate NEW -j NFQUEUE --queue-num {POLICY_QUEUE} --queue-bypass",
    ]
    missing = [f"iptables -w {rule.replace('-A ', '-C ')} 2> /dev/null || iptables -w {rule}" for rule in rules]
    routes = [f"ip route replace {other.pod_cidr} via {other.internal_ip}" for other in nodes if other != node]
    return "\n".join([*missing, *routes])
