"""The PodDisruptionBudget of a ChatModel: a node drain evicts one of its replicas at a time."""

from chatscale import names
from chatscale.api.v1alpha1 import ChatModel
from chatscale.desired.manifest import Manifest, child_metadata, with_template_hash


def build_disruption_budget(chatmodel: ChatModel) -> Manifest:
    """A budget over the Deployment's pods. It never blocks a node drain for ever.

    A model with one replica can be evicted, and so can a replica that is not Ready, which answers no requests.
    """
    return with_template_hash(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": child_metadata(chatmodel),
            "spec": {
                "maxUnavailable": 1,
                "selector": {"matchLabels": names.deployment_selector(chatmodel.metadata.name)},
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
            },
        }
    )
