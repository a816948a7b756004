"""The Deployment of one ChatModel, and, apart from it, its replica count."""

from dataclasses import dataclass

from chatscale.api.v1alpha1 import ChatModel
from chatscale.desired.manifest import Manifest, child_metadata, with_template_hash


@dataclass(frozen=True, slots=True)
class ServerImages:
    """The chart's images, by engine."""

    transformers: str
    simulated: str


def build_deployment(chatmodel: ChatModel, images: ServerImages) -> Manifest:
    """Everything of the Deployment but `replicas`, which another field manager owns."""
    _ = images
    return with_template_hash(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": child_metadata(chatmodel), "spec": {}}
    )


def build_replicas(chatmodel: ChatModel, replicas: int) -> Manifest:
    """The smallest body that server-side apply takes to own `spec.replicas` and nothing else."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": chatmodel.metadata.name, "namespace": chatmodel.metadata.namespace},
        "spec": {"replicas": replicas},
    }
