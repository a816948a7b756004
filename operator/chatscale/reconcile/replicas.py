"""Who writes the replica count of a ChatModel, and which count therefore holds. Pure; docs/design/0004.

Every mode has one writer of `spec.replicas`. A value that somebody else wrote is not believed but put back, so
that a re-apply of the manifest, an HPA and the operator can meet without the count moving.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from chatscale import names
from chatscale.api.v1alpha1 import AutoscalingMode, AutoscalingSpec, ChatModel


class Writer(StrEnum):
    """Whose word `spec.replicas` is."""

    USER = "User"
    """Mode Fixed, or a dry run."""
    OPERATOR = "Operator"
    AUTOSCALER = "HorizontalPodAutoscaler"
    """An HPA on the ChatModel's scale subresource: ours in mode HPA, or somebody else's."""
    FOREIGN = "ForeignAutoscaler"
    """Somebody else's HPA on the Deployment: two writers cannot both win, so the operator gives way and says so."""


@dataclass(frozen=True, slots=True)
class Current:
    """The replica count that holds before this pass decides."""

    replicas: int
    overruled: int | None = None
    """`spec.replicas` as found, if it was written by somebody whose word it is not."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A HorizontalPodAutoscaler that is not ours and targets the same pods."""

    name: str
    target_kind: str

    @property
    def is_on_deployment(self) -> bool:
        """Whether it writes where the operator alone should."""
        return self.target_kind == "Deployment"

    def describe(self, chatmodel: ChatModel) -> str:
        """One sentence for the condition."""
        way_out = f"let it scale {names.KIND} {chatmodel.metadata.name} with spec.autoscaling.mode Fixed"
        return (
            f"HorizontalPodAutoscaler {chatmodel.metadata.namespace}/{self.name} also scales "
            f"{self.target_kind} {chatmodel.metadata.name}; delete it, or {way_out}"
        )


def find_conflict(chatmodel: ChatModel, autoscalers: Iterable[Mapping[str, Any]]) -> Conflict | None:
    """The first foreign HPA on our Deployment (the worse case) or on the ChatModel; None if there is none.

    Where the user is the writer, an HPA of theirs on the ChatModel is the user's word, and no conflict.
    """
    found = [
        Conflict(hpa["metadata"]["name"], target["kind"])
        for hpa in autoscalers
        if not is_ours(hpa, chatmodel) and _hits(target := hpa["spec"]["scaleTargetRef"], chatmodel)
    ]
    if is_users(chatmodel.spec.autoscaling):
        found = [conflict for conflict in found if conflict.is_on_deployment]
    return min(found, key=lambda conflict: (not conflict.is_on_deployment, conflict.name), default=None)


def is_ours(manifest: Mapping[str, Any], chatmodel: ChatModel) -> bool:
    """Owned by this ChatModel (by uid), or left by an earlier one of its name (deleted with --cascade=orphan, say)."""
    meta = manifest["metadata"]
    labels = meta.get("labels") or {}
    wears = (meta["name"], labels.get(names.MODEL_LABEL), labels.get(names.MANAGED_BY_LABEL))
    name = chatmodel.metadata.name
    owners = meta.get("ownerReferences") or ()
    return wears == (name, name, names.MANAGED_BY) or any(o.get("uid") == chatmodel.metadata.uid for o in owners)


def writer_of(autoscaling: AutoscalingSpec, conflict: Conflict | None) -> Writer:
    """The one whose word `spec.replicas` is."""
    if conflict is not None:
        return Writer.FOREIGN if conflict.is_on_deployment else Writer.AUTOSCALER
    if is_users(autoscaling):
        return Writer.USER
    return Writer.AUTOSCALER if autoscaling.mode is AutoscalingMode.HPA else Writer.OPERATOR


def current_replicas(
    chatmodel: ChatModel, manifest: Mapping[str, Any], writer: Writer, deployment: Mapping[str, Any] | None
) -> Current:
    """The count to go on from. `manifest` is the ChatModel as read, with its managedFields.

    `status.desiredReplicas` remembers the last decision, also over a restart of the operator and a change of
    modes; `spec.replicas` counts only if its writer wrote it.
    """
    asked = chatmodel.spec.replicas
    remembered = chatmodel.status.desired_replicas
    if writer is Writer.FOREIGN and deployment is not None:
        return Current(deployment["spec"].get("replicas", asked))
    if writer is Writer.USER or remembered is None or remembered == asked or _wrote(writer, manifest):
        return Current(asked)
    return Current(remembered, overruled=asked)


def owns_replicas(manifest: Mapping[str, Any], manager: str) -> bool:
    """Whether the field manager owns `spec.replicas` of the object as read."""
    return any(entry.get("manager") == manager for entry in _replicas_owners(manifest))


def is_users(autoscaling: AutoscalingSpec) -> bool:
    """Whether the spec leaves the count to the user."""
    return autoscaling.mode is AutoscalingMode.FIXED or autoscaling.dry_run


def _wrote(writer: Writer, manifest: Mapping[str, Any]) -> bool:
    """An HPA writes through the scale subresource, and so does the operator, under a name of its own.

    A kubectl apply of the whole object writes otherwise. The operator's own write is recognised too when it
    stopped before it could note the decision in the status.
    """
    owners = [entry for entry in _replicas_owners(manifest) if entry.get("subresource") == "scale"]
    if writer is Writer.OPERATOR:
        return any(entry.get("manager") == names.SCALER_FIELD_MANAGER for entry in owners)
    return bool(owners)


def _replicas_owners(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    entries = manifest["metadata"].get("managedFields") or ()
    return [e for e in entries if "f:replicas" in ((e.get("fieldsV1") or {}).get("f:spec") or {})]


def _hits(target: Mapping[str, Any], chatmodel: ChatModel) -> bool:
    group = target.get("apiVersion", "").partition("/")[0]
    is_ours = (target["kind"], group) in ((names.KIND, names.GROUP), ("Deployment", "apps"))
    return is_ours and target["name"] == chatmodel.metadata.name
