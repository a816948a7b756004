"""Every label, annotation, child name, port and field manager that the operator writes."""

from typing import Final

GROUP: Final = "chatscale.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "ChatModel"
PLURAL: Final = "chatmodels"
SINGULAR: Final = "chatmodel"
SHORT_NAME: Final = "chatm"

NAME_LABEL: Final = "app.kubernetes.io/name"
INSTANCE_LABEL: Final = "app.kubernetes.io/instance"
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "chatscale"
SERVER_NAME: Final = "chatscale-server"
MODEL_LABEL: Final = "chatscale.dev/chatmodel"
"""On every child and pod: the name of the ChatModel that owns it."""
TRACK_LABEL: Final = "chatscale.dev/track"
"""On a Deployment and its pods, and in the Deployment's selector: which of a ChatModel's Deployments it is (0012)."""
STABLE_TRACK: Final = "stable"
"""The Deployment that is named like the ChatModel."""
CANARY_SUFFIX: Final = "-canary"
"""Reserved: the end of a canary Deployment's name. No ChatModel's name may end in it."""
ENGINE_LABEL: Final = "chatscale.dev/engine"
"""On pods: the engine that the pod runs, which tells how to read its metrics and exit codes."""
TEMPLATE_HASH_ANNOTATION: Final = "chatscale.dev/template-hash"

FIELD_MANAGER: Final = "chatscale"
"""Owns every field of the children except the Deployment's `replicas`."""
SCALER_FIELD_MANAGER: Final = "chatscale-scaler"
"""Owns the Deployment's `replicas`, and nothing else."""
EVENT_COMPONENT: Final = "chatscale-operator"

SERVER_CONTAINER: Final = "server"
SERVICE_PORT: Final = 80
MAX_NAME_LENGTH: Final = 40
"""Characters of a ChatModel's name. A pod's name adds up to 23 (`-canary`, `-`, a hash of 10, 5 random) and must have
at most 63."""


def pod_selector(chatmodel: str) -> dict[str, str]:
    """Labels that all pods of a ChatModel have, on every track, and no other pods.

    The Service, `status.selector` (and through it an HPA) and the operator's own LIST of pods use it.
    """
    return {NAME_LABEL: SERVER_NAME, MODEL_LABEL: chatmodel}


def deployment_selector(chatmodel: str, track: str = STABLE_TRACK) -> dict[str, str]:
    """The selector of one Deployment, disjoint from those of other tracks. The API server makes it immutable."""
    return {**pod_selector(chatmodel), TRACK_LABEL: track}


def selector_string(labels: dict[str, str]) -> str:
    """The selector in the form of `status.selector` and of the API server's `labelSelector`, keys sorted."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
