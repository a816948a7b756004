"""Makes a ChatModel's children match the plan: Deployment, Service, HPA and so on.

Design/0004 has the order of the steps and why.

The field manager chatscale-scaler owns the Deployment's `replicas`, and chatscale owns the rest. If an apply omits a
field that only its manager owns, the API server removes the field, and a Deployment without `replicas` gets 1.
Therefore the scaler always owns the count before the template is applied without it.
"""

import json
import logging
from collections.abc import MutableMapping, Sequence

from chatscale import names
from chatscale.api.v1alpha1 import ChatModel
from chatscale.cluster.interface import (
    CONFIGMAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    NETWORK_POLICY,
    POD,
    SERVICE,
    Cluster,
    Kind,
    Manifest,
)
from chatscale.desired.autoscaler import build_hpa
from chatscale.desired.disruption import build_disruption_budget
from chatscale.desired.manifest import ObjectKey, key_of
from chatscale.desired.network_policy import PodAccess, build_network_policy
from chatscale.desired.objectives import build_objectives
from chatscale.desired.plan import Change, Plan, plan_changes
from chatscale.desired.service import build_service
from chatscale.desired.workload import ServerImages, build_deployment, build_replicas
from chatscale.errors import ConflictError, ForbiddenError, InvalidSpecError, NotFoundError, RejectedRequestError
from chatscale.reconcile.chatmodel.memory import ChildrenInput
from chatscale.reconcile.chatmodel.pass_result import INVALID_SPEC, Refusal
from chatscale.reconcile.chatmodel.replicas import is_ours, owns_replicas
from chatscale.reconcile.chatmodel.resolution import Resolution
from chatscale.reconcile.chatmodel.snapshot import Snapshot
from chatscale.reconcile.chatmodel.victims import Mark

log = logging.getLogger(__name__)

Applied = MutableMapping[ObjectKey, str]
"""A fingerprint of each child after this process last applied it. A different one means that someone edited it."""


def build_children(
    chatmodel: ChatModel, resolution: Resolution, images: ServerImages, access: PodAccess
) -> list[Manifest]:
    """The desired children, in the order in which they are applied."""
    # Two HPAs with the same pods both stop (AmbiguousSelector), so there is no HPA of ours beside a foreign one.
    autoscaler = build_hpa(chatmodel, resolution.floor.replicas) if resolution.conflict is None else None
    # The ConfigMap and the NetworkPolicy come first: a new pod then finds its objectives at its start, and is never
    # open to everybody.
    children = [
        build_objectives(chatmodel),
        build_network_policy(chatmodel, access),
        build_deployment(chatmodel, images),
        build_service(chatmodel),
        build_disruption_budget(chatmodel),
        autoscaler,
    ]
    return [child for child in children if child is not None]


def children_input(snapshot: Snapshot, chatmodel: ChatModel, resolution: Resolution) -> ChildrenInput:
    """What the plan for the children depends on."""
    single = (
        snapshot.objectives,
        snapshot.deployment,
        snapshot.service,
        snapshot.disruption_budget,
        snapshot.network_policy,
    )
    children = (*single, *_autoscalers(snapshot, chatmodel))
    return ChildrenInput(
        uid=chatmodel.metadata.uid,
        generation=chatmodel.metadata.generation,
        versions=tuple(None if child is None else str(child["metadata"]["resourceVersion"]) for child in children),
        min_replicas=resolution.floor.replicas,
        has_conflict=resolution.conflict is not None,
    )


async def existing_children(
    cluster: Cluster, snapshot: Snapshot, chatmodel: ChatModel, desired: Sequence[Manifest]
) -> list[Manifest]:
    """Our children, and foreign objects that have the name of a desired child.

    The watches of children other than HPAs select by label. Before an apply creates a child, the API server is asked
    whether a foreign object without the label already has the name: the apply would take it over.
    """
    wanted = {key_of(child) for child in desired}
    name = chatmodel.metadata.name
    objectives = snapshot.objectives or await _get_if_exists(cluster, CONFIGMAP, chatmodel, names.slo_configmap(name))
    deployment = snapshot.deployment or await _get_if_exists(cluster, DEPLOYMENT, chatmodel, name)
    service = snapshot.service or await _get_if_exists(cluster, SERVICE, chatmodel, name)
    budget = snapshot.disruption_budget or await _get_if_exists(cluster, DISRUPTION_BUDGET, chatmodel, name)
    policy = snapshot.network_policy
    if policy is None and ObjectKey(NETWORK_POLICY.name, chatmodel.metadata.namespace, name) in wanted:
        policy = await _get_if_exists(cluster, NETWORK_POLICY, chatmodel, name)
    autoscalers = [hpa for hpa in _autoscalers(snapshot, chatmodel) if is_ours(hpa, chatmodel) or key_of(hpa) in wanted]
    return [child for child in (objectives, deployment, service, budget, policy, *autoscalers) if child is not None]


