"""The children of a ChatModel: Deployment, Service, HPA and so on, and the marks on pods that a lower count removes."""

import logging
from collections.abc import Sequence

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
    Manifest,
)
from chatscale.desired.autoscaler import build_hpa
from chatscale.desired.disruption import build_disruption_budget
from chatscale.desired.manifest import ObjectKey, key_of
from chatscale.desired.network_policy import PodAccess, build_network_policy
from chatscale.desired.objectives import build_objectives
from chatscale.desired.service import build_service
from chatscale.desired.workload import ServerImages, build_deployment
from chatscale.errors import ConflictError, ForbiddenError, NotFoundError, RejectedRequestError
from chatscale.reconcile.chatmodel.memory import ChildrenInput
from chatscale.reconcile.chatmodel.resolution import Resolution
from chatscale.reconcile.chatmodel.snapshot import Snapshot
from chatscale.reconcile.chatmodel.victims import Mark
from chatscale.reconcile.children import get_if_exists
from chatscale.reconcile.ownership import is_ours

log = logging.getLogger(__name__)


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
    objectives = snapshot.objectives or await get_if_exists(cluster, CONFIGMAP, chatmodel, names.slo_configmap(name))
    deployment = snapshot.deployment or await get_if_exists(cluster, DEPLOYMENT, chatmodel, name)
    service = snapshot.service or await get_if_exists(cluster, SERVICE, chatmodel, name)
    budget = snapshot.disruption_budget or await get_if_exists(cluster, DISRUPTION_BUDGET, chatmodel, name)
    policy = snapshot.network_policy
    if policy is None and ObjectKey(NETWORK_POLICY.name, chatmodel.metadata.namespace, name) in wanted:
        policy = await get_if_exists(cluster, NETWORK_POLICY, chatmodel, name)
    autoscalers = [hpa for hpa in _autoscalers(snapshot, chatmodel) if is_ours(hpa, chatmodel) or key_of(hpa) in wanted]
    return [child for child in (objectives, deployment, service, budget, policy, *autoscalers) if child is not None]


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


def _autoscalers(snapshot: Snapshot, chatmodel: ChatModel) -> list[Manifest]:
    """Our HPA, and a foreign one that has its name."""
    name = chatmodel.metadata.name
    found = [hpa for hpa in snapshot.autoscalers if is_ours(hpa, chatmodel) or hpa["metadata"]["name"] == name]
    return sorted(found, key=lambda hpa: str(hpa["metadata"]["name"]))
