"""Why a pod does not become Ready: the reason for conditions, and a message. Data only."""

from dataclasses import dataclass
from enum import StrEnum


class ProblemReason(StrEnum):
    """Reasons of conditions."""

    MODEL_NOT_FOUND = "ModelNotFound"
    MODEL_DOES_NOT_FIT = "ModelDoesNotFit"
    MODEL_UNSUPPORTED = "ModelUnsupported"
    BAD_SETTINGS = "BadSettings"
    ENGINE_FAILED = "EngineFailed"
    SERVER_CRASHED = "ServerCrashed"
    IMAGE_UNAVAILABLE = "ImageUnavailable"
    POD_CONFIG_ERROR = "PodConfigError"
    INSUFFICIENT_GPU = "InsufficientGPU"
    INSUFFICIENT_RESOURCES = "InsufficientResources"
    """Nodes that the pod could use lack CPU, memory, or room for another pod."""
    NODES_CORDONED = "NodesCordoned"
    """A node that the pod could use is marked unschedulable, as by `kubectl cordon`."""
    VOLUME_UNAVAILABLE = "VolumeUnavailable"
    """The volume claim does not exist, is not bound, or is bound to a volume that the nodes cannot reach."""
    NO_MATCHING_NODE = "NoMatchingNode"
    """Taints, node selectors, affinity or spread constraints exclude every node."""
    SCHEDULING_GATED = "SchedulingGated"
    """The pod has scheduling gates, which another controller has to remove."""
    UNSCHEDULABLE = "Unschedulable"
    """Any other cause that the scheduler names."""
    NODE_UNREACHABLE = "NodeUnreachable"
    """The pod's node does not report to the control plane."""
    PODS_REFUSED = "PodsRefused"

    @property
    def is_about_model(self) -> bool:
        """Whether the model itself is the cause, so that the condition ModelLoaded reports it."""
        return self in (self.MODEL_NOT_FOUND, self.MODEL_DOES_NOT_FIT, self.MODEL_UNSUPPORTED)


@dataclass(frozen=True, slots=True)
class Problem:
    """What keeps a pod from becoming Ready."""

    reason: ProblemReason
    message: str
