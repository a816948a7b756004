"""Who writes the replica count of a ChatModel, and which count therefore applies. Pure; docs/design/0004.

Each mode has one writer of `spec.replicas`. The operator reverts a value that anyone else wrote. A re-apply of the
manifest, an HPA and the operator therefore cannot make the count flap.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from chatscale import names
from chatscale.api.v1alpha1 import AutoscalingMode, AutoscalingSpec, ChatModel
from chatscale.cluster.interface import CHATMODEL, DEPLOYMENT
from chatscale.reconcile.ownership import is_ours, owners_of_replicas


class Writer(StrEnum):
    """The one that sets the replica count."""

    USER = "User"
    """Mode Fixed, or a dry run."""
    OPERATOR = "Operator"
    AUTOSCALER = "HorizontalPodAutoscaler"
    """An HPA on the ChatModel's scale subresource: ours in mode HPA, or a foreign one."""
    FOREIGN = "ForeignAutoscaler"
    """A foreign HPA on the Deployment. The operator stops scaling and reports it, since two writers would compete."""


@dataclass(frozen=True, slots=True)
class Current:
    """The replica count before this pass decides."""

    replicas: int
    reverted: int | None = None
    """The value of `spec.replicas` if anyone but the writer set it."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A HorizontalPodAutoscaler that is not ours and targets the same pods."""

    name: str
    target_kind: str

    @property
    def is_on_deployment(self) -> bool:
        """Whether it writes the Deployment's replica count, which only the operator should write."""
        return self.target_kind == DEPLOYMENT.name

    def describe(self, chatmodel: ChatModel) -> str:
        """One sentence for the condition."""
        remedy = f"let it scale {CHATMODEL.name} {chatmodel.metadata.name} with spec.autoscaling.mode Fixed"
        return (
            f"HorizontalPodAutoscaler {chatmodel.metadata.namespace}/{self.name} also scales "
            f"{self.target_kind} {chatmodel.metadata.name}; delete it, or {remedy}"
        )


def find_conflict(chatmodel: ChatModel, autoscalers: Iterable[Mapping[str, Any]]) -> Conflict | None:
    """The first foreign HPA, those on the Deployment before those on the ChatModel; None if there is none.

    Where the user is the writer, a foreign HPA on the ChatModel acts for the user and is no conflict.
    """
    found = [
        Conflict(hpa["metadata"]["name"], target["kind"])
        for hpa in autoscalers
        if not is_ours(hpa, chatmodel) and _targets(target := hpa["spec"]["scaleTargetRef"], chatmodel)
    ]
    if user_sets_replicas(chatmodel.spec.autoscaling):
        found = [conflict for conflict in found if conflict.is_on_deployment]
    return min(found, key=lambda conflict: (not conflict.is_on_deployment, conflict.name), default=None)


def writer_of(autoscaling: AutoscalingSpec, conflict: Conflict | None) -> Writer:
    """The writer of `spec.replicas`."""
    if conflict is not None:
        return Writer.FOREIGN if conflict.is_on_deployment else Writer.AUTOSCALER
    if user_sets_replicas(autoscaling):
        return Writer.USER
    return Writer.AUTOSCALER if autoscaling.mode is AutoscalingMode.HPA else Writer.OPERATOR


def current_replicas(
    chatmodel: ChatModel, manifest: Mapping[str, Any], writer: Writer, deployment: Mapping[str, Any] | None
) -> Current:
    """The count to continue from. `manifest` is the ChatModel including its managedFields.

    `status.desiredReplicas` keeps the last decision across a restart of the operator and a change of modes.
    `spec.replicas` counts only if its writer set it.
    """
    specified = chatmodel.spec.replicas
    decided = chatmodel.status.desired_replicas
    if writer is Writer.FOREIGN and deployment is not None:
        return Current(deployment["spec"].get("replicas", specified))
    if writer is Writer.USER or decided is None or decided == specified or _wrote(writer, manifest):
        return Current(specified)
    return Current(decided, reverted=specified)


def user_sets_replicas(autoscaling: AutoscalingSpec) -> bool:
    """Whether the spec leaves the replica count to the user."""
    return autoscaling.mode is AutoscalingMode.FIXED or autoscaling.dry_run


def _wrote(writer: Writer, manifest: Mapping[str, Any]) -> bool:
    """Whether the writer owns `spec.replicas`, as metadata.managedFields records it.

    An HPA and the operator write through the scale subresource; a kubectl apply of the whole object does not. The
    operator uses its own field manager, so it recognises its write even if it stopped before it wrote the status.
    """
    owners = [entry for entry in owners_of_replicas(manifest) if entry.get("subresource") == "scale"]
    if writer is Writer.OPERATOR:
        return any(entry.get("manager") == names.SCALER_FIELD_MANAGER for entry in owners)
    return bool(owners)


def _targets(target: Mapping[str, Any], chatmodel: ChatModel) -> bool:
    group = target.get("apiVersion", "").partition("/")[0]
    scalable = ((CHATMODEL.name, CHATMODEL.group), (DEPLOYMENT.name, DEPLOYMENT.group))
    return (target["kind"], group) in scalable and target["name"] == chatmodel.metadata.name
