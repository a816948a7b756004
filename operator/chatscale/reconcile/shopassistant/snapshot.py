"""A ShopAssistant and everything that belongs to it, as the watch cache has them at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chatscale import names
from chatscale.api.v1alpha1 import ObjectMeta, ShopAssistantStatus, parse_assistant_status
from chatscale.cluster.cache import WatchCache
from chatscale.cluster.interface import CHATMODEL, CHILD_KINDS, POD, Manifest
from chatscale.desired.manifest import ObjectKey
from chatscale.observe.pending import condition_of, since
from chatscale.observe.pods import Pod, read_pods
from chatscale.reconcile.shopassistant.watches import chat_model_of


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The input of a pass. The manifests belong to the cache and must not be changed."""

    manifest: Manifest
    children: Mapping[str, Manifest]
    """What has the name of a child, by kind, whether the operator created it or not."""
    pods: tuple[Pod, ...]
    spec_digests: Mapping[str, str]
    """The digest of the spec that each pod was started with, by pod name."""
    volume_waits: Mapping[str, datetime]
    """Since when a pod on a node waits for its volumes or its network, by pod name."""
    chat_model: Manifest | None = None
    """The ChatModel in `spec.model.chatModel`."""
    namesake: Manifest | None = None
    """A ChatModel of the same name."""

    @property
    def meta(self) -> ObjectMeta:
        """The ShopAssistant's metadata."""
        return ObjectMeta.model_validate(self.manifest["metadata"])

    @property
    def status(self) -> ShopAssistantStatus:
        """The status as last written; an empty one if it is unreadable."""
        return parse_assistant_status(self.manifest)


def take_snapshot(cache: WatchCache, key: ObjectKey) -> Snapshot | None:
    """Read a ShopAssistant and its parts; None if it does not exist or is being deleted."""
    manifest = cache.get(key)
    if manifest is None or manifest["metadata"].get("deletionTimestamp"):
        return None
    child = names.assistant_child(key.name)
    found = {kind: cache.get(ObjectKey(kind, key.namespace, child)) for kind in CHILD_KINDS}
    pods = cache.concerning(key, POD.name)
    model = chat_model_of(manifest)
    return Snapshot(
        manifest=manifest,
        children={kind: each for kind, each in found.items() if each is not None},
        pods=read_pods(pods),
        spec_digests=_spec_digests(pods),
        volume_waits=_volume_waits(pods),
        chat_model=_alive(cache.get(ObjectKey(CHATMODEL.name, key.namespace, model))) if model else None,
        namesake=_alive(cache.get(key._replace(kind=CHATMODEL.name))),
    )


def _spec_digests(pods: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {
        pod["metadata"]["name"]: (pod["metadata"].get("annotations") or {}).get(names.ASSISTANT_SPEC_ANNOTATION, "")
        for pod in pods
    }


def _volume_waits(pods: Sequence[Mapping[str, Any]]) -> dict[str, datetime]:
    conditions = {
        pod["metadata"]["name"]: (condition_of(pod, "PodReadyToStartContainers"), pod)
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp")
    }
    return {name: since(found, pod) for name, (found, pod) in conditions.items() if found.get("status") == "False"}


def _alive(manifest: Manifest | None) -> Manifest | None:
    return None if manifest is None or manifest["metadata"].get("deletionTimestamp") else manifest
