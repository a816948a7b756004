"""Brings a ChatModel's Deployment, Service and HPA to what they should be; design/0004 tells the order and why.

`replicas` of the Deployment belongs to the field manager chatscale-scaler, the rest to chatscale. An apply that
leaves out a field which its manager owns alone makes the API server drop the field, and a Deployment without
`replicas` gets 1. Hence: the scaler's claim always stands before the template is applied without the field.
"""

import json
import logging
from collections.abc import MutableMapping, Sequence

from chatscale import names
from chatscale.api.v1alpha1 import ChatModel
from chatscale.cluster.interface import Cluster, Manifest
from chatscale.desired.manifest import ObjectKey, key_of
from chatscale.desired.plan import Change, Plan, plan_changes
from chatscale.desired.workload import build_replicas
from chatscale.errors import ForbiddenError, InvalidSpecError
from chatscale.reconcile.replicas import is_ours, owns_replicas

log = logging.getLogger(__name__)

Applied = MutableMapping[ObjectKey, str]
"""What each child looked like after it was last applied by this process: whatever differs was edited since."""


def plan_children(
    chatmodel: ChatModel, desired: Sequence[Manifest], existing: Sequence[Manifest], applied: Applied
) -> Plan:
    """What has to be applied and deleted: changes of the spec, and children that somebody has edited.

    Raises InvalidSpecError if a child's name is taken by an object that is not ours.
    """
    for manifest in existing:
        if not is_ours(manifest, chatmodel):
            raise InvalidSpecError(
                f"{key_of(manifest)} exists and does not belong to ChatModel {chatmodel.key}: "
                "rename one of them, or delete it"
            )
    plan = plan_changes(desired, existing)
    planned = {change.key for change in plan.apply}
    edited = {key_of(found) for found in existing if applied.get(key_of(found)) != _fingerprint(found)}
    leftover = {key_of(found) for found in existing if _holds_replicas_wrongly(found)}
    again = [m for m in desired if key_of(m) in (edited | leftover) - planned]
    repairs = [Change(manifest, f"{key_of(manifest)} was edited, or is new to this process") for manifest in again]
    return Plan(apply=(*plan.apply, *repairs), delete=plan.delete)


async def delete_leftovers(cluster: Cluster, plan: Plan) -> None:
    """Delete first: a writer that leaves is gone before the next one comes."""
    for change in plan.delete:
        await cluster.delete(change.manifest)
        log.info("deleted", extra={"object": str(change.key), "why": change.reason})


async def apply_children(
    cluster: Cluster, chatmodel: ChatModel, plan: Plan, deployment: Manifest | None, replicas: int, applied: Applied
) -> Manifest | None:
    """Carry out the plan's applies and the replica count. Returns the Deployment after it.

    Raises the first refusal of the API server when all else is done: an image that a policy forbids must not keep the
    autoscaler of what runs from being raised.
    """
    refusals: list[InvalidSpecError | ForbiddenError] = []
    if deployment is not None and _needs_replicas(deployment, replicas):
        deployment = await cluster.apply(build_replicas(chatmodel, replicas), names.SCALER_FIELD_MANAGER)
    for change in plan.apply:
        try:
            if change.key.kind == "Deployment" and deployment is None:
                result = await _create_deployment(cluster, chatmodel, change.manifest, replicas)
            else:
                result = await cluster.apply(change.manifest, names.FIELD_MANAGER)
        except (InvalidSpecError, ForbiddenError) as refusal:
            refusals.append(refusal)
            continue
        applied[change.key] = _fingerprint(result)
        deployment = result if change.key.kind == "Deployment" else deployment
        log.info("applied", extra={"object": str(change.key), "why": change.reason})
    if refusals:
        raise refusals[0]
    return deployment


async def _create_deployment(cluster: Cluster, chatmodel: ChatModel, template: Manifest, replicas: int) -> Manifest:
    """Create with the count, so that not one pod is made where four are wanted; then hand the count over.

    Stopped after the first or second step, the next pass finds `replicas` under the wrong manager and goes on.
    """
    counted = {**template, "spec": {**template["spec"], "replicas": replicas}}
    await cluster.apply(counted, names.FIELD_MANAGER)
    await cluster.apply(build_replicas(chatmodel, replicas), names.SCALER_FIELD_MANAGER)
    return await cluster.apply(template, names.FIELD_MANAGER)


def _needs_replicas(deployment: Manifest, replicas: int) -> bool:
    return deployment["spec"].get("replicas") != replicas or _holds_replicas_wrongly(deployment)


def _holds_replicas_wrongly(manifest: Manifest) -> bool:
    return manifest["kind"] == "Deployment" and owns_replicas(manifest, names.FIELD_MANAGER)


def _fingerprint(manifest: Manifest) -> str:
    """What others might have edited. `replicas` is compared by itself."""
    meta = manifest["metadata"]
    spec = {key: value for key, value in manifest["spec"].items() if key != "replicas"}
    return json.dumps([spec, meta.get("labels"), meta.get("ownerReferences")], sort_keys=True)