def find_taken_name(chatmodel: ChatModel, existing: Sequence[Manifest]) -> Refusal | None:
    """A foreign object that has the name of a child; None if there is none."""
    for manifest in existing:
        if not is_ours(manifest, chatmodel):
            message = (
                f"{key_of(manifest)} exists and does not belong to ChatModel {chatmodel.key}: "
                "rename one of them, or delete it"
            )
            return Refusal(INVALID_SPEC, message)
    return None


def plan_children(
    chatmodel: ChatModel, desired: Sequence[Manifest], existing: Sequence[Manifest], applied: Applied
) -> Plan:
    """What to apply and to delete: changes of the spec, and children that someone edited.

    A foreign object that has the name of a child stays as it is; the other children are planned.
    """
    ours = [manifest for manifest in existing if is_ours(manifest, chatmodel)]
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


async def apply_marks(cluster: Cluster, namespace: str, marks: Sequence[Mark]) -> None:
    """Mark the pods that the next lower count removes, and remove outdated marks.

    A failed patch raises no error, unless the API server does not answer: the ReplicaSet may then delete another pod.
    """
    for mark in marks:
        extra = {"object": f"{POD.name} {namespace}/{mark.pod}"}
        try:
            await cluster.annotate(POD, namespace, mark.pod, mark.annotations)
        except (NotFoundError, ConflictError, ForbiddenError, RejectedRequestError) as error:
            log.warning("pod not marked", extra={**extra, "why": str(error)})
            continue
        log.info("marked for removal" if mark.is_set else "mark removed", extra=extra)


async def apply_count(
    cluster: Cluster, chatmodel: ChatModel, deployment: Manifest | None, replicas: int
) -> Manifest | None:
    """Set the Deployment's replica count if it differs. Returns the resulting Deployment.

    None stays None: a Deployment is created together with its count.
    """
    if deployment is None:
        return None
    if deployment["spec"].get("replicas") == replicas and not _is_count_misowned(deployment):
        return deployment
    return await cluster.apply(build_replicas(chatmodel, replicas), names.SCALER_FIELD_MANAGER)


async def apply_children(
    cluster: Cluster, chatmodel: ChatModel, plan: Plan, deployment: Manifest | None, replicas: int, applied: Applied
) -> tuple[Manifest | None, Refusal | None]:
    """Apply what the plan says. Returns the resulting Deployment and the API server's first refusal.

    A refusal does not stop the other applies: a forbidden image must not prevent a change of the HPA's limits.
    """
    refusal: Refusal | None = None
    for change in plan.apply:
        try:
            if change.key.kind == DEPLOYMENT.name and deployment is None:
                result = await _create_deployment(cluster, chatmodel, change.manifest, replicas)
            else:
                result = await cluster.apply(change.manifest, names.FIELD_MANAGER)
        except (InvalidSpecError, ForbiddenError) as error:
            refusal = refusal or Refusal.from_error(error)
            continue
        applied[change.key] = _fingerprint(result)
        deployment = result if change.key.kind == DEPLOYMENT.name else deployment
        log.info("applied", extra={"object": str(change.key), "why": change.reason})
    return deployment, refusal


async def _create_deployment(cluster: Cluster, chatmodel: ChatModel, template: Manifest, replicas: int) -> Manifest:
    """Create the Deployment with its count, so that it never starts with one pod; then hand the count to the scaler.

    If the process stops after the first or second step, the next pass finds the wrong owner of `replicas`.
    """
    counted = {**template, "spec": {**template["spec"], "replicas": replicas}}
    await cluster.apply(counted, names.FIELD_MANAGER)
    await cluster.apply(build_replicas(chatmodel, replicas), names.SCALER_FIELD_MANAGER)
    return await cluster.apply(template, names.FIELD_MANAGER)


async def _get_if_exists(cluster: Cluster, kind: Kind, chatmodel: ChatModel, name: str) -> Manifest | None:
    try:
        return await cluster.get(kind, chatmodel.metadata.namespace, name)
    except NotFoundError:
        return None


def _autoscalers(snapshot: Snapshot, chatmodel: ChatModel) -> list[Manifest]:
    """Our HPA, and a foreign one that has its name."""
    name = chatmodel.metadata.name
    found = [hpa for hpa in snapshot.autoscalers if is_ours(hpa, chatmodel) or hpa["metadata"]["name"] == name]
    return sorted(found, key=lambda hpa: str(hpa["metadata"]["name"]))


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
