"""Every label, annotation, child name, port and field manager that the operator writes, once."""

import hashlib
from dataclasses import dataclass
from typing import Final

GROUP: Final = "chatscale.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

NAME_LABEL: Final = "app.kubernetes.io/name"
INSTANCE_LABEL: Final = "app.kubernetes.io/instance"
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "chatscale"
SERVER_NAME: Final = "chatscale-server"
ASSISTANT_NAME: Final = "chatscale-assistant"


@dataclass(frozen=True, slots=True)
class CustomKind:
    """The names of one kind of custom resource in our API group."""

    kind: str
    plural: str
    singular: str
    short_name: str
    label: str
    """Label on every child and pod; its value is the name of the owner of this kind."""
    component: str
    """Value of `NAME_LABEL` on every child and pod."""

    def pod_labels(self, name: str) -> dict[str, str]:
        """The labels that select the pods of one object of this kind."""
        return {NAME_LABEL: self.component, self.label: name}


CHATMODEL: Final = CustomKind(
    kind="ChatModel",
    plural="chatmodels",
    singular="chatmodel",
    short_name="chatm",
    label=f"{GROUP}/chatmodel",
    component=SERVER_NAME,
)
SHOPASSISTANT: Final = CustomKind(
    kind="ShopAssistant",
    plural="shopassistants",
    singular="shopassistant",
    short_name="shopa",
    label=f"{GROUP}/shopassistant",
    component=ASSISTANT_NAME,
)
OUR_CHILDREN: Final = f"{NAME_LABEL} in ({SERVER_NAME},{ASSISTANT_NAME})"
"""Label selector of the children and pods of both kinds. A watch has one selector for each kind of child."""
KIND: Final = CHATMODEL.kind

MODEL_LABEL: Final = CHATMODEL.label
TEMPLATE_HASH_ANNOTATION: Final = "chatscale.dev/template-hash"
APPLIED_SPEC_ANNOTATION: Final = "chatscale.dev/applied-spec"
"""On a Deployment: the part of the ChatModel's spec that its template was built from, as JSON."""
OPERATOR_BUILD_ANNOTATION: Final = "chatscale.dev/operator-build"
"""On a Deployment: a digest of the operator that applied it last, with its default images."""
UPDATE_ANNOTATION: Final = "chatscale.dev/update"
"""On a Deployment: whether a rollout that the operator caused runs. One of the next two values."""
UPDATE_IN_PROGRESS: Final = "in-progress"
NO_UPDATE: Final = "none"
TRACK_LABEL: Final = "chatscale.dev/track"
"""On a Deployment and its pods, and in the Deployment's selector: which Deployment of its ChatModel it is (0012)."""
STABLE_TRACK: Final = "stable"
"""The Deployment that has the ChatModel's name."""
SLO_SUFFIX: Final = "-slo"
"""The end of the name of a ChatModel's ConfigMap with its latency objectives."""
ASSISTANT_SUFFIX: Final = "-assistant"
"""The end of the names of a ShopAssistant's children, so that a ChatModel of the same name keeps its own."""
ASSISTANT_SPEC_ANNOTATION: Final = "chatscale.dev/assistant-spec"
"""On an assistant's pods: a digest of the spec that they read at their start, so that a change rolls out."""
CANARY_SUFFIX: Final = "-canary"
"""Reserved: the end of a canary Deployment's name. No ChatModel's name may end in it."""
ENGINE_LABEL: Final = "chatscale.dev/engine"
"""On pods: the engine that the pod runs. It tells how to read the pod's metrics and exit codes."""

DELETION_COST_ANNOTATION: Final = "controller.kubernetes.io/pod-deletion-cost"
"""On a pod: a ReplicaSet that removes Ready pods begins with the lowest value; a pod without one has 0."""
VICTIM_COST: Final = "-2147483648"
"""The deletion cost of a pod that the operator removes next: the lowest one, whatever users set on other pods."""
USERS_COST_ANNOTATION: Final = "chatscale.dev/users-deletion-cost"
"""On a pod that the operator removes next: the deletion cost that a user had set. It is restored if the pod stays."""

ROUTING_NAME: Final = "RoutingName"
"""Kind of the keys under which the watch cache lists the ChatModels that use one name at the gateway. No API object."""

FIELD_MANAGER: Final = "chatscale"
"""Applies all fields of the children, except the Deployment's `replicas`."""
SCALER_FIELD_MANAGER: Final = "chatscale-scaler"
"""Owns the Deployment's `replicas` and no other field."""
EVENT_COMPONENT: Final = "chatscale-operator"

SERVER_CONTAINER: Final = "server"
ASSISTANT_CONTAINER: Final = "assistant"
SERVICE_PORT: Final = 80
MAX_NAME_LENGTH: Final = 40
"""Characters of a custom resource's name. Children and pods add up to 23 characters; a label value has at most 63."""


def pod_selector(chatmodel: str) -> dict[str, str]:
    """The labels that select the pods of one ChatModel."""
    return CHATMODEL.pod_labels(chatmodel)


def deployment_selector(chatmodel: str, track: str = STABLE_TRACK) -> dict[str, str]:
    """The selector of one of a ChatModel's Deployments; the API server does not let it change.

    It excludes the pods of other tracks. The Service, `status.selector` (so an HPA) and the operator's own pod list
    use `pod_selector`, which includes every track.
    """
    return {**pod_selector(chatmodel), TRACK_LABEL: track}


def selector_string(labels: dict[str, str]) -> str:
    """The selector in the format of `status.selector` and of the query parameter `labelSelector`, keys sorted."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def slo_configmap(chatmodel: str) -> str:
    """The name of the ConfigMap with the latency objectives of a ChatModel."""
    return chatmodel + SLO_SUFFIX


def assistant_child(assistant: str) -> str:
    """The name of the children of a ShopAssistant, except its Secret."""
    return assistant + ASSISTANT_SUFFIX


def signing_secret(assistant: str, uid: str) -> str:
    """The name of the Secret with the signing key of a ShopAssistant.

    It contains a part of the uid: the Secret of a deleted assistant of the same name may still exist for a moment.
    """
    return f"{assistant}-signing-{hashlib.sha256(uid.encode()).hexdigest()[:8]}"
