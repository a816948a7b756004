"""Pods reach each other across nodes, whatever addresses the nodes got this time."""

import json

from hack.cluster.network import POLICY_QUEUE, Node, parse_nodes, render_conflist, routing_script
from hack.paths import ROOT

ONE = Node("one", "10.244.0.0/24", "172.18.0.2")
TWO = Node("two", "10.244.1.0/24", "172.18.0.3")


def test_conflist_gives_the_nodes_own_range_and_keeps_source_addresses():
    rendered = json.loads(render_conflist("10.244.3.0/24"))
    bridge, portmap = rendered["plugins"]
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.244.3.0/24"}]]
    assert (bridge["isGateway"], bridge["ipMasq"], bridge["hairpinMode"]) == (True, False, True)
    assert portmap == {"type": "portmap", "capabilities": {"portMappings": True}}


def routes(node, nodes):
    return [line for line in routing_script(node, nodes).splitlines() if line.startswith("ip route")]


def test_routes_to_every_other_node_and_only_those():
    assert routes(ONE, [ONE, TWO]) == ["ip route replace 10.244.1.0/24 via 172.18.0.3"]
    assert routes(ONE, [ONE]) == []


def test_packet_rules_are_added_once():
    masquerade, policies = routing_script(ONE, [ONE]).splitlines()
    check, add = masquerade.split(" 2> /dev/null || ")
    assert check == "iptables -w -t nat -C POSTROUTING -s 10.244.0.0/16 ! -d 10.244.0.0/16 -j MASQUERADE"
    assert add == "iptables -w -t nat -A POSTROUTING -s 10.244.0.0/16 ! -d 10.244.0.0/16 -j MASQUERADE"
    check, add = policies.split(" 2> /dev/null || ")
    assert check == add.replace("-A", "-C")
    assert "-A FORWARD -m conntrack --ctstate NEW -j NFQUEUE --queue-num 98" in add


def test_the_policy_engine_listens_on_the_queue_that_packets_are_sent_to():
    assert f"--nfqueue-id={POLICY_QUEUE}\n" in (ROOT / "manifests/kind/network-policies.yaml").read_text()


def test_reads_nodes_and_leaves_a_range_not_given_yet_empty():
    def item(name, spec):
        addresses = [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": "172.18.0.9"}]
        return {"metadata": {"name": name}, "spec": spec, "status": {"addresses": addresses}}

    listed = json.dumps({"items": [item("a", {"podCIDR": "10.244.0.0/24"}), item("b", {})]})
    assert parse_nodes(listed) == [Node("a", "10.244.0.0/24", "172.18.0.9"), Node("b", "", "172.18.0.9")]
