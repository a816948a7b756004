"""Service, PodDisruptionBudget, NetworkPolicy, HPA and signing Secret of a ShopAssistant."""

import base64

from chatscale import names
from chatscale.api.v1alpha1 import ShopAssistant
from chatscale.desired.assistant.configuration import build_configuration
from chatscale.desired.assistant.volumes import SIGNING_KEY
from chatscale.desired.assistant.workload import AssistantPods, build_deployment
from chatscale.desired.disruption import budget_over
from chatscale.desired.manifest import Manifest, child_metadata, with_template_hash
from chatscale.desired.network_policy import PodAccess, policy_over
from chatscale.desired.service import base_url, service_over
from chatscale_contract.assistant.metrics import ASSISTANT_LABEL, REQUESTS_IN_FLIGHT


def build_children(
    assistant: ShopAssistant, pins: dict[str, str], pods: AssistantPods, access: PodAccess
) -> list[Manifest]:
    """All children but the Secret, in the order in which they are applied.

    ConfigMap and NetworkPolicy come first: a new pod finds its configuration, and is never open to everybody.
    pins: the pinned digest of each tool server that has one.
    """
    name = assistant.metadata.name
    metadata = child_metadata(assistant, names.assistant_child(name))
    labels = names.SHOPASSISTANT.pod_labels(name)
    children = [
        build_configuration(assistant, pins),
        policy_over(metadata, labels, access),
        build_deployment(assistant, pods),
        service_over(metadata, labels),
        budget_over(metadata, labels),
        build_hpa(assistant),
    ]
    return [child for child in children if child is not None]


def build_hpa(assistant: ShopAssistant) -> Manifest | None:
    """The HPA; None without `spec.replicas.max`.

    It scales the Deployment. As for ChatModels, an External metric is the sum over all pods, so pods that start do not
    change the recommendation.
    """
    replicas = assistant.spec.replicas
    if replicas.max is None:
        return None
    name = names.assistant_child(assistant.metadata.name)
    metric = {
        "name": REQUESTS_IN_FLIGHT,
        "selector": {"matchLabels": {ASSISTANT_LABEL: assistant.metadata.name}},
    }
    target = {"type": "AverageValue", "averageValue": str(replicas.target_in_flight)}
    return with_template_hash(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": child_metadata(assistant, name),
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                "minReplicas": replicas.min,
                "maxReplicas": replicas.max,
                "metrics": [{"type": "External", "external": {"metric": metric, "target": target}}],
            },
        }
    )


def build_signing_secret(assistant: ShopAssistant, key: bytes) -> Manifest:
    """The Secret with the key that signs pending confirmations. It is created once and never changed.

    key: random bytes, at least 32.
    """
    meta = assistant.metadata
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": child_metadata(assistant, names.signing_secret(meta.name, meta.uid)),
        "type": "Opaque",
        "immutable": True,
        "data": {SIGNING_KEY: base64.b64encode(key).decode()},
    }


def endpoint_url(assistant: ShopAssistant) -> str:
    """The base URL for an OpenAI client inside the cluster."""
    return base_url(names.assistant_child(assistant.metadata.name), assistant.metadata.namespace)
