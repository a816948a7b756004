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
