"""From what should exist and what does, to what has to be done. Reads manifests, touches no cluster."""

from collections.abc import Sequence
from dataclasses import dataclass

from chatscale import names
from chatscale.desired.manifest import Manifest, ObjectKey, key_of, template_hash_of


@dataclass(frozen=True, slots=True)
class Change:
    """One object to apply or delete, and why."""

    manifest: Manifest
    """To apply: the desired object. To delete: the existing one."""
    reason: str
    """In words, for a log line or an Event."""

    @property
    def key(self) -> ObjectKey:
        """Which object changes."""
        return key_of(self.manifest)


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be done: first `delete`, then `apply`, each in order."""

    apply: tuple[Change, ...] = ()
    delete: tuple[Change, ...] = ()
    """Deleted first, so that a writer that leaves is gone before the next one comes."""

    @property
    def is_empty(self) -> bool:
        """Whether everything is as it should be."""
        return not self.apply and not self.delete


def plan_changes(desired: Sequence[Manifest], existing: Sequence[Manifest]) -> Plan:
    """Compare by template hash; delete what is ours and no longer wanted, such as an HPA after leaving mode HPA.

    `existing` may hold objects that are not the operator's (no managed-by label): those are never deleted.
    """
    found = {key_of(manifest): manifest for manifest in existing}
    wanted = {key_of(manifest) for manifest in desired}
    changes = [(manifest, _why_apply(manifest, found.get(key_of(manifest)))) for manifest in desired]
    return Plan(
        apply=tuple(Change(manifest, reason) for manifest, reason in changes if reason is not None),
        delete=tuple(
            Change(manifest, f"{key} is no longer part of this ChatModel")
            for key, manifest in found.items()
            if key not in wanted and _is_ours(manifest)
        ),
    )


def _why_apply(desired: Manifest, existing: Manifest | None) -> str | None:
    key = key_of(desired)
    if existing is None:
        return f"{key} does not exist"
    wanted_hash, found_hash = template_hash_of(desired), template_hash_of(existing)
    if found_hash is None:
        return f"{key} carries no template hash"
    if wanted_hash != found_hash:
        return f"{key} changed: template hash {found_hash}, wanted {wanted_hash}"
    return None


def _is_ours(manifest: Manifest) -> bool:
    labels: dict[str, str] = manifest["metadata"].get("labels") or {}
    return labels.get(names.MANAGED_BY_LABEL) == names.MANAGED_BY
