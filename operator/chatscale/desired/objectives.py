"""The ConfigMap with a ChatModel's latency objectives, which its pods mount.

The objectives are no part of the pod template, so a change of the SLO restarts no pod (0016).
"""

from chatscale import names
from chatscale.api.v1alpha1 import ChatModel
from chatscale.desired.manifest import Manifest, child_metadata, with_template_hash
from chatscale_contract.server.endpoints import SLO_FILE_NAME
from chatscale_contract.server.slo import LatencyObjectives

_MS_PER_S = 1000


def build_objectives(chatmodel: ChatModel) -> Manifest:
    """The ConfigMap. The kubelet copies its file into running pods within about a minute."""
    slo = chatmodel.spec.autoscaling.slo
    objectives = LatencyObjectives(slo.ttft_milliseconds / _MS_PER_S, slo.tpot_milliseconds / _MS_PER_S)
    return with_template_hash(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": child_metadata(chatmodel, names.slo_configmap(chatmodel.metadata.name)),
            "data": {SLO_FILE_NAME: objectives.to_json()},
        }
    )
