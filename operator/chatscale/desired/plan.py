"""Compares desired with existing objects. Works on manifests only, without the cluster."""

from collections.abc import Sequence
from dataclasses import dataclass

from chatscale import names
from chatscale.desired.manifest import Manifest, ObjectKey, key_of, template_hash_of


@dataclass(frozen=True, slots=True)
class Change:
    """One object to apply or delete, with the reason."""

    manifest: Manifest
    """To apply: the desired object. To delete: the existing one."""
    reason: str
    """For a log line or an Event."""

    @property
    def key(self) -> ObjectKey:
        """The object that changes."""
        return key_of(self.manifest)


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes: first `delete`, then `apply`, each in order."""

    apply: tuple[Change, ...] = ()
    delete: tuple[Change, ...] = ()
    """Deleted first, so that an HPA is gone before another writer of the replica count starts."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing has to change."""
        return not self.apply and not self.delete


def plan_changes(desired: Sequence[Manifest], existing: Sequence[Manifest]) -> Plan:
    """Compare by template hash. Delete objects of ours that are not desired, such as an HPA after mode HPA.

    `existing` may contain objects of others (without our managed-by label): they are never deleted.
    """
    found = {key_of(manifest): manifest for manifest in existing}
    desired_keys = {key_of(manifest) for manifest in desired}
    changes = [(manifest, _why_apply(manifest, found.get(key_of(manifest)))) for manifest in desired]
    return Plan(
        apply=tuple(Change(manifest, reason) for manifest, reason in changes if reason is not None),
        delete=tuple(
            Change(manifest, f"{key} is no longer desired")
            for key, manifest in found.items()
            if key not in desired_keys and _is_ours(manifest)
        ),
    )


def _why_apply(desired: Manifest, existing: Manifest | None) -> str | None:
    key = key_of(desired)
    if existing is None:
        return f"{key} does not exist"
    desired_hash, found_hash = template_hash_of(desired), template_hash_of(existing)
    if found_hash is None:
        return f"{key} has no template hash"
    if desired_hash != found_hash:
        return f"{key} changed: template hash {found_hash}, expected {desired_hash}"
    return None


def _is_ours(manifest: Manifest) -> bool:
    labels: dict[str, str] = manifest["metadata"].get("labels") or {}
    return labels.get(names.MANAGED_BY_LABEL) == names.MANAGED_BY
