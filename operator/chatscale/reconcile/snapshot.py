"""One reading of everything in the cluster that belongs to a ChatModel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from typing_extensions import override

from chatscale import names
from chatscale.api.v1alpha1 import ChatModelStatus, ObjectMeta, parse_status
from chatscale.cluster.interface import AUTOSCALER, CHATMODEL, DEPLOYMENT, POD, SERVICE, Cluster, Kind, Manifest
from chatscale.errors import NotFoundError
from chatscale.observe.pods import Pod, read_pods


class Key(NamedTuple):
    """Which ChatModel."""

    namespace: str
    name: str

    @override
    def __str__(self) -> str:
        """namespace/name, as messages and logs name it."""
        return f"{self.namespace}/{self.name}"


class Revision(NamedTuple):
    """Which spec of which ChatModel: one made anew under an old name begins with generation 1 again."""

    uid: str
    generation: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A ChatModel and what there is of it, as the API server had them."""

    manifest: Manifest
    """The ChatModel as read, managedFields included."""
    deployment: Manifest | None
    service: Manifest | None
    autoscalers: Sequence[Manifest]
    """Every HPA of the namespace, ours or not."""
    pods: tuple[Pod, ...]

    @property
    def meta(self) -> ObjectMeta:
        """The ChatModel's metadata."""
        return ObjectMeta.model_validate(self.manifest["metadata"])

    @property
    def status(self) -> ChatModelStatus:
        """The status as last written; an empty one if somebody left it unreadable."""
        return parse_status(self.manifest)


async def take_snapshot(cluster: Cluster, key: Key) -> Snapshot | None:
    """Read a ChatModel and its parts; None if it is gone or on its way out, and its children with it."""
    try:
        manifest = await cluster.get(CHATMODEL, key.namespace, key.name)
    except NotFoundError:
        return None
    if manifest["metadata"].get("deletionTimestamp"):
        return None
    return Snapshot(
        manifest=manifest,
        deployment=await _get_if_there(cluster, DEPLOYMENT, key),
        service=await _get_if_there(cluster, SERVICE, key),
        autoscalers=await cluster.list(AUTOSCALER, key.namespace),
        pods=read_pods(await cluster.list(POD, key.namespace, names.selector_string(names.pod_selector(key.name)))),
    )


async def _get_if_there(cluster: Cluster, kind: Kind, key: Key) -> Manifest | None:
    try:
        return await cluster.get(kind, key.namespace, key.name)
    except NotFoundError:
        return None
