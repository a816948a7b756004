"""Every label, annotation, child name, port and field manager that the operator writes, once."""

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
TEMPLATE_HASH_ANNOTATION: Final = "chatscale.dev/template-hash"
TRACK_LABEL: Final = "chatscale.dev/track"
"""On a Deployment and its pods, and in the Deployment's selector: which Deployment of its ChatModel it is (0012)."""
STABLE_TRACK: Final = "stable"
"""The Deployment that has the ChatModel's name."""
CANARY_SUFFIX: Final = "-canary"
"""Reserved: the end of a canary Deployment's name. No ChatModel's name may end in it."""
ENGINE_LABEL: Final = "chatscale.dev/engine"
"""On pods: the engine that the pod runs. It tells how to read the pod's metrics and exit codes."""

FIELD_MANAGER: Final = "chatscale"
"""Applies everything of the children but the Deployment's `replicas`."""
SCALER_FIELD_MANAGER: Final = "chatscale-scaler"
"""Owns the Deployment's `replicas`, and nothing else."""
EVENT_COMPONENT: Final = "chatscale-operator"

SERVER_CONTAINER: Final = "server"
SERVICE_PORT: Final = 80
MAX_NAME_LENGTH: Final = 40
"""Of a ChatModel: children and pods add up to 23 characters and must stay within 63."""


def pod_selector(chatmodel: str) -> dict[str, str]:
    """Labels that a ChatModel's pods, and no others, carry."""
    return {NAME_LABEL: SERVER_NAME, MODEL_LABEL: chatmodel}


def deployment_selector(chatmodel: str, track: str = STABLE_TRACK) -> dict[str, str]:
    """The selector of one of a ChatModel's Deployments; the API server does not let it change.

    It excludes the pods of other tracks. The Service, `status.selector` (so an HPA) and the operator's own pod list
    use `pod_selector`, which includes every track.
    """
    return {**pod_selector(chatmodel), TRACK_LABEL: track}


def selector_string(labels: dict[str, str]) -> str:
    """The selector as `status.selector` and the API server's `labelSelector` want it, keys sorted."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
