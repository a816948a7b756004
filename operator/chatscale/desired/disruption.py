"""The PodDisruptionBudget of a custom resource: a node drain evicts one of its pods at a time."""

from chatscale import names
from chatscale.api.v1alpha1 import ChatModel
from chatscale.desired.manifest import Manifest, child_metadata, with_template_hash


def build_disruption_budget(chatmodel: ChatModel) -> Manifest:
    """A budget over the Deployment's pods. It never blocks a node drain for ever.

    A model with one replica can be evicted, and so can a replica that is not Ready, which answers no requests.
    """
    return budget_over(child_metadata(chatmodel), names.deployment_selector(chatmodel.metadata.name))


def budget_over(metadata: Manifest, pods: dict[str, str]) -> Manifest:
    """The budget. metadata: its own. pods: their labels."""
    return with_template_hash(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata,
            "spec": {
                "maxUnavailable": 1,
                "selector": {"matchLabels": pods},
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
            },
        }
    )
