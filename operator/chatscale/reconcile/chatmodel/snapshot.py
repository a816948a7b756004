"""A ChatModel and everything that belongs to it, as the watch cache has them at one moment."""

from collections.abc import Sequence
from dataclasses import dataclass

from chatscale import names
from chatscale.api.v1alpha1 import ChatModelStatus, ObjectMeta, parse_status
from chatscale.cluster.cache import WatchCache
from chatscale.cluster.interface import (
    AUTOSCALER,
    CHATMODEL,
    CONFIGMAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    NETWORK_POLICY,
    POD,
    SERVICE,
    SHOPASSISTANT,
    Manifest,
)
from chatscale.desired.manifest import ObjectKey, key_of
from chatscale.errors import ConflictError
from chatscale.observe.pods import Pod, read_pods
from chatscale.reconcile.chatmodel.watches import routing_key, routing_names


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The input of a pass. The manifests belong to the cache and must not be changed."""

    manifest: Manifest
    """The ChatModel, including managedFields."""
    deployment: Manifest | None
    service: Manifest | None
    objectives: Manifest | None
    """The ConfigMap with the latency objectives."""
    disruption_budget: Manifest | None
    network_policy: Manifest | None
    autoscalers: Sequence[Manifest]
    """Every HPA that concerns the ChatModel, whether the operator created it or not."""
    pods: tuple[Pod, ...]
    namesakes: Sequence[Manifest] = ()
    """Other ChatModels, and ShopAssistants, that have a name at the gateway in common with this one."""

    @property
    def meta(self) -> ObjectMeta:
        """The ChatModel's metadata."""
        return ObjectMeta.model_validate(self.manifest["metadata"])

    @property
    def status(self) -> ChatModelStatus:
        """The status as last written; an empty one if it is unreadable."""
        return parse_status(self.manifest)


def take_snapshot(cache: WatchCache, key: ObjectKey) -> Snapshot | None:
    """Read a ChatModel and its parts; None if it does not exist or is being deleted.

    Raises ConflictError while the cache is behind this process's own write of the ChatModel.
    """
    manifest = cache.get(key)
    if manifest is None or manifest["metadata"].get("deletionTimestamp"):
        return None
    if cache.is_behind(key):
        raise ConflictError(f"{key}: the watch has not delivered the operator's own last write yet")
    return Snapshot(
        manifest=manifest,
        deployment=cache.get(key._replace(kind=DEPLOYMENT.name)),
        service=cache.get(key._replace(kind=SERVICE.name)),
        objectives=cache.get(ObjectKey(CONFIGMAP.name, key.namespace, names.slo_configmap(key.name))),
        disruption_budget=cache.get(key._replace(kind=DISRUPTION_BUDGET.name)),
        network_policy=cache.get(key._replace(kind=NETWORK_POLICY.name)),
        autoscalers=cache.concerning(key, AUTOSCALER.name),
        pods=read_pods(cache.concerning(key, POD.name)),
        namesakes=_namesakes(cache, key, manifest),
    )


def _namesakes(cache: WatchCache, key: ObjectKey, manifest: Manifest) -> tuple[Manifest, ...]:
    names_of_it, kinds = routing_names(manifest), (CHATMODEL.name, SHOPASSISTANT.name)
    shared = (cache.concerning(routing_key(name), kind) for name in names_of_it for kind in kinds)
    found = {key_of(other): other for others in shared for other in others}
    return tuple(found[each] for each in sorted(found) if each != key)
