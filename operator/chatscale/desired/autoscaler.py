"""The HorizontalPodAutoscaler of mode HPA."""

from chatscale.api.v1alpha1 import AutoscalingMode, ChatModel
from chatscale.desired.manifest import Manifest, child_metadata, with_template_hash


def build_hpa(chatmodel: ChatModel) -> Manifest | None:
    """The autoscaler in mode HPA, None in every other mode."""
    if chatmodel.spec.autoscaling.mode is not AutoscalingMode.HPA:
        return None
    return with_template_hash(
        {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": child_metadata(chatmodel)}
    )
