"""The NetworkPolicy of a custom resource: which pods may connect to its pods.

API keys are checked by the gateway. Without this policy every pod of the cluster could call a replica without a key.
"""

from dataclasses import dataclass
from typing import Any

from chatscale import names
from chatscale.api.v1alpha1 import ChatModel
from chatscale.desired.manifest import Manifest, child_metadata, with_template_hash
from chatscale_contract.server import endpoints


@dataclass(frozen=True, slots=True)
class PodAccess:
    """Who may connect to replicas, as parts of a NetworkPolicy. The default: everybody, without a NetworkPolicy."""

    peers: tuple[dict[str, Any], ...] = ()
    """NetworkPolicyPeers that may connect to the serving port: gateway, operator, Prometheus. Empty: no policy."""
    extra_ingress: tuple[dict[str, Any], ...] = ()
    """Further NetworkPolicyIngressRules, as the administrator wrote them."""


def build_network_policy(chatmodel: ChatModel, access: PodAccess) -> Manifest | None:
    """A policy over the pods of every track; None if everybody may connect.

    The kubelet's probes and port-forwards come from the pod's own node, which NetworkPolicies do not restrict.
    """
    return policy_over(child_metadata(chatmodel), names.pod_selector(chatmodel.metadata.name), access)


def policy_over(metadata: Manifest, pods: dict[str, str], access: PodAccess) -> Manifest | None:
    """The policy; None if everybody may connect. metadata: its own. pods: their labels."""
    if not access.peers:
        return None
    serving = {"from": list(access.peers), "ports": [{"protocol": "TCP", "port": endpoints.HTTP_PORT}]}
    return with_template_hash(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata,
            "spec": {
                "podSelector": {"matchLabels": pods},
                "policyTypes": ["Ingress"],
                "ingress": [serving, *access.extra_ingress],
            },
        }
    )
