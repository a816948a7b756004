"""Makes the children of a custom resource match the plan. Design/0004 has the order of the steps and why.

The field manager chatscale-scaler owns the Deployment's `replicas`, and chatscale owns the rest. If an apply omits a
field that only its manager owns, the API server removes the field, and a Deployment without `replicas` gets 1.
Therefore the scaler always owns the count before the template is applied without it.
"""

import json
import logging
from collections.abc import MutableMapping, Sequence

from chatscale import names
from chatscale.cluster.interface import DEPLOYMENT, Cluster, Kind, Manifest
from chatscale.desired.manifest import ObjectKey, Owner, key_of, kind_of
from chatscale.desired.plan import Change, Plan, plan_changes
from chatscale.desired.workload import build_replicas
from chatscale.errors import ForbiddenError, InvalidSpecError, NotFoundError
from chatscale.reconcile.ownership import child_name, is_ours, owns_replicas
from chatscale.reconcile.refusal import INVALID_SPEC, Refusal

log = logging.getLogger(__name__)

Applied = MutableMapping[ObjectKey, str]
"""A fingerprint of each child after this process last applied it. A different one means that someone edited it."""


def find_taken_name(owner: Owner, existing: Sequence[Manifest]) -> Refusal | None:
    """A foreign object that has the name of a child; None if there is none."""
    for manifest in existing:
        if not is_ours(manifest, owner):
            message = (
                f"{key_of(manifest)} exists and does not belong to {kind_of(owner).kind} {owner.key}: "
                "rename one of them, or delete it"
            )
            return Refusal(INVALID_SPEC, message)
    return None


def plan_children(owner: Owner, desired: Sequence[Manifest], existing: Sequence[Manifest], applied: Applied) -> Plan:
    """What to apply and to delete: changes of the spec, and children that someone edited.

    A foreign object that has the name of a child stays as it is; the other children are planned.
    """
    ours = [manifest for manifest in existing if is_ours(manifest, owner)]
    taken = {key_of(manifest) for manifest in existing} - {key_of(manifest) for manifest in ours}
    possible = [manifest for manifest in desired if key_of(manifest) not in taken]
    plan = plan_changes(possible, ours)
    planned = {change.key for change in plan.apply}
    edited = {key_of(found) for found in ours if applied.get(key_of(found)) != _fingerprint(found)}
    misowned = {key_of(found) for found in ours if _is_count_misowned(found)}
    found = {key_of(manifest): manifest for manifest in ours}
    outdated = {key_of(m) for m in possible if key_of(m) in found and _has_other_annotations(found[key_of(m)], m)}
    again = [m for m in possible if key_of(m) in (edited | misowned | outdated) - planned]
    repairs = [
        Change(manifest, f"{key_of(manifest)} was edited, its annotations changed, or this process has just started")
        for manifest in again
    ]
    return Plan(apply=(*plan.apply, *repairs), delete=plan.delete)


async def delete_leftovers(cluster: Cluster, plan: Plan) -> None:
    """Delete first, so that the old writer of the count stops before the new one starts."""
    for change in plan.delete:
        await cluster.delete(change.manifest)
        log.info("deleted", extra={"object": str(change.key), "why": change.reason})


async def apply_count(cluster: Cluster, owner: Owner, deployment: Manifest | None, replicas: int) -> Manifest | None:
    """Set the Deployment's replica count if it differs. Returns the resulting Deployment.

    None stays None: a Deployment is created together with its count.
    """
    if deployment is None:
        return None
    if deployment["spec"].get("replicas") == replicas and not _is_count_misowned(deployment):
        return deployment
    return await cluster.apply(_count_of(owner, replicas), names.SCALER_FIELD_MANAGER)


async def apply_children(
    cluster: Cluster, owner: Owner, plan: Plan, deployment: Manifest | None, replicas: int, applied: Applied
) -> tuple[Manifest | None, Refusal | None]:
    """Apply what the plan says. Returns the resulting Deployment and the API server's first refusal.

    A refusal does not stop the other applies: a forbidden image must not prevent a change of the HPA's limits.
    """
    refusal: Refusal | None = None
    for change in plan.apply:
        try:
            if change.key.kind == DEPLOYMENT.name and deployment is None:
                result = await _create_deployment(cluster, owner, change.manifest, replicas)
            else:
                result = await cluster.apply(change.manifest, names.FIELD_MANAGER)
        except (InvalidSpecError, ForbiddenError) as error:
            refusal = refusal or Refusal.from_error(error)
            continue
        applied[change.key] = _fingerprint(result)
        deployment = result if change.key.kind == DEPLOYMENT.name else deployment
        log.info("applied", extra={"object": str(change.key), "why": change.reason})
    return deployment, refusal


async def get_if_exists(cluster: Cluster, kind: Kind, owner: Owner, name: str) -> Manifest | None:
    """The object from the API server; None if it does not exist."""
    try:
        return await cluster.get(kind, owner.metadata.namespace, name)
    except NotFoundError:
        return None


async def _create_deployment(cluster: Cluster, owner: Owner, template: Manifest, replicas: int) -> Manifest:
    """Create the Deployment with its count, so that it never starts with one pod; then hand the count to the scaler.

    If the process stops after the first or second step, the next pass finds the wrong owner of `replicas`.
    """
    counted = {**template, "spec": {**template["spec"], "replicas": replicas}}
    await cluster.apply(counted, names.FIELD_MANAGER)
    await cluster.apply(_count_of(owner, replicas), names.SCALER_FIELD_MANAGER)
    return await cluster.apply(template, names.FIELD_MANAGER)


def _count_of(owner: Owner, replicas: int) -> Manifest:
    return build_replicas(owner.metadata.namespace, child_name(owner, DEPLOYMENT.name), replicas)


def _is_count_misowned(manifest: Manifest) -> bool:
    return manifest["kind"] == DEPLOYMENT.name and owns_replicas(manifest, names.FIELD_MANAGER)


def _has_other_annotations(found: Manifest, desired: Manifest) -> bool:
    """Whether an annotation that we want is missing or has another value."""
    ours, theirs = (manifest["metadata"].get("annotations") or {} for manifest in (desired, found))
    return any(theirs.get(name) != value for name, value in ours.items())


def _fingerprint(manifest: Manifest) -> str:
    """What others could have edited. `replicas` is compared separately."""
    meta = manifest["metadata"]
    spec = {key: value for key, value in manifest.get("spec", {}).items() if key != "replicas"}
    return json.dumps([spec, manifest.get("data"), meta.get("labels"), meta.get("ownerReferences")], sort_keys=True)
